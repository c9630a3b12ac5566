//! What a server's table says of the messages it was handed: each once, by SQL (design §4.1).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::program::{post, run_well, until};

/// Partition → offsets handed over, `first..end`.
pub(crate) type Handed = BTreeMap<i32, std::ops::Range<i64>>;

/// A server's config file in `folder`: TOML that is added to a loopback server with its own data folder.
pub(crate) fn config(folder: &Path, name: &str, more: &str) -> String {
    let data = folder.join(name);
    let file = folder.join(format!("{name}.toml"));
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nmetrics_open = true\n[storage]\ndata = {data:?}\n{more}"
    );
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The rows of an SQL answer.
pub(crate) fn sql(url: &str, text: &str) -> Vec<Json> {
    match try_sql(url, text) {
        Ok(rows) => rows,
        Err(why) => panic!("{text}: {why}"),
    }
}

/// The rows, or the server's refusal.
pub(crate) fn try_sql(url: &str, text: &str) -> Result<Vec<Json>, Json> {
    let (status, mut answer) = post(&format!("{url}/api/v1/sql"), &json!({ "sql": text }));
    match (status, answer["rows"].take()) {
        (200, Json::Array(rows)) => Ok(rows),
        _ => Err(answer),
    }
}

/// A single number.
pub(crate) fn number(url: &str, text: &str) -> i64 {
    let rows = sql(url, text);
    let row = rows.first().and_then(Json::as_object).unwrap();
    row.values().next().and_then(Json::as_i64).unwrap_or(0)
}

/// The sum of a whole-numbered metric over all its series.
pub(crate) fn metric(url: &str, name: &str) -> i64 {
    let text = get(&format!("{url}/metrics")).1;
    let samples = text.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with([' ', '{']))
    });
    samples
        .filter_map(|line| line.rsplit(' ').next()?.parse::<i64>().ok())
        .sum()
}

/// GETs text; status and body.
pub(crate) fn get(url: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(url).call().unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), text)
}

/// Committed offsets by partition of a stream.
fn committed(url: &str, stream_ends: &str) -> BTreeMap<i32, i64> {
    let text = format!(
        "select _partition p, committed_offset c from ingest_offsets where _stream like '%{stream_ends}'"
    );
    let pairs = sql(url, &text);
    let pairs = pairs
        .iter()
        .map(|row| (row["p"].as_i64().unwrap(), row["c"].as_i64().unwrap_or(-1)));
    pairs.map(|(p, c)| (i32::try_from(p).unwrap(), c)).collect()
}

/// Waits until the table holds everything handed over.
pub(crate) fn await_committed(url: &str, stream_ends: &str, handed: &Handed) {
    let wanted: BTreeMap<i32, i64> = handed
        .iter()
        .filter(|(_, offsets)| !offsets.is_empty())
        .map(|(partition, offsets)| (*partition, offsets.end - 1))
        .collect();
    let mut last = BTreeMap::new();
    let within = std::time::Instant::now();
    until("everything is committed", || {
        last = committed(url, stream_ends);
        assert!(
            within.elapsed().as_secs() < 80,
            "{stream_ends}: wanted {wanted:?}, committed {last:?}"
        );
        (last == wanted).then_some(())
    });
}

