//! Without Kafka: offered over HTTP, through the local log, into the table.

use std::path::Path;
use std::sync::Arc;

use linkfunnel_model::Defaults;
use linkfunnel_store::{Relation, Store};
use tokio_util::sync::CancellationToken;

use super::world::*;
use crate::{IngestHandle, Intake, IntakeOptions, LocalConfig, LocalLog, Verdict, start_local};

struct Local {
    store: Store,
    intake: Intake,
    handle: IngestHandle,
    shutdown: CancellationToken,
    log: LocalLog,
}

async fn start(folder: &Path, options: IntakeOptions) -> Local {
    let store = open(folder).await;
    let log = loop {
        match LocalLog::open(&folder.join("log.redb")) {
            Err(crate::Error::InUse { .. }) => tokio::task::yield_now().await,
            other => break other.unwrap(),
        }
    };
    let shutdown = CancellationToken::new();
    let handle = start_local(
        LocalConfig::default(),
        log.clone(),
        store.clone(),
        vault(),
        metrics(),
        clock(),
        shutdown.clone(),
    )
    .unwrap();
    let intake = Intake::local(log.clone(), vault(), metrics(), clock(), options);
    Local {
        store,
        intake,
        handle,
        shutdown,
        log,
    }
}

async fn offer(intake: &Intake, events: impl IntoIterator<Item = u64>) -> Vec<Verdict> {
    let events: Vec<Vec<u8>> = events.into_iter().map(event).collect();
    let slices: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
    intake.accept(&Defaults::default(), &slices).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_queryable_soon_and_there_once_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let local = start(folder.path(), IntakeOptions::default()).await;
    assert_eq!(
        offer(&local.intake, 0..500).await,
        vec![Verdict::Accepted; 500]
    );
    assert_eq!(offer(&local.intake, [7]).await, [Verdict::Duplicate]);
    assert!(matches!(
        local
            .intake
            .accept(&Defaults::default(), &[b"{"])
            .await
            .unwrap()[..],
        [Verdict::Rejected(_)]
    ));
    until("it is queryable", || {
        local
            .handle
            .status()
            .partitions
            .first()
            .is_some_and(|p| p.position == Some(502))
    })
    .await;
    until("the watermark follows the clock", || {
        local
            .store
            .view()
            .watermark_us
            .is_some_and(|us| clock()() - us < 1_000_000)
    })
    .await;
    let stream = local.handle.status().stream;
    local.shutdown.cancel();
    local.handle.join().await.unwrap();
    drop((local.intake, local.log, local.store));

    let local = start(folder.path(), IntakeOptions::default()).await;
    offer(&local.intake, 500..510).await;
    until("it goes on", || {
        local
            .handle
            .status()
            .partitions
            .first()
            .is_some_and(|p| p.position == Some(512))
    })
    .await;
    local.shutdown.cancel();
    local.handle.join().await.unwrap();
    let handed: Vec<(i32, i64)> = (0..512).map(|offset| (0, offset)).collect();
    assert_each_once(&local.store, &stream, &handed).await;
    assert_eq!(
        events(&local.store).await,
        510,
        "the duplicate changes no answer"
    );
    assert_eq!(
        rows(&local.store, Relation::Rejects, "reject_code").await,
        [["not_json"]]
    );
    local.log.append(vec![]).await.unwrap();
    until("the log is trimmed", || local.log.bytes() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_appended_but_never_answered_is_ingested_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let passed = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = passed.clone();
    let fault: crate::Fault = Arc::new(move |place| seen.lock().unwrap().push(place));
    let log = LocalLog::open(&folder.path().join("log.redb")).unwrap();
    let options = IntakeOptions {
        fault: Some(fault),
        ..IntakeOptions::default()
    };
    let intake = Intake::local(log.clone(), vault(), metrics(), clock(), options);
    offer(&intake, [1]).await;
    assert_eq!(*passed.lock().unwrap(), ["after_append"]);
    drop((intake, log));
    let local = start(folder.path(), IntakeOptions::default()).await;
    until("it is there", || {
        local.store.view().hot_rows()
            + usize::try_from(local.store.view().committed_rows()).unwrap()
            == 1
    })
    .await;
    local.shutdown.cancel();
    local.handle.join().await.unwrap();
}
