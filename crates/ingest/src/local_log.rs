//! The log that stands in for Kafka: what the HTTP intake accepted and no commit holds yet.
//!
//! One redb file, records under growing offsets. An append is answered after its fsync; appends
//! that come while one is being fsynced share the next (group commit), so the wait is at most two
//! fsyncs and no timer is needed. Records are trimmed after the table holds them. The log has an id
//! of its own, made with the file, which names its stream: a log that was deleted and made again is
//! another stream.
//!
//! Only events whose secrets were dropped, and sealed rejects, are appended (see [`crate::Intake`]).

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chacha20poly1305::aead::Generate;
use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::vault::hex;

/// Appends that may wait for the writer before more must wait to be queued.
pub const MAX_WAITING_APPENDS: usize = 1_024;
/// Bytes that one fsync takes at most, beyond the first append.
pub const MAX_GROUP_BYTES: usize = 16 << 20;
/// Bytes of records that may wait to be committed before appends are refused.
pub const MAX_LOG_BYTES: u64 = 4 << 30;

const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const CACHE_BYTES: usize = 32 << 20;

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Whose it is.
    pub tenant: String,
    /// When it arrived (µs since the epoch).
    pub arrived_at_us: i64,
    /// Canonical JSON, or a sealed reject.
    pub bytes: Vec<u8>,
}

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its offset, from 0.
    pub offset: i64,
    /// What was appended.
    pub record: LogRecord,
}

/// The log; clones share it. Only one process at a time can have it open.
#[derive(Clone)]
pub struct LocalLog {
    inner: Arc<Inner>,
    sender: mpsc::Sender<Job>,
}

struct Inner {
    path: PathBuf,
    id: String,
    database: RwLock<Option<Database>>,
    /// The offset of the next record.
    end: Mutex<i64>,
    grown: Condvar,
    bytes: AtomicU64,
    fsyncs: AtomicU64,
}

/// Records, and where to answer.
type Append = (Vec<LogRecord>, oneshot::Sender<Result<Range<i64>>>);

enum Job {
    Append(Append),
    Trim { through: i64 },
}

impl std::fmt::Debug for LocalLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLog")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

impl LocalLog {
    /// Opens the log in `path`, made when missing, and starts its writer thread, which ends when
    /// the last clone is dropped. [`Error::InUse`] when another process has it.
    pub fn open(path: &Path) -> Result<LocalLog> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| failed(path, redb::Error::Io(source)))?;
        }
        let database = open_database(path)?;
        let Opened { id, end, bytes } = prepare(&database).map_err(|e| failed(path, e))?;
        let inner = Arc::new(Inner {
            path: path.to_owned(),
            id,
            database: RwLock::new(Some(database)),
            end: Mutex::new(end),
            grown: Condvar::new(),
            bytes: AtomicU64::new(bytes),
            fsyncs: AtomicU64::new(0),
        });
        let (sender, receiver) = mpsc::channel(MAX_WAITING_APPENDS);
        let writer = inner.clone();
        std::thread::Builder::new()
            .name("local-log".into())
            .spawn(move || write_loop(&writer, receiver))
            .map_err(|source| failed(path, redb::Error::Io(source)))?;
        Ok(LocalLog { inner, sender })
    }

    /// The log's id, which names its stream: `local:<id>`.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Appends records and answers with their offsets once they are on disk. After an error they
    /// may or may not be there; appending them again is harmless, copies are known as such.
    pub async fn append(&self, records: Vec<LogRecord>) -> Result<Range<i64>> {
        let (answer, answered) = oneshot::channel();
        self.sender
            .send(Job::Append((records, answer)))
            .await
            .map_err(|_| Error::LogClosed)?;
        answered.await.map_err(|_| Error::LogClosed)?
    }

    /// Up to `max_bytes` of records from offset `from` on, at least one if there is one.
    pub fn read(&self, from: i64, max_bytes: usize) -> Result<Vec<LogEntry>> {
        let held = opened(&self.inner)?;
        let database = held.as_ref().ok_or(Error::LogClosed)?;
        read(database, from, max_bytes).map_err(|e| failed(&self.inner.path, e))
    }

    /// The offset of the next record to be appended.
    pub fn end(&self) -> i64 {
        *self.inner.end.lock()
    }

    /// Waits until there is a record at or beyond `offset`, or `timeout` is over. Blocks.
    pub fn wait_for(&self, offset: i64, timeout: Duration) {
        let mut end = self.inner.end.lock();
        if *end <= offset {
            self.inner.grown.wait_for(&mut end, timeout);
        }
    }

    /// Lets go of the records up to `through`, inclusive: the table holds them. Happens soon, in
    /// the background; a crash before it only means that they are let go of later.
    pub fn trim(&self, through: i64) {
        // A full queue means the writer is busy; the next commit trims again, further.
        let _ = self.sender.try_send(Job::Trim { through });
    }

    /// Bytes of records that have not been trimmed.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes.load(Ordering::Relaxed)
    }

    /// How often appends were written and fsynced since the log was opened.
    pub fn fsyncs(&self) -> u64 {
        self.inner.fsyncs.load(Ordering::Relaxed)
    }
}

