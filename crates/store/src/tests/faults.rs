//! A storage that misbehaves on the log and on saved funnels.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result as StoreResult,
};
use parking_lot::Mutex;

use super::lab::*;
use crate::*;

/// What happens to the next write of a commit or of a saved funnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    /// It is written, and answered by an error.
    AppliedThenError,
    /// It is written, and answered by "there is one already" (a retry inside the client).
    AppliedThenRefused,
    /// Nothing is written.
    Error,
    /// Nothing is written, and the answer says there is one already.
    RefusedFalsely,
    /// An error now; written when [`Faulty::release`] is called.
    Late,
    /// An error now; written a little later, while we try again.
    SlowlyApplied,
    /// No space left.
    Full,
}

#[derive(Debug, Default)]
struct Faulty {
    inner: Arc<InMemory>,
    next: Mutex<VecDeque<Mishap>>,
    held: Mutex<Vec<(Path, PutPayload, PutOptions)>>,
}

impl Faulty {
    fn plan(&self, mishaps: &[Mishap]) {
        *self.next.lock() = mishaps.iter().copied().collect();
    }

    async fn release(&self) {
        let held = std::mem::take(&mut *self.held.lock());
        for (path, payload, options) in held {
            let _ = self.inner.put_opts(&path, payload, options).await;
        }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

fn failed() -> StoreError {
    StoreError::Generic {
        store: "faulty",
        source: "the line went dead".into(),
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        let once = ["_delta_log/", "_linkfunnel/"]
            .iter()
            .any(|folder| location.as_ref().starts_with(folder));
        let once = once && location.as_ref().ends_with(".json");
        let Some(mishap) = once.then(|| self.next.lock().pop_front()).flatten() else {
            return self.inner.put_opts(location, payload, options).await;
        };
        let taken = || StoreError::AlreadyExists {
            path: location.to_string(),
            source: "there is one".into(),
        };
        match mishap {
            Mishap::AppliedThenError => {
                self.inner.put_opts(location, payload, options).await?;
                Err(failed())
            }
            Mishap::AppliedThenRefused => {
                self.inner.put_opts(location, payload, options).await?;
                Err(taken())
            }
            Mishap::Error => Err(failed()),
            Mishap::RefusedFalsely => Err(taken()),
            Mishap::Late => {
                self.held.lock().push((location.clone(), payload, options));
                Err(failed())
            }
            Mishap::SlowlyApplied => {
                let (inner, location) = (Arc::clone(&self.inner), location.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    let _ = inner.put_opts(&location, payload, options).await;
                });
                Err(failed())
            }
            Mishap::Full => {
                let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                Err(StoreError::Generic {
                    store: "faulty",
                    source: Box::new(full),
                })
            }
        }
    }
    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }
    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.inner.get_opts(location, options).await
    }
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }
    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

async fn faulty() -> (Arc<Faulty>, Store) {
    let faulty = Arc::new(Faulty::default());
    let now_us = Arc::new(AtomicI64::new(START_US));
    let store = Store::with_object_store(
        Arc::clone(&faulty) as _,
        StoreOptions::default(),
        clock(&now_us),
    );
    (Arc::clone(&faulty), store.await.unwrap())
}

#[tokio::test]
async fn whatever_the_storage_answers_rows_are_there_exactly_once() {
    let cases: &[&[Mishap]] = &[
        &[Mishap::AppliedThenError],
        &[Mishap::AppliedThenRefused],
        &[Mishap::Error, Mishap::Error],
        &[Mishap::RefusedFalsely, Mishap::RefusedFalsely],
        &[Mishap::SlowlyApplied],
        &[
            Mishap::Error,
            Mishap::RefusedFalsely,
            Mishap::AppliedThenError,
        ],
    ];
    for mishaps in cases {
        let (storage, store) = faulty().await;
        storage.plan(mishaps);
        let outcome = commit(&store, vec![run_of("s", 0, 0, 10)]).await;
        assert_eq!(
            (outcome.version, outcome.events),
            (Some(1), 10),
            "{mishaps:?}"
        );
        commit(&store, vec![run_of("s", 0, 5, 10)]).await;
        store.refresh().await.unwrap();
        assert_eq!(raw_count(&store, &store.view()).await, 15, "{mishaps:?}");
    }
}

