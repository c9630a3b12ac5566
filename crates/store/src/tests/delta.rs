//! What we rely on in Delta Lake's library and format, each in a few lines.

use std::sync::Arc;

use deltalake::kernel::{Action, Transaction};
use deltalake::operations::create::CreateBuilder;
use deltalake::{DeltaTable, DeltaTableBuilder};

use super::lab::*;
use crate::file::DataFile;
use crate::*;

async fn delta(lab: &Lab) -> DeltaTable {
    let url = url::Url::from_directory_path(lab.dir.path()).unwrap();
    let mut table = DeltaTableBuilder::from_url(url).unwrap().build().unwrap();
    table.load().await.unwrap();
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn other_delta_readers_see_the_same_version_files_and_transactions() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 10)]).await;
    commit(&lab.store, vec![run_of("s", 0, 10, 10)]).await;
    lab.store
        .compact(CompactOptions {
            full: true,
            ..Default::default()
        })
        .await
        .unwrap();
    commit(&lab.store, vec![run_of("s", 0, 20, 10)]).await;
    let table = delta(&lab).await;
    assert_eq!(table.version(), Some(4));
    let snapshot = table.snapshot().unwrap().snapshot();
    let files: Vec<_> = snapshot
        .log_data()
        .iter()
        .map(|f| f.num_records().unwrap())
        .collect();
    assert_eq!(files.iter().sum::<usize>(), 30);
    assert_eq!(files.len(), 2);
    let log = table.log_store();
    let offset = snapshot
        .transaction_version(log.as_ref(), "s/0")
        .await
        .unwrap();
    assert_eq!(offset, Some(29));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_keeps_all_that_we_need() {
    let options = StoreOptions {
        checkpoint_every: 3,
        ..StoreOptions::default()
    };
    let lab = Lab::with(options).await;
    let print = Fingerprint {
        timestamp_ms: 5,
        crc: 4_000_000_000,
    };
    let mut first = batch(vec![run_of("s", 0, 0, 10), run_of("s", 0, 10, 10)]);
    first
        .fingerprints
        .push((StreamPartition::new("s", 0), print));
    lab.store.commit(first).await.unwrap();
    let copies = [run_of("t", 0, 0, 1), run_of("t", 0, 1, 1)];
    let same = |offset| (offset, START_US, event("copy", "c", START_US));
    commit(&lab.store, vec![segment("u", 0, &[same(0), same(1)])]).await;
    lab.store
        .compact(CompactOptions {
            full: true,
            ..Default::default()
        })
        .await
        .unwrap();
    commit(&lab.store, copies.to_vec()).await;
    let before = lab.store.view();
    let report = lab.store.maintain().await.unwrap();
    assert_eq!(report.checkpoint, Some(4));
    for version in 0..4 {
        let commit = format!("_delta_log/{version:020}.json");
        std::fs::remove_file(lab.dir.path().join(commit)).unwrap();
    }
    let store = lab.again().await;
    let after = store.view();
    assert_eq!(after.version, 4);
    assert_eq!(after.table.offsets, before.table.offsets);
    assert_eq!(after.table.fingerprints, before.table.fingerprints);
    assert_eq!(after.table.removed, before.table.removed);
    assert_eq!(after.table.maintenance, 1);
    assert_eq!(after.table.id, before.table.id);
    // since when a file's rows are there is known of later commits alone
    let undated = |view: &ReadView| -> Vec<DataFile> {
        let file = |file: &Arc<DataFile>| DataFile {
            newest: 0,
            ..DataFile::clone(file)
        };
        view.table.events.values().map(file).collect()
    };
    assert_eq!(
        undated(&after),
        undated(&before),
        "with spans, level and statistics"
    );
    assert!(after.table.events.values().all(|file| file.newest == 4));
    assert_eq!(ids(&store, &after).await, ids(&lab.store, &before).await);
    assert_eq!(delta(&lab).await.version(), Some(4));
    commit(&store, vec![run_of("s", 0, 20, 5)]).await;
    assert_eq!(raw_count(&store, &store.view()).await, 28);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_files_are_still_known_after_a_checkpoint_and_a_restart() {
    let options = StoreOptions {
        checkpoint_every: 1,
        ..StoreOptions::default()
    };
    let lab = Lab::with(options).await;
    let real_us = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let real_us = i64::try_from(real_us.as_micros()).unwrap();
    lab.now_us
        .store(real_us, std::sync::atomic::Ordering::SeqCst); // Delta's library asks the system's clock
    commit(&lab.store, vec![run_of("s", 0, 0, 10)]).await;
    commit(&lab.store, vec![run_of("s", 0, 10, 10)]).await;
    lab.store
        .compact(CompactOptions {
            full: true,
            ..Default::default()
        })
        .await
        .unwrap();
    lab.store.maintain().await.unwrap();
    let store = lab.again().await;
    lab.pass(27 * 3_600_000_000);
    assert_eq!(store.maintain().await.unwrap().data_files, 2);
    assert_eq!(lab.paths("_kind=event").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cleaning_the_log_keeps_what_the_last_checkpoint_needs() {
    let options = StoreOptions {
        checkpoint_every: 2,
        ..StoreOptions::default()
    };
    let lab = Lab::with(options).await;
    for i in 0..4 {
        commit(&lab.store, vec![run_of("s", 0, i * 10, 10)]).await;
        lab.store.maintain().await.unwrap();
    }
    lab.now_us
        .store(i64::MAX / 4, std::sync::atomic::Ordering::SeqCst); // far in the future
    commit(&lab.store, vec![run_of("s", 0, 40, 10)]).await;
    commit(&lab.store, vec![run_of("s", 0, 50, 10)]).await;
    let report = lab.store.maintain().await.unwrap();
    assert!(report.log_files >= 4, "{report:?}");
    let store = lab.again().await;
    assert_eq!(raw_count(&store, &store.view()).await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_slept_while_the_log_was_cleaned_up_writes_nothing_into_the_past() {
    let options = StoreOptions {
        checkpoint_every: 2,
        ..StoreOptions::default()
    };
    let lab = Lab::with(options).await;
    let asleep = lab.again().await;
    for i in 0..4 {
        commit(&lab.store, vec![run_of("s", 0, i * 10, 10)]).await;
    }
    lab.now_us
        .store(i64::MAX / 4, std::sync::atomic::Ordering::SeqCst); // far in the future
    assert!(lab.store.maintain().await.unwrap().log_files >= 4);
    let outcome = commit(&asleep, vec![run_of("s", 0, 35, 10), run_of("t", 0, 0, 5)]).await;
    assert_eq!((outcome.version, outcome.events), (Some(5), 10));
    let store = lab.again().await;
    assert_eq!(raw_count(&store, &store.view()).await, 50);
}

#[tokio::test]
async fn a_writer_that_removes_rows_meanwhile_does_not_stop_ingest() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 10)]).await;
    let path = lab.store.view().table.events.keys().next().unwrap().clone();
    let remove = serde_json::json!({"remove": {
        "path": path, "dataChange": true, "deletionTimestamp": 1, "extendedFileMetadata": false}});
    let log = lab.dir.path().join("_delta_log/00000000000000000002.json");
    std::fs::write(log, format!("{remove}\n")).unwrap();
    let outcome = commit(&lab.store, vec![run_of("s", 0, 10, 10)]).await;
    assert_eq!(
        (outcome.version, outcome.conflicts, outcome.events),
        (Some(3), 1, 10)
    );
    assert_eq!(raw_count(&lab.store, &lab.store.view()).await, 10);
}

#[tokio::test]
async fn of_two_maintenances_planned_on_the_same_state_one_happens() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 10)]).await;
    commit(&lab.store, vec![run_of("s", 0, 10, 10)]).await;
    let full = || CompactOptions {
        full: true,
        ..Default::default()
    };
    let other = lab.again().await;
    let (a, b) = futures::future::join(lab.store.compact(full()), other.compact(full())).await;
    let merges = a.unwrap().merges + b.unwrap().merges;
    assert_eq!(merges, 1);
    let store = lab.again().await;
    assert_eq!(raw_count(&store, &store.view()).await, 20);
    assert_eq!(store.view().table.maintenance, 1);
}

