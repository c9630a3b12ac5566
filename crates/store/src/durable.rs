//! A folder on this machine as an object store whose writes survive a power loss.
//!
//! `object_store`'s local store never calls fsync, and a file could be linked under its name before
//! its bytes are on disk: after a power loss a commit would be there, but empty. Here every object
//! is written to a staged file, synced, then linked (put-if-absent) or renamed under its name, and
//! last its folder is synced. Staged files are named as `object_store` names its own
//! (`NAME#DIGITS`), which its listings leave out. Listings are sorted, which the Delta kernel
//! expects of any store that is not `file://`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result as StoreResult, UploadPart,
};
use parking_lot::Mutex;

use crate::error::{Error, Result, While};

/// Staged files older than this were left by a killed process.
const ABANDONED: Duration = Duration::from_hours(24);

/// A folder whose writes are durable once they return.
#[derive(Debug)]
pub(crate) struct DurableLocal {
    inner: LocalFileSystem,
}

impl DurableLocal {
    /// Opens `folder`, making it (durably) when missing.
    pub(crate) fn create(folder: &FsPath) -> Result<Self> {
        let make = || -> StoreResult<LocalFileSystem> {
            make_folder(folder).map_err(io_error)?;
            LocalFileSystem::new_with_prefix(folder)
        };
        let inner = make().when("opening the data folder")?;
        remove_abandoned(folder);
        Ok(DurableLocal { inner })
    }

    fn path(&self, location: &Path) -> StoreResult<PathBuf> {
        self.inner.path_to_filesystem(location)
    }
}

fn io_error(source: io::Error) -> StoreError {
    StoreError::Generic {
        store: "local folder",
        source: Box::new(source),
    }
}

/// Makes a folder and those above it; each new entry is synced into its parent.
fn make_folder(folder: &FsPath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent();
    if let Some(parent) = parent {
        make_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => parent.map_or(Ok(()), sync_folder),
    }
}