struct Opened {
    id: String,
    end: i64,
    bytes: u64,
}

fn failed(path: &Path, source: impl Into<redb::Error>) -> Error {
    Error::Log {
        path: path.to_owned(),
        source: Box::new(source.into()),
    }
}

fn open_database(path: &Path) -> Result<Database> {
    Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(path)
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => Error::InUse {
                path: path.to_owned(),
            },
            other => failed(path, other),
        })
}

/// Makes the tables and the id when missing; counts what waits.
fn prepare(database: &Database) -> Result<Opened, redb::Error> {
    let transaction = database.begin_write()?;
    let opened = {
        let mut meta = transaction.open_table(META)?;
        let known = meta
            .get("id")?
            .map(|id| String::from_utf8_lossy(id.value()).into_owned());
        let id = match known {
            Some(id) => id,
            None => {
                let bytes = <[u8; 12]>::try_generate()
                    .map_err(|e| redb::Error::Io(std::io::Error::other(e)))?;
                let id = hex(&bytes);
                meta.insert("id", id.as_bytes())?;
                id
            }
        };
        let end = stored_end(&meta)?;
        let records = transaction.open_table(RECORDS)?;
        let mut bytes = 0;
        for record in records.iter()? {
            bytes += record?.1.value().len() as u64;
        }
        Opened { id, end, bytes }
    };
    transaction.commit()?;
    Ok(opened)
}

fn stored_end(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<i64, redb::Error> {
    let stored = meta.get("end")?;
    let bytes = stored.as_ref().and_then(|end| end.value().try_into().ok());
    Ok(bytes.map_or(0, i64::from_le_bytes))
}

fn read(database: &Database, from: i64, max_bytes: usize) -> Result<Vec<LogEntry>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(RECORDS)?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    for record in table.range(from.max(0).cast_unsigned()..)? {
        let (offset, value) = record?;
        let Some(record) = decode_record(value.value()) else {
            return Err(redb::Error::Corrupted(format!(
                "record {} is cut off",
                offset.value()
            )));
        };
        bytes += record.bytes.len();
        entries.push(LogEntry {
            offset: offset.value().cast_signed(),
            record,
        });
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(entries)
}

fn encode_record(record: &LogRecord, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&record.arrived_at_us.to_le_bytes());
    out.extend_from_slice(&(record.tenant.len() as u64).to_le_bytes());
    out.extend_from_slice(record.tenant.as_bytes());
    out.extend_from_slice(&record.bytes);
}

