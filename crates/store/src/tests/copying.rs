use std::collections::BTreeMap;
use std::sync::Arc;

use super::lab::*;
use crate::*;

/// The survivors' (id, received at, offset), by id.
async fn survivors(store: &Store, view: &Arc<ReadView>) -> Vec<(String, i64, i64)> {
    let rows = run(store, view, asked(&["event_id", RECEIVED_AT, OFFSET])).await;
    let ids = texts(&rows, 0).into_iter();
    let mut all: Vec<_> = ids
        .zip(longs(&rows, 1))
        .zip(longs(&rows, 2))
        .map(|((id, received), offset)| (id, received - START_US, offset))
        .collect();
    all.sort();
    all
}

fn copy(offset: i64, received: i64, id: &str) -> Row {
    (offset, START_US + received, event(id, "c", START_US))
}

fn expect(rows: &[(&str, i64, i64)]) -> Vec<(String, i64, i64)> {
    rows.iter()
        .map(|(id, received, offset)| ((*id).to_owned(), *received, *offset))
        .collect()
}

#[tokio::test]
async fn the_copy_received_first_survives_wherever_it_lies() {
    let first = segment(
        "s",
        0,
        &[copy(0, 50, "a"), copy(1, 60, "b"), copy(2, 55, "a")],
    );
    let second = segment(
        "s",
        1,
        &[copy(0, 40, "a"), copy(1, 70, "b"), copy(2, 60, "b")],
    );
    let expected = expect(&[("a", 40, 0), ("b", 60, 1)]);
    for committed in 0..4 {
        let lab = Lab::new().await;
        let segments = [Arc::clone(&first), Arc::clone(&second)];
        for (at, segment) in segments.into_iter().enumerate() {
            match committed >> at & 1 {
                0 => lab.store.publish_shared(vec![segment]),
                _ => drop(commit(&lab.store, vec![segment]).await),
            }
        }
        let view = lab.store.view();
        assert_eq!(
            survivors(&lab.store, &view).await,
            expected,
            "files: {committed:b}"
        );
        assert_eq!(raw_count(&lab.store, &view).await, 6);
    }
}

#[tokio::test]
async fn files_that_arrived_one_after_the_other_need_no_tie_breakers() {
    let lab = Lab::new().await;
    commit(
        &lab.store,
        vec![segment(
            "s",
            0,
            &[copy(0, 90_000, "a"), copy(1, 90_000, "b")],
        )],
    )
    .await;
    commit(
        &lab.store,
        vec![segment(
            "s",
            1,
            &[copy(0, 10_000, "a"), copy(1, 10_001, "c")],
        )],
    )
    .await;
    lab.store
        .publish_shared(vec![segment("s", 2, &[copy(0, 200_000, "c")])]);
    let view = lab.store.view();
    let plan = plan(&lab.store, &view, asked(&["event_id"])).await;
    let shown = datafusion::physical_plan::displayable(plan.as_ref())
        .indent(false)
        .to_string();
    assert!(
        shown.contains("DropCopiesExec: first wins") && !shown.contains(RECEIVED_AT),
        "{shown}"
    );
    let expected = expect(&[("a", 10_000, 0), ("b", 90_000, 1), ("c", 10_001, 1)]);
    assert_eq!(survivors(&lab.store, &view).await, expected);
}

#[tokio::test]
async fn a_long_row_of_copies_across_batches_leaves_one() {
    let lab = Lab::new().await;
    let rows = |partition: i64| -> Vec<Row> {
        (0..9000)
            .map(|o| copy(o, 10_000 - o + partition, "a"))
            .collect()
    };
    commit(&lab.store, vec![segment("s", 0, &rows(0))]).await;
    commit(&lab.store, vec![segment("s", 1, &rows(1))]).await;
    lab.store.publish_shared(vec![
        segment("s", 2, &rows(2)),
        segment("s", 3, &[copy(0, 5, "b")]),
    ]);
    let expected = expect(&[("a", 1001, 8999), ("b", 5, 0)]);
    assert_eq!(survivors(&lab.store, &lab.store.view()).await, expected);
}

#[tokio::test]
async fn compaction_leaves_of_a_long_row_of_copies_the_first_for_each_set_of_ids() {
    let lab = Lab::new().await;
    let rows = |partition: i64| -> Vec<Row> {
        let row = |offset: i64| {
            let (offset, received, event) = copy(offset, 10_000 - offset + partition, "a");
            // two of three thousand name a session too
            let event = match offset % 3_000 {
                0 => event.with(linkfunnel_model::Field::SessionId, "s"),
                _ => event,
            };
            (offset, received, event)
        };
        (0..9_000).map(row).collect()
    };
    for partition in [1, 0, 2] {
        let rows = rows(i64::from(partition));
        commit(&lab.store, vec![segment("s", partition, &rows)]).await;
    }
    commit(&lab.store, vec![segment("s", 3, &[copy(0, 99_999, "b")])]).await;
    let full = CompactOptions {
        full: true,
        ..Default::default()
    };
    let report = lab.store.compact(full).await.unwrap();
    assert_eq!((report.rows, report.copies), (27_001, 26_998));
    let request = ScanRequest {
        raw: true,
        ..asked(&["session_id", RECEIVED_AT, OFFSET])
    };
    let left = run(&lab.store, &lab.store.view(), request).await;
    let mut left: Vec<_> = texts(&left, 0)
        .into_iter()
        .zip(longs(&left, 1).into_iter().zip(longs(&left, 2)))
        .map(|(session, (received, offset))| (session, received - START_US, offset))
        .collect();
    left.sort();
    let expected = [("", 1_001, 8_999), ("", 99_999, 0), ("s", 4_000, 6_000)];
    assert_eq!(left, expected.map(|(s, r, o)| (s.to_owned(), r, o)));
    let one = expect(&[("a", 1_001, 8_999), ("b", 99_999, 0)]);
    assert_eq!(survivors(&lab.store, &lab.store.view()).await, one);
}