#[tokio::test]
async fn a_table_of_an_older_version_gets_the_columns_it_lacks() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 10)]).await;
    // rewrite the first commit as an older program would have made it
    let log = lab.dir.path().join("_delta_log/00000000000000000000.json");
    let text = std::fs::read_to_string(&log).unwrap();
    let mut out = String::new();
    for line in text.lines() {
        let mut action: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(schema) = action.pointer_mut("/metaData/schemaString") {
            let mut fields: serde_json::Value =
                serde_json::from_str(schema.as_str().unwrap()).unwrap();
            let list = fields["fields"].as_array_mut().unwrap();
            list.retain(|f| f["name"] != "locale" && f["name"] != "experiments");
            *schema = fields.to_string().into();
        }
        out += &format!("{action}\n");
    }
    std::fs::write(&log, out).unwrap();
    let store = lab.again().await;
    assert_eq!(store.view().version, 2, "one commit adds them");
    assert!(store.view().table.columns.iter().any(|c| c == "locale"));
    assert_eq!(raw_count(&store, &store.view()).await, 10);
    assert_eq!(lab.again().await.view().version, 2, "once");
    lab.store.refresh().await.unwrap();
    commit(&lab.store, vec![run_of("s", 0, 10, 10)]).await;
}

#[tokio::test]
async fn a_table_of_a_newer_version_is_read_and_its_files_are_not_rewritten() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 10)]).await;
    let path = lab
        .dir
        .path()
        .join(lab.store.view().table.events.keys().next().unwrap());
    add_column(&path);
    let size = std::fs::metadata(&path).unwrap().len();
    let log = lab.dir.path().join("_delta_log/00000000000000000001.json");
    let lines = std::fs::read_to_string(&log).unwrap();
    let lines = lines.lines().map(|line| {
        let mut action: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(add) = action.get_mut("add") {
            add["size"] = size.into();
        }
        format!("{action}\n")
    });
    std::fs::write(&log, lines.collect::<String>()).unwrap();
    commit(&lab.store, vec![run_of("s", 0, 10, 10)]).await;
    let store = lab.again().await;
    assert_eq!(ids(&store, &store.view()).await.len(), 20);
    let report = store
        .compact(CompactOptions {
            full: true,
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(report.merges, 0);
}

/// Writes the file again with a column that we do not know.
fn add_column(path: &std::path::Path) {
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};
    let file = std::fs::File::open(path).unwrap();
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let mut fields: Vec<_> = batches[0].schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(
        "from_the_future",
        DataType::Int64,
        true,
    )));
    let schema = Arc::new(Schema::new(fields));
    let mut columns = batches[0].columns().to_vec();
    columns.push(Arc::new(Int64Array::from(vec![1; batches[0].num_rows()])));
    let batch = arrow::record_batch::RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn a_table_that_is_not_ours_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let url = url::Url::from_directory_path(dir.path()).unwrap();
    CreateBuilder::new()
        .with_location(url.as_str())
        .with_column("x", deltalake::kernel::DataType::LONG, true, None)
        .await
        .unwrap();
    let location = Location::parse(dir.path().to_str().unwrap()).unwrap();
    let clock: linkfunnel_model::Clock = Arc::new(|| START_US);
    let refused = Store::open(&location, StoreOptions::default(), clock).await;
    let reason = refused.unwrap_err().to_string();
    assert_eq!(reason, "this table cannot be used: it is partitioned by []");
}

#[test]
fn transactions_of_a_stream_do_not_expire_by_default() {
    // an offset must stay for ever: a partition may be silent for months
    let txn = Action::Txn(Transaction::new("s/0", 1));
    assert_eq!(
        serde_json::to_string(&txn).unwrap(),
        r#"{"txn":{"appId":"s/0","version":1}}"#
    );
}
