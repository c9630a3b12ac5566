use std::sync::Arc;

use super::lab::*;
use crate::*;

const FULL: CompactOptions = CompactOptions {
    min_files: 2,
    full: true,
};

#[tokio::test]
async fn small_files_of_a_day_become_one_once_there_are_enough() {
    let lab = Lab::new().await;
    lab.now_us
        .store(START_US + 100_000, std::sync::atomic::Ordering::SeqCst);
    for i in 0..7 {
        commit(&lab.store, vec![run_of("s", 0, i * 10, 10)]).await;
    }
    let before = ids(&lab.store, &lab.store.view()).await;
    assert_eq!(
        lab.store
            .compact(CompactOptions::default())
            .await
            .unwrap()
            .merges,
        0
    );
    commit(&lab.store, vec![run_of("s", 0, 70, 10)]).await;
    let report = lab.store.compact(CompactOptions::default()).await.unwrap();
    assert_eq!(
        (report.merges, report.files_before, report.rows),
        (1, 8, 80)
    );
    assert_eq!(lab.store.view().files(), 1);
    let after = ids(&lab.store, &lab.store.view()).await;
    assert_eq!(after.len(), 80);
    assert!(before.iter().all(|id| after.contains(id)));
}

#[tokio::test]
async fn a_finished_day_becomes_one_file_and_days_stay_apart() {
    let lab = Lab::new().await;
    let day = |day: i64| -> Vec<Row> {
        let at = START_US + day * DAY_US;
        vec![(day, at, event(&format!("e{day}"), "c", at))]
    };
    for i in 0..3 {
        commit(&lab.store, vec![segment("s", 0, &day(i))]).await;
        commit(&lab.store, vec![segment("t", 0, &day(i))]).await;
    }
    lab.pass(2 * DAY_US);
    let report = lab.store.compact(CompactOptions::default()).await.unwrap();
    assert_eq!(
        (report.merges, report.copies),
        (2, 2),
        "today waits for more files"
    );
    assert_eq!(lab.store.view().files(), 4);
    lab.pass(121_000_000);
    let report = lab.store.compact(CompactOptions::default()).await.unwrap();
    assert_eq!(report.merges, 1, "nothing more comes");
    assert_eq!(lab.store.view().files(), 3);
    assert_eq!(ids(&lab.store, &lab.store.view()).await, ["e0", "e1", "e2"]);
}

#[tokio::test]
async fn a_tiny_file_does_not_keep_the_others_of_its_day_apart() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 1)]).await;
    for i in 0..3 {
        commit(&lab.store, vec![run_of("s", 0, 1 + i * 20, 20)]).await;
    }
    lab.pass(2 * DAY_US);
    let report = lab.store.compact(CompactOptions::default()).await.unwrap();
    assert_eq!((report.merges, report.rows), (1, 60));
    assert_eq!(
        lab.store.view().files(),
        2,
        "it is not worth their rewriting"
    );
    assert_eq!(ids(&lab.store, &lab.store.view()).await.len(), 61);
}

