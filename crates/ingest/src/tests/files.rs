//! Files: the same one twice changes nothing, a cut-off import goes on.

use std::sync::Arc;

use linkfunnel_store::{Relation, Store};

use super::world::*;
use crate::{Error, ImportOptions, ImportProgress, Result, import};

fn records() -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = (0..1_000).map(event).collect();
    records.push(event(3));
    records.push(b"{\"event\":".to_vec());
    records
}

async fn run(
    store: &Store,
    records: Vec<Vec<u8>>,
    options: ImportOptions,
) -> Result<ImportProgress> {
    let records = records.into_iter().map(Ok);
    import(
        "abc",
        records,
        options,
        store,
        vault(),
        metrics(),
        &clock(),
        |_| {},
    )
    .await
}

fn options() -> ImportOptions {
    ImportOptions {
        commit_records: 250,
        ..ImportOptions::default()
    }
}

fn offsets(count: i64) -> Vec<(i32, i64)> {
    (0..count).map(|offset| (0, offset)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_twice_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first = run(&store, records(), options()).await.unwrap();
    let expected = ImportProgress {
        read: 1_002,
        already: 0,
        stored: 1_000,
        duplicates: 1,
        dead_letters: 1,
        suppressed: 0,
        committed: 1_002,
    };
    assert_eq!(first, expected);
    assert!(
        store.view().watermark_us.is_some(),
        "an import moves the watermark of a table without streams"
    );
    let version = store.view().version;
    let again = run(&store, records(), options()).await.unwrap();
    assert_eq!(
        (again.read, again.already, again.stored, again.committed),
        (1_002, 1_002, 0, 1_002)
    );
    assert_eq!(store.view().version, version);
    assert_each_once(&store, "import:abc", &offsets(1_002)).await;
    assert_eq!(events(&store).await, 1_000);
    let sources = rows(&store, Relation::Events, "distinct source").await;
    assert_eq!(sources, [["import"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_breaks_off_goes_on_behind_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let broken = records()
        .into_iter()
        .map(Ok)
        .take(600)
        .chain([Err("the disk is gone".into())]);
    let error = import(
        "abc",
        broken,
        options(),
        &store,
        vault(),
        metrics(),
        &clock(),
        |_| {},
    )
    .await
    .unwrap_err();
    assert!(
        matches!(error, Error::Record { number: 600, .. }),
        "{error}"
    );
    drop(store);
    let store = open(folder.path()).await;
    let resumed = run(&store, records(), options()).await.unwrap();
    assert!(resumed.already >= 250, "{resumed:?}");
    assert_eq!(resumed.committed, 1_002);
    assert_each_once(&store, "import:abc", &offsets(1_002)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_of_the_kill_tests_is_passed_during_an_import() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let passed = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = passed.clone();
    let fault: crate::Fault = Arc::new(move |place| {
        assert_eq!(place, "during_import");
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    run(
        &store,
        records(),
        ImportOptions {
            fault: Some(fault),
            ..options()
        },
    )
    .await
    .unwrap();
    assert!(passed.load(std::sync::atomic::Ordering::Relaxed) >= 4);
}
