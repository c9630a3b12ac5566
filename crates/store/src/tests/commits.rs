use std::sync::Arc;

use super::lab::*;
use crate::*;

#[tokio::test]
async fn committed_rows_and_offsets_are_there_after_a_restart() {
    let lab = Lab::new().await;
    let at = StreamPartition::new("s", 0);
    assert_eq!(lab.store.committed(&at), None);
    let print = Fingerprint {
        timestamp_ms: 77,
        crc: u32::MAX,
    };
    let mut both = batch(vec![run_of("s", 0, 0, 10), run_of("s", 1, 5, 10)]);
    both.fingerprints.push((at.clone(), print));
    let outcome = lab.store.commit(both).await.unwrap();
    assert_eq!(
        (outcome.events, outcome.rejects, outcome.version),
        (20, 0, Some(1))
    );
    for store in [lab.store.clone(), lab.again().await] {
        assert_eq!(store.committed(&at), Some(9));
        assert_eq!(store.committed(&StreamPartition::new("s", 1)), Some(14));
        assert_eq!(store.fingerprint(&at), Some(print));
        assert_eq!(ids(&store, &store.view()).await.len(), 20);
    }
}

#[tokio::test]
async fn a_segment_handed_over_again_is_not_written_again() {
    let lab = Lab::new().await;
    let segments = vec![run_of("s", 0, 0, 10)];
    commit(&lab.store, segments.clone()).await;
    let again = commit(&lab.store, segments.clone()).await;
    assert_eq!((again.version, again.events), (None, 0));
    assert_eq!(again.skipped, [(StreamPartition::new("s", 0), 0, 9)]);
    let twice = commit(
        &lab.store,
        vec![run_of("s", 0, 10, 5), run_of("s", 0, 10, 5)],
    )
    .await;
    assert_eq!(twice.events, 5, "in one batch neither");
    assert_eq!(raw_count(&lab.store, &lab.store.view()).await, 15);
}

#[tokio::test]
async fn of_a_segment_that_is_partly_committed_only_the_rest_is_written() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 6)]).await;
    let rest = commit(&lab.store, vec![run_of("s", 0, 4, 6)]).await;
    assert_eq!(rest.events, 4);
    assert_eq!(rest.skipped, [(StreamPartition::new("s", 0), 4, 5)]);
    assert_eq!(raw_count(&lab.store, &lab.store.view()).await, 10);
}

#[tokio::test]
async fn offsets_move_even_where_a_segment_holds_no_rows() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![spanning("s", 0, 0, 99, &[])]).await;
    assert_eq!(
        lab.again().await.committed(&StreamPartition::new("s", 0)),
        Some(99)
    );
}

#[tokio::test]
async fn another_process_that_committed_the_same_rows_first_is_noticed() {
    let lab = Lab::new().await;
    let other = lab.again().await;
    commit(&other, vec![run_of("s", 0, 0, 7)]).await;
    let outcome = commit(&lab.store, vec![run_of("s", 0, 0, 10)]).await;
    assert_eq!((outcome.events, outcome.conflicts), (3, 1));
    assert_eq!(raw_count(&lab.store, &lab.store.view()).await, 10);
    let files = lab.paths("_kind=event");
    assert_eq!(
        files.len(),
        2,
        "the file written in vain is deleted: {files:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_at_once_lose_nothing_and_write_nothing_twice() {
    let lab = Lab::new().await;
    let mut writers = Vec::new();
    for partition in 0..3 {
        let store = lab.again().await;
        writers.push(tokio::spawn(async move {
            for round in 0..6 {
                commit(&store, vec![run_of("s", partition, round * 10, 10)]).await;
            }
        }));
    }
    futures::future::try_join_all(writers).await.unwrap();
    lab.store.refresh().await.unwrap();
    let view = lab.store.view();
    assert_eq!(view.version, 18);
    assert_eq!(raw_count(&lab.store, &view).await, 180);
    assert_eq!(ids(&lab.store, &view).await.len(), 180);
}

#[tokio::test]
async fn rejects_ride_in_the_same_commit() {
    let lab = Lab::new().await;
    let mut rejects = RejectBatchBuilder::new();
    let row = RejectRow {
        kind: RejectKind::DeadLetter,
        code: "not_json",
        pointer: "",
        detail: "no JSON",
        payload: Some(b"sealed"),
        key_id: Some("k"),
    };
    let at = RowPosition {
        stream: "s",
        partition: 0,
        offset: 10,
        index: 0,
    };
    rejects.push(at, "default", START_US, &row);
    let events = run_of("s", 0, 0, 10);
    let segment = HotSegment {
        last: 10,
        rejects: rejects.finish(),
        ..(*events).clone()
    };
    let outcome = commit(&lab.store, vec![Arc::new(segment)]).await;
    assert_eq!(
        (outcome.events, outcome.rejects, outcome.version),
        (10, 1, Some(1))
    );
    let offsets = "select _offset from rejects union all select _offset from events_raw order by 1";
    let offsets = sql(&lab.store, "default", offsets).await;
    assert_eq!(offsets, (0..=10).map(|o| o.to_string()).collect::<Vec<_>>());
    assert_eq!(
        sql(
            &lab.store,
            "default",
            "select reject_code from dead_letters"
        )
        .await,
        ["not_json"]
    );
}

#[tokio::test]
async fn names_that_could_be_mistaken_for_bookkeeping_are_refused() {
    let lab = Lab::new().await;
    for name in ["", "removed:x", "fingerprint:x"] {
        let refused = lab.store.commit(batch(vec![run_of(name, 0, 0, 1)])).await;
        assert!(matches!(refused, Err(Error::Segment { .. })), "{name:?}");
    }
}
