//! The store that obeys the script.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UploadPart,
};

use super::{Faults, Operation};

/// A store that does what another does, except where its [`Faults`] say otherwise.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    faults: Faults,
}

impl FaultyStore {
    /// Wraps a store; without rules nothing changes.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>) -> (Arc<FaultyStore>, Faults) {
        let faults = Faults::default();
        (
            Arc::new(FaultyStore {
                inner,
                faults: faults.clone(),
            }),
            faults,
        )
    }

    fn listing(
        &self,
        prefix: Option<&Path>,
        listed: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let faults = self.faults.clone();
        let prefix = prefix.cloned().unwrap_or_default();
        let opened = async move {
            faults
                .around(Operation::List, &prefix, async { Ok(listed) })
                .await
        };
        stream::once(opened).try_flatten().boxed()
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let action = self.inner.put_opts(location, payload, opts);
        self.faults.around(Operation::Put, location, action).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let action = self.inner.put_multipart_opts(location, opts);
        let inner = self
            .faults
            .around(Operation::UploadStart, location, action)
            .await?;
        Ok(Box::new(FaultyUpload {
            inner,
            path: location.clone(),
            faults: self.faults.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head {
            Operation::Head
        } else {
            Operation::Get
        };
        self.faults
            .around(operation, location, self.inner.get_opts(location, options))
            .await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let action = self.inner.get_ranges(location, ranges);
        self.faults.around(Operation::Get, location, action).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let inner = Arc::clone(&self.inner);
        let faults = self.faults.clone();
        // One after the other, so that the script counts the same in every run.
        locations
            .and_then(move |path| {
                let inner = Arc::clone(&inner);
                let faults = faults.clone();
                async move {
                    faults
                        .around(Operation::Delete, &path, inner.delete(&path))
                        .await?;
                    Ok(path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.cloned().unwrap_or_default();
        self.faults
            .around(
                Operation::List,
                &path,
                self.inner.list_with_delimiter(prefix),
            )
            .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.faults
            .around(Operation::Copy, to, self.inner.copy_opts(from, to, options))
            .await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.faults
            .around(
                Operation::Rename,
                to,
                self.inner.rename_opts(from, to, options),
            )
            .await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    path: Path,
    faults: Faults,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let action = self.inner.put_part(data);
        let faults = self.faults.clone();
        let path = self.path.clone();
        Box::pin(async move { faults.around(Operation::UploadPart, &path, action).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.faults
            .around(Operation::UploadComplete, &self.path, self.inner.complete())
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use object_store::memory::InMemory;
    use object_store::{Error, PutMode};

    use super::super::{Answer, Effect, Gate, Rule};
    use super::*;

    fn store() -> (Arc<FaultyStore>, Faults) {
        FaultyStore::new(Arc::new(InMemory::new()))
    }

    async fn create(store: &FaultyStore, path: &str) -> Result<PutResult> {
        store
            .put_opts(&Path::from(path), "x".into(), PutMode::Create.into())
            .await
    }

    async fn exists(store: &FaultyStore, path: &str) -> bool {
        store.inner.head(&Path::from(path)).await.is_ok()
    }

    #[tokio::test]
    async fn without_rules_nothing_changes() {
        let (store, faults) = store();
        create(&store, "a/1").await.unwrap();
        assert_eq!(store.list(None).count().await, 1);
        assert_eq!(faults.happened(), 0);
        assert_eq!(faults.count(Operation::Put, "a/"), 1);
        assert_eq!(faults.count(Operation::Delete, ""), 0);
    }

    #[tokio::test]
    async fn a_write_can_be_applied_and_answered_with_an_error() {
        let (store, faults) = store();
        let rule = Rule::on(Operation::Put, "log/").after(1);
        faults.add(rule.then(Effect::ApplyThen(Answer::AlreadyExists)));
        create(&store, "log/0").await.unwrap();
        create(&store, "data/0").await.unwrap();
        assert!(matches!(
            create(&store, "log/1").await,
            Err(Error::AlreadyExists { .. })
        ));
        assert!(exists(&store, "log/1").await);
        create(&store, "log/2").await.unwrap();
        assert_eq!(faults.happened(), 1);
    }

    #[tokio::test]
    async fn a_refusal_leaves_nothing_behind_and_ends_when_cleared() {
        let (store, faults) = store();
        faults.add(
            Rule::on_any("")
                .always()
                .then(Effect::Refuse(Answer::DiskFull)),
        );
        for _ in 0..3 {
            let Err(Error::Generic { source, .. }) = create(&store, "a").await else {
                panic!("a full disk takes nothing");
            };
            let source = source.downcast::<io::Error>().unwrap();
            assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        }
        assert!(!exists(&store, "a").await);
        faults.clear();
        create(&store, "a").await.unwrap();
    }

    #[tokio::test]
    async fn a_held_call_waits_for_the_gate() {
        let (store, faults) = store();
        let gate = Gate::new();
        faults.add(Rule::on(Operation::Put, "a").then(Effect::Hold(gate.clone())));
        let writer = tokio::spawn({
            let store = Arc::clone(&store);
            async move { create(&store, "a").await }
        });
        gate.arrived().await;
        assert!(!exists(&store, "a").await);
        gate.open();
        writer.await.unwrap().unwrap();
        assert!(exists(&store, "a").await);
    }

    #[tokio::test]
    async fn each_part_of_an_upload_and_each_deletion_is_a_call() {
        let (store, faults) = store();
        faults
            .add(Rule::on(Operation::UploadComplete, "").then(Effect::ApplyThen(Answer::TimedOut)));
        faults.add(Rule::on(Operation::Delete, "").then(Effect::Refuse(Answer::PermissionDenied)));
        let path = Path::from("big");
        let mut upload = store.put_multipart(&path).await.unwrap();
        upload.put_part("one".into()).await.unwrap();
        upload.complete().await.unwrap_err();
        assert!(exists(&store, "big").await);
        assert!(matches!(
            store.delete(&path).await,
            Err(Error::PermissionDenied { .. })
        ));
        store.delete(&path).await.unwrap();
        assert!(!exists(&store, "big").await);
    }

    #[tokio::test]
    async fn a_listing_can_be_refused_or_late() {
        let (store, faults) = store();
        faults.add(Rule::on(Operation::List, ""));
        faults.add(Rule::on(Operation::List, "").then(Effect::Delay(Duration::from_millis(1))));
        create(&store, "a").await.unwrap();
        let listed: Result<Vec<_>> = store.list(None).try_collect().await;
        assert!(listed.is_err());
        assert_eq!(
            store.list_with_delimiter(None).await.unwrap().objects.len(),
            1
        );
        assert_eq!(faults.happened(), 2);
    }
}