fn decode_record(bytes: &[u8]) -> Option<LogRecord> {
    let (arrived, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (tenant, bytes) = rest.split_at_checked(length)?;
    Some(LogRecord {
        tenant: std::str::from_utf8(tenant).ok()?.to_owned(),
        arrived_at_us: i64::from_le_bytes(*arrived),
        bytes: bytes.to_vec(),
    })
}

fn write_loop(inner: &Inner, mut jobs: mpsc::Receiver<Job>) {
    let mut held = None;
    while let Some(first) = held.take().or_else(|| jobs.blocking_recv()) {
        match first {
            Job::Trim { through } => trim(inner, through),
            Job::Append(first) => {
                let mut group = vec![first];
                let mut bytes = size(&group[0].0);
                while bytes < MAX_GROUP_BYTES {
                    match jobs.try_recv() {
                        Ok(Job::Append(append)) => {
                            bytes += size(&append.0);
                            group.push(append);
                        }
                        Ok(trim) => {
                            held = Some(trim);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                append_group(inner, group);
            }
        }
    }
}

fn size(records: &[LogRecord]) -> usize {
    records.iter().map(|r| r.bytes.len()).sum()
}

/// Writes a group in one transaction and answers everybody in it.
fn append_group(inner: &Inner, group: Vec<Append>) {
    let waiting = inner.bytes.load(Ordering::Relaxed);
    if waiting >= MAX_LOG_BYTES {
        for (_, answer) in group {
            // A sender that went away no longer cares.
            let _ = answer.send(Err(Error::LogFull { bytes: waiting }));
        }
        return;
    }
    match write_group(inner, &group) {
        Ok((ranges, bytes)) => {
            inner.fsyncs.fetch_add(1, Ordering::Relaxed);
            inner.bytes.fetch_add(bytes, Ordering::Relaxed);
            if let Some(last) = ranges.last() {
                *inner.end.lock() = last.end;
                inner.grown.notify_all();
            }
            for ((_, answer), range) in group.into_iter().zip(ranges) {
                let _ = answer.send(Ok(range));
            }
        }
        Err(error) => {
            tracing::error!(
                error = error.chain(),
                "append to the local log failed; reopening it"
            );
            reopen(inner);
            for (_, answer) in group {
                let again = Error::Log {
                    path: inner.path.clone(),
                    source: Box::new(redb::Error::Io(std::io::Error::other(error.chain()))),
                };
                let _ = answer.send(Err(again));
            }
        }
    }
}

fn write_group(inner: &Inner, group: &[Append]) -> Result<(Vec<Range<i64>>, u64)> {
    let held = opened(inner)?;
    let database = held.as_ref().ok_or(Error::LogClosed)?;
    append(database, group).map_err(|e| failed(&inner.path, e))
}

fn append(database: &Database, group: &[Append]) -> Result<(Vec<Range<i64>>, u64), redb::Error> {
    let transaction = database.begin_write()?;
    let mut ranges = Vec::with_capacity(group.len());
    let mut bytes = 0;
    {
        let mut meta = transaction.open_table(META)?;
        let mut table = transaction.open_table(RECORDS)?;
        let mut offset = stored_end(&meta)?;
        let mut buffer = Vec::new();
        for (records, _) in group {
            let first = offset;
            for record in records {
                encode_record(record, &mut buffer);
                bytes += buffer.len() as u64;
                table.insert(offset.cast_unsigned(), buffer.as_slice())?;
                offset += 1;
            }
            ranges.push(first..offset);
        }
        meta.insert("end", offset.to_le_bytes().as_slice())?;
    }
    transaction.commit()?;
    Ok((ranges, bytes))
}

/// The database, opened again where an earlier failure has left it closed.
fn opened(inner: &Inner) -> Result<RwLockReadGuard<'_, Option<Database>>> {
    {
        let held = inner.database.read();
        if held.is_some() {
            return Ok(held);
        }
    }
    let mut held = inner.database.write();
    if held.is_none() {
        open_again(inner, &mut held)?;
        tracing::info!("the local log is open again");
    }
    Ok(RwLockWriteGuard::downgrade(held))
}

/// redb takes nothing more after an I/O error (a full disk, say) until it is opened again.
fn reopen(inner: &Inner) {
    let mut held = inner.database.write();
    drop(held.take());
    if let Err(error) = open_again(inner, &mut held) {
        tracing::error!(
            error = error.chain(),
            "the local log stays closed until it can be opened"
        );
    }
}

fn open_again(inner: &Inner, held: &mut Option<Database>) -> Result<()> {
    let database = open_database(&inner.path)?;
    let opened = prepare(&database).map_err(|e| failed(&inner.path, e))?;
    *inner.end.lock() = opened.end;
    inner.bytes.store(opened.bytes, Ordering::Relaxed);
    *held = Some(database);
    Ok(())
}

fn trim(inner: &Inner, through: i64) {
    let trimmed = {
        let held = inner.database.read();
        let Some(database) = held.as_ref() else {
            return;
        };
        trim_through(database, through)
    };
    match trimmed {
        Ok(bytes) => {
            inner.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        Err(error) => {
            tracing::warn!(
                error = failed(&inner.path, error).chain(),
                "trimming the local log failed"
            );
            reopen(inner);
        }
    }
}

fn trim_through(database: &Database, through: i64) -> Result<u64, redb::Error> {
    let mut transaction = database.begin_write()?;
    // Made durable by the next append: trimming twice is harmless, an fsync for it is not free.
    transaction.set_durability(Durability::None)?;
    let mut bytes = 0;
    {
        let mut table = transaction.open_table(RECORDS)?;
        table.retain_in(..=through.max(0).cast_unsigned(), |_, value| {
            bytes += value.len() as u64;
            false
        })?;
    }
    transaction.commit()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> LogRecord {
        LogRecord {
            tenant: "t".into(),
            arrived_at_us: 5,
            bytes: text.as_bytes().to_vec(),
        }
    }

    fn texts(entries: &[LogEntry]) -> Vec<(i64, String)> {
        let text = |e: &LogEntry| String::from_utf8(e.record.bytes.clone()).unwrap();
        entries.iter().map(|e| (e.offset, text(e))).collect()
    }

    #[tokio::test]
    async fn what_was_appended_is_there_after_opening_again_under_the_same_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/log.redb");
        let log = LocalLog::open(&path).unwrap();
        let id = log.id().to_owned();
        assert_eq!(
            log.append(vec![record("a"), record("b")]).await.unwrap(),
            0..2
        );
        drop(log);
        let log = open_when_free(&path);
        assert_eq!(log.id(), id);
        assert_eq!(log.append(vec![record("c")]).await.unwrap(), 2..3);
        assert_eq!(
            texts(&log.read(1, 1 << 20).unwrap()),
            [(1, "b".into()), (2, "c".into())]
        );
        assert_eq!(log.read(0, 1).unwrap().len(), 1);
        assert_eq!(log.read(0, 1).unwrap()[0].record, record("a"));
    }

    /// The writer thread lets go of the file a moment after the last clone is dropped.
    fn open_when_free(path: &Path) -> LocalLog {
        loop {
            match LocalLog::open(path) {
                Err(Error::InUse { .. }) => std::thread::yield_now(),
                other => return other.unwrap(),
            }
        }
    }

    #[tokio::test]
    async fn offsets_go_on_after_everything_was_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.redb");
        let log = LocalLog::open(&path).unwrap();
        log.append(vec![record("a"), record("b"), record("c")])
            .await
            .unwrap();
        log.trim(1);
        assert_eq!(log.append(vec![record("d")]).await.unwrap(), 3..4);
        assert_eq!(
            texts(&log.read(0, 1 << 20).unwrap()),
            [(2, "c".into()), (3, "d".into())]
        );
        log.trim(3);
        log.append(vec![]).await.unwrap();
        assert_eq!(log.bytes(), 0);
        drop(log);
        assert_eq!(open_when_free(&path).end(), 4);
    }

    #[tokio::test]
    async fn a_log_in_use_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.redb");
        let _log = LocalLog::open(&path).unwrap();
        assert!(matches!(LocalLog::open(&path), Err(Error::InUse { .. })));
    }

    #[tokio::test]
    async fn appends_that_come_together_share_an_fsync() {
        let folder = tempfile::tempdir().unwrap();
        let log = LocalLog::open(&folder.path().join("log.redb")).unwrap();
        let appends = (0..200).map(|_| log.append(vec![record("x")]));
        let ranges = futures::future::join_all(appends).await;
        let mut offsets: Vec<i64> = ranges.into_iter().map(|r| r.unwrap().start).collect();
        offsets.sort_unstable();
        assert_eq!(offsets, (0..200).collect::<Vec<_>>());
        assert!(
            log.fsyncs() < 100,
            "{} fsyncs for 200 appends",
            log.fsyncs()
        );
    }
}