fn sync_folder(folder: &FsPath) -> io::Result<()> {
    // a folder can be opened and synced on Unix only; elsewhere its entries are written through
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

fn is_staged(path: &FsPath) -> bool {
    let name = path
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    name.rsplit_once('#')
        .is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Best effort: what cannot be looked at or removed is left for the next start.
fn remove_abandoned(folder: &FsPath) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() {
            remove_abandoned(&path);
        } else if is_staged(&path) {
            let age = fs::metadata(&path)
                .and_then(|m| m.modified())
                .map(|m| m.elapsed());
            if matches!(age, Ok(Ok(age)) if age > ABANDONED) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// A file that has not got its name yet; removed when dropped without one.
struct Staged {
    file: Option<File>,
    path: PathBuf,
    target: PathBuf,
}

impl Staged {
    fn create(target: PathBuf) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let digits = format!(
                "{}{:06}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            );
            let mut path = target.clone().into_os_string();
            path.push(format!("#{digits}"));
            let path = PathBuf::from(path);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    return Ok(Staged {
                        file: Some(file),
                        path,
                        target,
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let Some(parent) = target.parent().filter(|p| !p.is_dir()) else {
                        return Err(e);
                    };
                    make_folder(parent)?;
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        self.file
            .as_mut()
            .ok_or_else(|| io::Error::other("the upload has ended"))
    }

    /// Syncs the bytes, gives the file its name, syncs the folder. `exclusive`: fails with
    /// `AlreadyExists` when the name is taken.
    fn publish(&mut self, exclusive: bool) -> io::Result<()> {
        self.file()?.sync_all()?;
        self.file = None;
        if exclusive {
            fs::hard_link(&self.path, &self.target)?;
            let _ = fs::remove_file(&self.path);
        } else {
            fs::rename(&self.path, &self.target)?;
        }
        self.path = PathBuf::new();
        self.target.parent().map_or(Ok(()), sync_folder)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> StoreResult<T> + Send + 'static,
) -> StoreResult<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| StoreError::JoinError { source })?
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        if matches!(options.mode, PutMode::Update(_)) || !options.attributes.is_empty() {
            return self.inner.put_opts(location, payload, options).await; // refused there
        }
        let target = self.path(location)?;
        let name = location.to_string();
        let exclusive = matches!(options.mode, PutMode::Create);
        blocking(move || {
            let mut staged = Staged::create(target).map_err(io_error)?;
            let file = staged.file().map_err(io_error)?;
            payload
                .iter()
                .try_for_each(|part| file.write_all(part))
                .map_err(io_error)?;
            staged
                .publish(exclusive)
                .map_err(|source| match source.kind() {
                    io::ErrorKind::AlreadyExists => StoreError::AlreadyExists {
                        path: name,
                        source: Box::new(source),
                    },
                    _ => io_error(source),
                })
        })
        .await?;
        Ok(PutResult {
            e_tag: None,
            version: None,
        })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        let target = self.path(location)?;
        let staged = blocking(move || Staged::create(target).map_err(io_error)).await?;
        Ok(Box::new(Upload {
            staged: Arc::new(Mutex::new(Some(staged))),
            written: 0,
        }))
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
        sorted(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        sorted(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> StoreResult<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

fn sorted(
    listing: BoxStream<'static, StoreResult<ObjectMeta>>,
) -> BoxStream<'static, StoreResult<ObjectMeta>> {
    let all = async move {
        let mut all: Vec<ObjectMeta> = listing.try_collect().await?;
        all.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        Ok::<_, StoreError>(stream::iter(all.into_iter().map(Ok)))
    };
    stream::once(all).try_flatten().boxed()
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "durable {}", self.inner)
    }
}

/// A large object being written part by part.
struct Upload {
    staged: Arc<Mutex<Option<Staged>>>,
    written: u64,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (at, staged) = (self.written, Arc::clone(&self.staged));
        self.written += data.content_length() as u64;
        Box::pin(blocking(move || {
            let mut staged = staged.lock();
            let staged = staged
                .as_mut()
                .ok_or_else(|| io_error(io::Error::other("aborted")))?;
            let write = |file: &mut File| {
                file.seek(SeekFrom::Start(at))?;
                data.iter().try_for_each(|part| file.write_all(part))
            };
            staged.file().and_then(write).map_err(io_error)
        }))
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        let staged = self.staged.lock().take();
        blocking(move || {
            let mut staged = staged.ok_or_else(|| io_error(io::Error::other("aborted")))?;
            staged.publish(false).map_err(io_error)
        })
        .await?;
        Ok(PutResult {
            e_tag: None,
            version: None,
        })
    }

    async fn abort(&mut self) -> StoreResult<()> {
        drop(self.staged.lock().take());
        Ok(())
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        let failed: StoreResult<()> = Err(io_error(source));
        match failed.when("reading or writing the data folder") {
            Err(error) => error,
            Ok(()) => unreachable!("it was an error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt as _;

    fn folder() -> (tempfile::TempDir, DurableLocal) {
        let dir = tempfile::tempdir().unwrap();
        let store = DurableLocal::create(&dir.path().join("deep/er")).unwrap();
        (dir, store)
    }

    #[tokio::test]
    async fn put_if_absent_lets_one_of_many_win_and_leaves_no_staged_file() {
        let (dir, store) = folder();
        let store = Arc::new(store);
        let at = Path::from("_delta_log/00000000000000000001.json");
        let tries = (0..16).map(|i| {
            let (store, at) = (Arc::clone(&store), at.clone());
            async move {
                let options = PutOptions {
                    mode: PutMode::Create,
                    ..Default::default()
                };
                store.put_opts(&at, format!("{i}").into(), options).await
            }
        });
        let results = futures::future::join_all(tries).await;
        let won: Vec<_> = (0..16).filter(|i| results[*i].is_ok()).collect();
        assert_eq!(won.len(), 1);
        for lost in results.iter().filter(|r| r.is_err()) {
            assert!(matches!(lost, Err(StoreError::AlreadyExists { .. })));
        }
        let bytes = store.get(&at).await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes, format!("{}", won[0]));
        let files = fs::read_dir(dir.path().join("deep/er/_delta_log"))
            .unwrap()
            .count();
        assert_eq!(files, 1);
    }

    #[tokio::test]
    async fn parts_land_in_the_order_they_were_handed_over() {
        let (_dir, store) = folder();
        let at = Path::from("a/b.parquet");
        let mut upload = store.put_multipart(&at).await.unwrap();
        let second = {
            let first = upload.put_part("one ".into());
            let second = upload.put_part("two".into());
            second.await.unwrap();
            first
        };
        second.await.unwrap();
        assert!(
            store.head(&at).await.is_err(),
            "not there before it is complete"
        );
        upload.complete().await.unwrap();
        assert_eq!(
            store.get(&at).await.unwrap().bytes().await.unwrap(),
            "one two"
        );
    }

    #[tokio::test]
    async fn an_aborted_upload_leaves_nothing() {
        let (dir, store) = folder();
        let mut upload = store.put_multipart(&Path::from("a/b")).await.unwrap();
        upload.put_part("x".into()).await.unwrap();
        upload.abort().await.unwrap();
        assert_eq!(
            fs::read_dir(dir.path().join("deep/er/a")).unwrap().count(),
            0
        );
    }

    #[tokio::test]
    async fn listings_are_sorted_and_hide_staged_files() {
        let (dir, store) = folder();
        for name in ["l/3", "l/1", "l/2"] {
            store.put(&Path::from(name), "x".into()).await.unwrap();
        }
        fs::write(dir.path().join("deep/er/l/4#12345"), "half").unwrap();
        let names: Vec<_> = store
            .list(None)
            .map_ok(|m| m.location.to_string())
            .try_collect()
            .await
            .unwrap();
        assert_eq!(names, ["l/1", "l/2", "l/3"]);
    }
}
