//! Promise 1 by SQL: whatever was handed to ingest is there once, as an event or as a reject.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value as Json;

use crate::compare::{Api, Differences, number, wait};

/// Stream and partition.
pub(crate) type At = (String, i32);

const POSITION: &str = "_stream, _partition, _offset, _index";

fn at(row: &Json) -> At {
    let stream = row["_stream"].as_str().expect("a stream").to_owned();
    let partition = row["_partition"].as_i64().expect("a partition");
    (stream, i32::try_from(partition).expect("a small number"))
}

/// The committed and the visible offset of each partition, from all tenants.
pub(crate) fn offsets(apis: &[Api]) -> BTreeMap<At, (Option<i64>, Option<i64>)> {
    let mut all = BTreeMap::new();
    for api in apis {
        for row in api.sql("SELECT * FROM ingest_offsets") {
            let committed = row["committed_offset"].as_i64();
            all.insert(at(&row), (committed, row["visible_offset"].as_i64()));
        }
    }
    all
}

/// The name of the only stream.
pub(crate) fn only_stream(apis: &[Api]) -> String {
    let streams: BTreeSet<String> = offsets(apis)
        .into_keys()
        .map(|(stream, _)| stream)
        .collect();
    assert_eq!(streams.len(), 1, "one stream is expected: {streams:?}");
    streams.into_iter().next().unwrap()
}

/// Waits until everything handed is committed. `handed`: the offset after the last of each partition, the first being 0.
pub(crate) fn await_committed(apis: &[Api], handed: &BTreeMap<At, i64>, within: Duration) {
    wait(within, "everything handed is committed", || {
        let found = offsets(apis);
        let done = handed.iter().filter(|(_, end)| **end > 0).all(|(at, end)| {
            let last = Some(end - 1);
            found.get(at) == Some(&(last, last))
        });
        done.then_some(())
            .ok_or_else(|| format!("{found:?} of {handed:?}"))
    });
}

/// Rows that compaction has removed, by partition.
pub(crate) fn removed(apis: &[Api], as_of: Option<&str>) -> BTreeMap<At, u64> {
    let mut all = BTreeMap::new();
    for api in apis {
        let (rows, _) = api.sql_as_of("SELECT * FROM removed_rows", as_of);
        // A partition's number is told to each tenant with rows in it.
        all.extend(
            rows.iter()
                .map(|row| (at(row), number(&row["removed_rows"]))),
        );
    }
    all
}

/// Checks that the offsets handed are those of events and rejects together, none in both, none twice, none beyond the
/// committed one; copies removed by compaction are counted. All of it on one view.
pub(crate) fn check(apis: &[Api], handed: &BTreeMap<At, i64>, differences: &mut Differences) {
    let (_, token) = apis[0].sql_as_of("SELECT count(*) AS n FROM rejects", None);
    let mut seen: BTreeMap<At, Vec<bool>> = BTreeMap::new();
    for (at, end) in handed {
        let places = usize::try_from(*end).expect("offsets begin at 0");
        seen.insert(at.clone(), vec![false; places]);
    }
    for api in apis {
        let both = format!(
            "SELECT count(*) AS n FROM (SELECT {POSITION} FROM events_raw) e JOIN (SELECT {POSITION} FROM rejects) r \
             ON e._stream = r._stream AND e._partition = r._partition AND e._offset = r._offset"
        );
        let (rows, _) = api.sql_as_of(&both, Some(&token));
        differences.eq(
            "offsets that are event and reject",
            number(&rows[0]["n"]),
            0,
        );
        let twice = format!(
            "SELECT {POSITION}, count(*) AS n FROM (SELECT {POSITION} FROM events_raw UNION ALL SELECT {POSITION} FROM rejects) \
             GROUP BY {POSITION} HAVING count(*) > 1 LIMIT 20"
        );
        let (rows, _) = api.sql_as_of(&twice, Some(&token));
        differences.eq("positions that are there twice", rows, Vec::new());
        for relation in ["events_raw", "rejects"] {
            let sql = format!("SELECT _partition, _offset, _index, _stream FROM {relation}");
            for line in api.sql_lines(&sql, &token) {
                mark(&line, relation, &mut seen, differences);
            }
        }
    }
    let gone = removed(apis, Some(&token));
    for (at, places) in &seen {
        let missing: Vec<usize> = (0..places.len()).filter(|place| !places[*place]).collect();
        let removed = gone.get(at).copied().unwrap_or(0);
        if missing.len() as u64 != removed {
            let shown = &missing[..missing.len().min(20)];
            differences.note(format!(
                "{at:?}: {} offsets of {} are missing, {removed} rows were removed as copies: {shown:?} …",
                missing.len(),
                places.len()
            ));
        }
    }
    for (at, end) in handed.iter().filter(|(_, end)| **end > 0) {
        let last = Some(end - 1);
        let found = offsets(apis).get(at).copied();
        differences.eq(
            &format!("{at:?}: committed and visible offset"),
            found,
            Some((last, last)),
        );
    }
    let streams = offsets(apis).into_keys().collect::<BTreeSet<At>>();
    let expected = handed
        .iter()
        .filter(|(_, end)| **end > 0)
        .map(|(at, _)| at.clone());
    differences.eq("streams and partitions", streams, expected.collect());
}

/// Notes one `partition,offset,index,stream`.
fn mark(
    line: &str,
    relation: &str,
    seen: &mut BTreeMap<At, Vec<bool>>,
    differences: &mut Differences,
) {
    let mut parts = line.splitn(4, ',');
    let mut next = || parts.next().unwrap_or_default();
    let (partition, offset, index) = (next(), next(), next());
    let stream = next().trim_matches('"').to_owned();
    let at = (stream, partition.parse().expect("a partition"));
    let offset: usize = offset.parse().expect("an offset");
    let place = seen.get_mut(&at).and_then(|places| places.get_mut(offset));
    match place {
        Some(place) if !*place => *place = true,
        Some(_) => differences.note(format!(
            "{at:?} offset {offset} is there twice ({relation})"
        )),
        None => differences.note(format!(
            "{at:?} offset {offset} was never handed ({relation})"
        )),
    }
    if index != "0" {
        differences.note(format!(
            "{at:?} offset {offset} has index {index}; JSON makes one event a message"
        ));
    }
}