#[tokio::test]
async fn a_write_that_lands_after_we_gave_up_is_not_repeated() {
    let (storage, store) = faulty().await;
    let mut mishaps = vec![Mishap::Error; 16];
    mishaps[0] = Mishap::Late;
    storage.plan(&mishaps);
    let given_up = store.commit(batch(vec![run_of("s", 0, 0, 10)])).await;
    assert!(
        matches!(given_up, Err(Error::Storage { .. })),
        "{given_up:?}"
    );
    storage.plan(&[]);
    storage.release().await;
    let outcome = commit(&store, vec![run_of("s", 0, 0, 10)]).await;
    assert_eq!((outcome.version, outcome.conflicts), (None, 1));
    assert_eq!(raw_count(&store, &store.view()).await, 10);
}

#[tokio::test]
async fn a_full_storage_is_said_at_once_and_the_rows_go_in_later() {
    let (storage, store) = faulty().await;
    storage.plan(&[Mishap::Full]);
    let full = store
        .commit(batch(vec![run_of("s", 0, 0, 10)]))
        .await
        .unwrap_err();
    assert!(matches!(full, Error::Full { .. }));
    assert_eq!(
        full.to_string(),
        "no space left in the storage while writing a commit"
    );
    let outcome = commit(&store, vec![run_of("s", 0, 0, 10)]).await;
    assert_eq!(outcome.events, 10);
    assert_eq!(raw_count(&store, &store.view()).await, 10);
}

#[tokio::test]
async fn a_compaction_whose_answer_was_lost_is_recognised() {
    for mishap in [
        Mishap::AppliedThenError,
        Mishap::RefusedFalsely,
        Mishap::SlowlyApplied,
    ] {
        let (storage, store) = faulty().await;
        commit(&store, vec![run_of("s", 0, 0, 10)]).await;
        commit(&store, vec![run_of("s", 0, 10, 10)]).await;
        storage.plan(&[mishap]);
        let options = CompactOptions {
            full: true,
            ..CompactOptions::default()
        };
        let report = store.compact(options).await.unwrap();
        assert_eq!((report.merges, report.overtaken), (1, 0), "{mishap:?}");
        assert_eq!(raw_count(&store, &store.view()).await, 20);
        assert_eq!(store.view().files(), 1);
    }
}

#[tokio::test]
async fn whatever_the_storage_answers_a_save_is_one_version() {
    let cases: &[&[Mishap]] = &[
        &[Mishap::AppliedThenError],
        &[Mishap::AppliedThenRefused],
        &[Mishap::Error, Mishap::Error],
        &[Mishap::RefusedFalsely, Mishap::RefusedFalsely],
        &[Mishap::SlowlyApplied],
        &[
            Mishap::Error,
            Mishap::RefusedFalsely,
            Mishap::AppliedThenError,
        ],
    ];
    let id = linkfunnel_model::SavedId::parse("my").unwrap();
    for mishaps in cases {
        let (storage, store) = faulty().await;
        storage.plan(mishaps);
        let content = Some(serde_json::json!(1));
        let saved = store
            .shelf(SavedKind::Funnel, "acme")
            .save(&id, None, "ann", content)
            .await;
        assert_eq!(saved.unwrap().note.version, 1, "{mishaps:?}");
        tokio::time::sleep(std::time::Duration::from_millis(40)).await; // what is slow has landed
        let newest = store
            .shelf(SavedKind::Funnel, "acme")
            .newest(&id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(newest.note.version, 1, "{mishaps:?}");
    }
    let (storage, store) = faulty().await;
    storage.plan(&[Mishap::Full]);
    let content = Some(serde_json::json!(1));
    let full = store
        .shelf(SavedKind::Funnel, "acme")
        .save(&id, None, "ann", content)
        .await;
    let full = full.unwrap_err().to_string();
    assert_eq!(full, "no space left in the storage while saving a funnel");
    assert_eq!(
        store
            .shelf(SavedKind::Funnel, "acme")
            .newest(&id)
            .await
            .unwrap(),
        None
    );
}