/// Promise 1 for a stream whose name ends so: the offsets handed over are those of events and of rejects, none in both, none
/// twice; what compaction removed is counted and adds up; the last one is the committed one. Returns rows and rejects.
pub(crate) fn check_each_once(url: &str, stream_ends: &str, handed: &Handed) -> (i64, i64) {
    let whose = format!("_stream like '%{stream_ends}'");
    let found = sql(
        url,
        &format!(
            "select _partition p, sum(e) events, sum(r) rejects, count(*) n, count(distinct _offset) d, min(_offset) low, max(_offset) high from (\
             select _partition, _offset, _index, 1 e, 0 r from events_raw where {whose} union all \
             select _partition, _offset, _index, 0 e, 1 r from rejects where {whose}) group by _partition order by 1"
        ),
    );
    let removed = sql(
        url,
        &format!("select _partition p, removed_rows n from removed_rows where {whose}"),
    );
    let removed: BTreeMap<i64, i64> = removed
        .iter()
        .map(|row| (row["p"].as_i64().unwrap(), row["n"].as_i64().unwrap_or(0)))
        .collect();
    let mut sums = (0, 0);
    let mut seen = BTreeMap::new();
    for row in &found {
        let of = |name: &str| row[name].as_i64().unwrap();
        let partition = i32::try_from(of("p")).unwrap();
        let offsets = handed
            .get(&partition)
            .unwrap_or_else(|| panic!("{stream_ends}/{partition} was never handed over: {row}"));
        let gone = removed.get(&of("p")).copied().unwrap_or(0);
        assert_eq!(of("n"), of("d"), "{stream_ends}: an offset twice: {row}");
        assert_eq!(
            of("n") + gone,
            offsets.end - offsets.start,
            "{stream_ends}: handed {offsets:?}, removed {gone}, found {row}"
        );
        assert!(
            of("low") >= offsets.start && of("high") < offsets.end,
            "{row}"
        );
        sums = (sums.0 + of("events"), sums.1 + of("rejects"));
        seen.insert(partition, offsets.end - 1);
    }
    assert_eq!(committed(url, stream_ends), seen, "{stream_ends}");
    let all = handed.iter().filter(|(_, offsets)| !offsets.is_empty());
    assert_eq!(seen.len(), all.count(), "{stream_ends}: {found:?}");
    sums
}

/// The answer of the built-in funnel `linking` is the generator's truth, in all and by category.
pub(crate) fn check_truth(url: &str, truth: &Json) {
    let expected = &truth["tenants"]["default"]["linking"];
    let answer = run_well(&[
        "query",
        "linking",
        "--url",
        url,
        "--timezone",
        "UTC",
        "--from",
        "2026-09-15",
        "--to",
        "2026-11-10",
        "--by",
        "category",
        "--json",
    ]);
    let answer: Json = serde_json::from_str(&answer).unwrap();
    check_counts(&answer["total"], &expected["total"], "all");
    let groups = answer["groups"].as_array().unwrap();
    for (category, counts) in expected["by"]["category"].as_object().unwrap() {
        let group = groups
            .iter()
            .find(|g| g["key"]["category"] == category.as_str());
        check_counts(group.unwrap(), counts, category);
    }
}

fn check_counts(group: &Json, truth: &Json, segment: &str) {
    for count in ["entered", "converted", "dropped", "open"] {
        assert_eq!(group[count], truth[count], "{segment}: {count}");
    }
    for (i, step) in group["steps"].as_array().unwrap().iter().enumerate() {
        assert_eq!(
            step["reached"], truth["reached"][i],
            "{segment}: {}",
            step["name"]
        );
    }
}

/// Stored rows and distinct events are the generator's truth.
pub(crate) fn check_stored(url: &str, truth: &Json) {
    let delivered = &truth["delivered"];
    let events = number(url, "select count(*) from events");
    assert_eq!(
        events,
        delivered["events"].as_i64().unwrap(),
        "distinct events"
    );
    let removed = number(
        url,
        "select coalesce(sum(removed_rows), 0) from removed_rows",
    );
    let rows = number(url, "select count(*) from events_raw");
    assert_eq!(rows + removed, delivered["rows"].as_i64().unwrap(), "rows");
    let counts = |name: &str| -> i64 {
        let by_code = delivered[name].as_object().unwrap();
        by_code.values().filter_map(Json::as_i64).sum()
    };
    let of = |kind: &str| {
        number(
            url,
            &format!("select count(*) from rejects where reject_kind = '{kind}'"),
        )
    };
    assert_eq!(of("dead_letter"), counts("dead_letters"), "dead letters");
    assert_eq!(of("suppressed"), counts("suppressed"), "suppressed");
}