#[tokio::test]
async fn dropped_copies_are_counted_by_the_commit_that_drops_them() {
    let lab = Lab::new().await;
    let row = |offset| (offset, START_US + offset, event("a", "c", START_US));
    commit(
        &lab.store,
        vec![
            segment("s", 0, &[row(0), row(1)]),
            segment("s", 1, &[row(5)]),
        ],
    )
    .await;
    let report = lab.store.compact(FULL).await.unwrap();
    assert_eq!((report.merges, report.copies), (1, 2));
    let removed = "select _stream, _partition, removed_rows from removed_rows order by 2";
    assert_eq!(
        sql(&lab.store, "default", removed).await,
        ["s 0 1"],
        "the other has no rows left"
    );
    let log = std::fs::read_to_string(lab.dir.path().join("_delta_log/00000000000000000002.json"));
    let log = log.unwrap();
    assert!(
        log.contains(r#""removedRows":[{"#) && log.contains(r#""stream":"s""#),
        "{log}"
    );
    commit(&lab.store, vec![segment("s", 0, &[row(2)])]).await;
    lab.store.compact(FULL).await.unwrap();
    assert_eq!(
        sql(&lab.again().await, "default", removed).await,
        ["s 0 2"],
        "totals add up"
    );
    assert_eq!(
        lab.store.compact(FULL).await.unwrap(),
        CompactionReport::default()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ingest_and_two_compacting_processes_at_once_lose_nothing() {
    let lab = Lab::new().await;
    let mut tasks = Vec::new();
    for partition in 0..2 {
        let store = lab.again().await;
        tasks.push(tokio::spawn(async move {
            for round in 0..10 {
                commit(&store, vec![run_of("s", partition, round * 10, 10)]).await;
            }
        }));
    }
    for _ in 0..2 {
        let store = lab.again().await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..8 {
                store
                    .compact(CompactOptions {
                        min_files: 2,
                        full: false,
                    })
                    .await
                    .unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }));
    }
    futures::future::try_join_all(tasks).await.unwrap();
    let store = lab.again().await;
    assert_eq!(raw_count(&store, &store.view()).await, 200);
    assert_eq!(ids(&store, &store.view()).await.len(), 200);
    assert_eq!(
        sql(
            &store,
            "default",
            "select sum(removed_rows) from removed_rows"
        )
        .await,
        ["0"]
    );
}

#[tokio::test]
async fn a_process_that_dies_while_compacting_leaves_the_table_as_it_was() {
    for point in ["during_compaction", "after_commit"] {
        let lab = Lab::new().await;
        commit(&lab.store, vec![run_of("s", 0, 0, 10)]).await;
        commit(&lab.store, vec![run_of("s", 0, 10, 10)]).await;
        let fault: Fault = Arc::new(move |name| assert_ne!(name, point, "killed here"));
        let options = StoreOptions {
            fault: Some(fault),
            ..StoreOptions::default()
        };
        let location = Location::parse(lab.dir.path().to_str().unwrap()).unwrap();
        let doomed = Store::open(&location, options, clock(&lab.now_us))
            .await
            .unwrap();
        let killed = tokio::spawn(async move { doomed.compact(FULL).await }).await;
        assert!(killed.is_err(), "it was to die at {point}");
        let store = lab.again().await;
        assert_eq!(raw_count(&store, &store.view()).await, 20);
        store.compact(FULL).await.unwrap();
        assert_eq!(ids(&store, &store.view()).await.len(), 20);
        assert_eq!(store.view().files(), 1);
    }
}

#[tokio::test]
async fn a_process_that_dies_while_committing_writes_its_rows_once() {
    for point in ["before_parquet", "after_parquet", "after_commit"] {
        let lab = Lab::new().await;
        let fault: Fault = Arc::new(move |name| assert_ne!(name, point, "killed here"));
        let options = StoreOptions {
            fault: Some(fault),
            ..StoreOptions::default()
        };
        let location = Location::parse(lab.dir.path().to_str().unwrap()).unwrap();
        let doomed = Store::open(&location, options, clock(&lab.now_us))
            .await
            .unwrap();
        let segments = vec![run_of("s", 0, 0, 10)];
        let again = segments.clone();
        let killed = tokio::spawn(async move { doomed.commit(batch(segments)).await }).await;
        assert!(killed.is_err(), "it was to die at {point}");
        let store = lab.again().await;
        commit(&store, again).await;
        assert_eq!(raw_count(&store, &store.view()).await, 10, "{point}");
    }
}

#[tokio::test]
async fn a_process_that_dies_around_a_checkpoint_loses_nothing() {
    for deadly_pass in 1..=2 {
        let lab = Lab::new().await;
        let passes = std::sync::atomic::AtomicU32::new(0);
        let fault: Fault = Arc::new(move |name| {
            if name == "during_checkpoint" {
                let pass = passes.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                assert_ne!(pass, deadly_pass, "killed here");
            }
        });
        let options = StoreOptions {
            fault: Some(fault),
            checkpoint_every: 1,
            ..Default::default()
        };
        let location = Location::parse(lab.dir.path().to_str().unwrap()).unwrap();
        let doomed = Store::open(&location, options, clock(&lab.now_us))
            .await
            .unwrap();
        commit(&doomed, vec![run_of("s", 0, 0, 10)]).await;
        assert!(
            tokio::spawn(async move { doomed.maintain().await })
                .await
                .is_err()
        );
        let store = lab.again().await;
        assert_eq!(raw_count(&store, &store.view()).await, 10);
        commit(&store, vec![run_of("s", 0, 0, 20)]).await;
        assert_eq!(raw_count(&lab.again().await, &store.view()).await, 20);
    }
}

#[tokio::test]
async fn rejects_are_merged_too_and_none_is_lost() {
    let lab = Lab::new().await;
    for offset in 0..3 {
        let mut rejects = RejectBatchBuilder::new();
        let row = RejectRow {
            kind: RejectKind::DeadLetter,
            code: "not_json",
            pointer: "",
            detail: "no JSON",
            payload: Some(b"sealed"),
            key_id: Some("k"),
        };
        // the very same message three times: rejects have no copies
        let at = RowPosition {
            stream: "s",
            partition: 0,
            offset,
            index: 0,
        };
        rejects.push(at, "default", START_US, &row);
        let empty = spanning("s", 0, offset, offset, &[]);
        let segment = HotSegment {
            rejects: rejects.finish(),
            ..(*empty).clone()
        };
        commit(&lab.store, vec![Arc::new(segment)]).await;
    }
    assert_eq!(lab.store.compact(FULL).await.unwrap().merges, 1);
    assert_eq!(lab.paths("_kind=reject").len(), 4);
    let offsets = sql(
        &lab.store,
        "default",
        "select _offset from rejects order by 1",
    )
    .await;
    assert_eq!(offsets, ["0", "1", "2"]);
}
