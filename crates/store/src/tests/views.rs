use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::lab::*;
use crate::*;

#[tokio::test]
async fn a_hot_row_is_seen_once_before_and_after_its_commit() {
    let lab = Lab::new().await;
    let segments: Vec<_> = (0..4).map(|i| run_of("s", 0, i * 10, 10)).collect();
    lab.store.publish_shared(segments.clone());
    let hot = lab.store.view();
    assert_eq!(
        (hot.hot_rows(), raw_count(&lab.store, &hot).await),
        (40, 40)
    );
    let before = ids(&lab.store, &hot).await;
    commit(&lab.store, segments[..2].to_vec()).await;
    let mixed = lab.store.view();
    assert_eq!((mixed.hot_rows(), mixed.committed_rows()), (20, 20));
    assert_eq!(ids(&lab.store, &mixed).await, before);
    assert_eq!(
        ids(&lab.store, &hot).await,
        before,
        "a view in use does not change"
    );
    lab.store.publish_shared(segments);
    assert_eq!(
        raw_count(&lab.store, &lab.store.view()).await,
        40,
        "published again, seen once"
    );
}

#[tokio::test]
async fn a_commit_of_another_process_covers_a_part_of_a_hot_segment() {
    let lab = Lab::new().await;
    let segment = run_of("s", 0, 0, 10);
    lab.store.publish_shared(vec![Arc::clone(&segment)]);
    commit(&lab.again().await, vec![run_of("s", 0, 0, 4)]).await;
    lab.store.refresh().await.unwrap();
    let view = lab.store.view();
    assert_eq!(view.committed_rows(), 4);
    assert_eq!(raw_count(&lab.store, &view).await, 10);
    lab.store.drop_hot(&segment.at);
    assert_eq!(raw_count(&lab.store, &lab.store.view()).await, 4);
}

#[tokio::test]
async fn what_is_committed_is_not_published_again() {
    let lab = Lab::new().await;
    let segment = run_of("s", 0, 0, 10);
    commit(&lab.store, vec![Arc::clone(&segment)]).await;
    lab.store.publish_shared(vec![segment]);
    assert_eq!(lab.store.view().hot_rows(), 0);
}

#[tokio::test]
async fn the_watermark_is_the_least_of_live_streams_else_the_last_import() {
    let lab = Lab::new().await;
    let mark = || lab.store.view().watermark_us;
    let at = |partition| StreamPartition::new("s", partition);
    assert_eq!(mark(), None);
    lab.store.set_import_time(5);
    assert_eq!(mark(), Some(5));
    lab.store.set_watermark(at(0), 100);
    lab.store.set_watermark(at(1), 50);
    lab.store.set_watermark(at(1), 40);
    assert_eq!(mark(), Some(50), "it never moves back");
    lab.store.remove_watermark(&at(1));
    assert_eq!(mark(), Some(100));
    lab.store.remove_watermark(&at(0));
    assert_eq!(mark(), Some(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_neither_gap_nor_double_while_commits_go_on() {
    let lab = Lab::new().await;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for partitions in [1, 3] {
        let (store, done) = (lab.store.clone(), Arc::clone(&done));
        readers.push(tokio::spawn(async move {
            let (mut seen, mut looks) = (0, 0);
            while !done.load(Ordering::SeqCst) || looks == 0 {
                let view = store.view();
                let visible: i64 = view.visible().values().map(|last| last + 1).sum();
                let request = ScanRequest {
                    partitions,
                    ..asked(&[OFFSET, "event_id"])
                };
                let rows = run(&store, &view, request).await;
                let mut ids = texts(&rows, 1);
                ids.sort();
                ids.dedup();
                assert_eq!(i64::try_from(ids.len()).unwrap(), visible);
                assert_eq!(longs(&rows, 0).len(), ids.len());
                assert!(ids.len() >= seen, "rows never vanish");
                (seen, looks) = (ids.len(), looks + 1);
            }
        }));
    }
    for round in 0..12 {
        let mut sealed = Vec::new();
        for piece in 0..3 {
            let segments: Vec<_> = (0..2)
                .map(|p| run_of("s", p, round * 30 + piece * 10, 10))
                .collect();
            lab.store.publish_shared(segments.clone());
            sealed.extend(segments);
            tokio::task::yield_now().await;
        }
        commit(&lab.store, sealed).await;
        if round % 5 == 4 {
            lab.store
                .compact(CompactOptions {
                    min_files: 2,
                    full: false,
                })
                .await
                .unwrap();
        }
    }
    done.store(true, Ordering::SeqCst);
    futures::future::try_join_all(readers).await.unwrap();
    assert_eq!(ids(&lab.store, &lab.store.view()).await.len(), 720);
}