#[tokio::test]
async fn neighbours_that_differ_in_one_part_of_the_key_are_no_copies() {
    let lab = Lab::new().await;
    let rows: Vec<Row> = vec![
        (0, START_US, event("a", "c", START_US)),
        (1, START_US, event("a", "c", START_US + 1)),
        (2, START_US, event("a", "d", START_US)),
        (3, START_US, event("b", "c", START_US)),
        (
            4,
            START_US,
            event("a", "c", START_US).with(linkfunnel_model::Field::TenantId, "other"),
        ),
        (5, START_US + 9, event("a", "c", START_US)),
    ];
    commit(&lab.store, vec![segment("s", 0, &rows)]).await;
    let mut left = ids(&lab.store, &lab.store.view()).await;
    left.sort();
    assert_eq!(left, ["a", "a", "a", "b"]);
    assert_eq!(
        sql(&lab.store, "other", "select count(*) from events").await,
        ["1"]
    );
}

/// What must come out: per event its least (received, stream, partition, offset).
type Oracle = BTreeMap<(String, i64), (i64, i32, i64)>;

#[tokio::test]
async fn random_resends_change_no_answer_hot_cold_or_compacted() {
    for seed in [1, 2, 3] {
        let (lab, mut dice) = (Lab::new().await, Dice(seed));
        let (mut oracle, mut next) = (Oracle::new(), [0_i64; 3]);
        let mut waiting: Vec<Arc<HotSegment>> = Vec::new();
        for round in 0..30_i64 {
            let partition = i32::try_from(dice.roll(3)).unwrap();
            let offset = &mut next[usize::try_from(partition).unwrap()];
            let mut rows = Vec::new();
            for _ in 0..=dice.roll(20) {
                let id = dice.roll(60);
                let occurred = START_US + id % 7;
                let received = START_US + round * 100 + dice.roll(400);
                let name = id.to_string();
                rows.push((
                    *offset,
                    received,
                    event(&name, &format!("c{}", id % 5), occurred),
                ));
                let place = (received, partition, *offset);
                let kept = oracle.entry((name, occurred)).or_insert(place);
                *kept = place.min(*kept);
                *offset += 1;
            }
            let segment = segment("s", partition, &rows);
            lab.store.publish_shared(vec![Arc::clone(&segment)]);
            waiting.push(segment);
            if dice.roll(3) == 0 {
                commit(&lab.store, std::mem::take(&mut waiting)).await;
            }
            if dice.roll(6) == 0 {
                let options = CompactOptions {
                    min_files: 2,
                    full: dice.roll(2) == 0,
                };
                lab.store.compact(options).await.unwrap();
            }
            check(&lab.store, &oracle, &format!("seed {seed}, round {round}")).await;
        }
        commit(&lab.store, waiting).await;
        lab.store
            .compact(CompactOptions {
                full: true,
                ..Default::default()
            })
            .await
            .unwrap();
        check(&lab.store, &oracle, "at the end").await;
        let left = raw_count(&lab.store, &lab.store.view()).await;
        let removed = "select cast(sum(removed_rows) as bigint) from removed_rows";
        let removed: i64 = sql(&lab.store, "default", removed).await[0]
            .parse()
            .unwrap();
        let taken: i64 = next.iter().sum();
        assert_eq!(
            i64::try_from(left).unwrap() + removed,
            taken,
            "rows left and removed add up"
        );
        assert_eq!(left, oracle.len());
    }
}

async fn check(store: &Store, oracle: &Oracle, when: &str) {
    let view = store.view();
    let columns = ["event_id", OCCURRED_AT, RECEIVED_AT, OFFSET];
    for partitions in [1, 4] {
        let request = ScanRequest {
            partitions,
            ..asked(&columns)
        };
        let rows = run(store, &view, request).await;
        let mut found: Vec<_> = texts(&rows, 0)
            .into_iter()
            .zip(longs(&rows, 1))
            .zip(longs(&rows, 2).into_iter().zip(longs(&rows, 3)))
            .collect();
        found.sort();
        let expected: Vec<_> = oracle
            .iter()
            .map(|(key, (received, _, offset))| (key.clone(), (*received, *offset)))
            .collect();
        assert_eq!(found, expected, "{when}");
    }
}
