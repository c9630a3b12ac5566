//! Commits: rows, their offsets and fingerprints, all in one Delta version.
//!
//! A storage may apply a write and answer with an error, answer late, or claim that a version is
//! taken by another when it was ours. So after anything but a plain success the version is read: if
//! it carries the id of this commit, it was written; if it carries another's, that one is taken in
//! and the offsets are compared again on the version that holds it; if it is not there, the same
//! bytes are offered again under the same version, where at most one of them can ever land.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deltalake::kernel::{Action, CommitInfo};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use serde_json::Value;

use crate::error::{Error, Result, While};
use crate::file::{DataFile, RowKind};
use crate::position::{CommitBatch, CommitOutcome, HotSegment, StreamPartition};
use crate::store::{Store, Tip};
use crate::table::{COMMIT_ID, Offsets, fingerprint_txn, is_stream_name, offset_txn};
use crate::writer::encode;

/// How often a failing write is tried.
const ATTEMPTS: u32 = 6;
/// Wait before the second try; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// How often other writers may commit rows of the same partitions first.
const OVERTAKEN: u32 = 16;

/// A segment with the offset up to which its rows are committed.
type Rest = (Arc<HotSegment>, i64);

/// How an attempt to commit ended, other than by an error.
pub(crate) enum Attempt {
    /// In this version.
    Committed(i64),
    /// What it was built on no longer holds; it is certain that it will never be in the table.
    Overtaken,
}

impl Store {
    /// Writes the rows of segments and commits them in one Delta version together with the last
    /// offset of each partition, then swaps the view. What is already committed is left out.
    ///
    /// After an error the rows may be committed or not: hand the same batch over again.
    pub async fn commit(&self, batch: CommitBatch) -> Result<CommitOutcome> {
        check(&batch)?;
        let _turn = self.inner.committing.lock().await;
        let mut outcome = CommitOutcome::default();
        for _ in 0..OVERTAKEN {
            let offsets = Arc::clone(&self.view().table.offsets);
            let rest = remaining(&batch.segments, &offsets, &mut outcome);
            if rest.is_empty() {
                return Ok(outcome);
            }
            self.inner.options.crash_point("before_parquet");
            let files = self.write_segments(&rest).await?;
            self.inner.options.crash_point("after_parquet");
            match self
                .commit_segments(&batch, &rest, &offsets, &files, &mut outcome)
                .await?
            {
                Attempt::Committed(version) => {
                    count(&files, version, &mut outcome);
                    return Ok(outcome);
                }
                Attempt::Overtaken => self.discard(&files).await,
            }
        }
        let reason = "others kept committing to the same partitions".into();
        Err(Error::Contended {
            attempts: OVERTAKEN,
            reason,
        })
    }

    async fn commit_segments(
        &self,
        batch: &CommitBatch,
        rest: &[Rest],
        offsets: &Offsets,
        files: &[Arc<DataFile>],
        outcome: &mut CommitOutcome,
    ) -> Result<Attempt> {
        let mut lasts: BTreeMap<&StreamPartition, i64> = BTreeMap::new();
        for (segment, _) in rest {
            let last = lasts.entry(&segment.at).or_insert(segment.last);
            *last = segment.last.max(*last);
        }
        let mut actions: Vec<Action> = files.iter().map(|f| Action::Add(f.to_add(true))).collect();
        actions.extend(
            lasts
                .iter()
                .map(|(at, last)| Action::Txn(offset_txn(at, *last))),
        );
        let prints = batch
            .fingerprints
            .iter()
            .filter(|(at, _)| lasts.contains_key(at));
        actions.extend(prints.map(|(at, print)| Action::Txn(fingerprint_txn(at, *print))));
        let unmoved = |tip: &Tip| {
            lasts
                .keys()
                .all(|at| tip.table.offsets.get(at) == offsets.get(at))
        };
        let header = Header::new("WRITE", true);
        self.commit_actions(header, &mut actions, &mut outcome.conflicts, unmoved)
            .await
    }

    /// Writes `actions` as the next version, as long as `holds` is true of the version before it.
    pub(crate) async fn commit_actions(
        &self,
        header: Header,
        actions: &mut Vec<Action>,
        conflicts: &mut u32,
        holds: impl Fn(&Tip) -> bool,
    ) -> Result<Attempt> {
        let id = header.id.clone();
        actions.insert(0, header.action((self.inner.clock)() / 1000));
        let bytes = to_bytes(actions)?;
        let mut tip = self.inner.tip.lock().await;
        // after a long pause the next version may have been written, checkpointed and cleaned up by
        // others: its name would be free again, and what is written there lost
        if self.is_stale(&tip) {
            self.catch_up(&mut tip).await?;
        }
        let mut wait = Retry::default();
        loop {
            if !holds(&tip) {
                return Ok(Attempt::Overtaken);
            }
            let version = tip.table.version + 1;
            let written = self.inner.log.write(version, bytes.clone()).await;
            let Err(error) = written else {
                self.advance(&mut tip, actions)?;
                self.inner.options.crash_point("after_commit");
                self.show(&tip);
                return Ok(Attempt::Committed(version));
            };
            match self.inner.log.actions(version).await {
                Ok(Some(there)) => {
                    let change = self.advance(&mut tip, &there)?;
                    self.show(&tip);
                    if change.commit_id.as_deref() == Some(&id) {
                        tracing::warn!(version, %error, "a commit was answered by an error, but is there");
                        return Ok(Attempt::Committed(version));
                    }
                    *conflicts += 1;
                }
                Ok(None) => wait.after(Err(error).when("writing a commit")).await?,
                Err(failed) => wait.after(Err(failed)).await?,
            }
        }
    }

    /// Sorts and encodes the rows, off the async threads, and writes one file per kind.
    async fn write_segments(&self, rest: &[Rest]) -> Result<Vec<Arc<DataFile>>> {
        let (segments, options) = (rest.to_vec(), self.inner.options.clone());
        let encoded = tokio::task::spawn_blocking(move || {
            let of = |kind: RowKind| {
                let batches: Vec<_> = segments
                    .iter()
                    .map(|(segment, after)| match kind {
                        RowKind::Event => (&segment.events, *after),
                        RowKind::Reject => (&segment.rejects, *after),
                    })
                    .filter(|(batch, _)| batch.num_rows() > 0)
                    .collect();
                Ok(encode(&batches, kind, &options)?.map(|encoded| (kind, encoded)))
            };
            [of(RowKind::Event), of(RowKind::Reject)]
                .into_iter()
                .collect::<Result<Vec<_>>>()
        });
        let encoded = encoded.await.map_err(|e| Error::Segment {
            reason: e.to_string(),
        })??;
        let mut files = Vec::new();
        for (kind, encoded) in encoded.into_iter().flatten() {
            let file = DataFile {
                kind,
                path: new_path(kind),
                size: encoded.bytes.len() as u64,
                modified_ms: (self.inner.clock)() / 1000,
                newest: 0,
                contents: encoded.contents,
            };
            self.put(&file.path, encoded.bytes.into()).await?;
            files.push(Arc::new(file));
        }
        Ok(files)
    }

    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let path = Path::from(path);
        let mut wait = Retry::default();
        loop {
            let payload = PutPayload::from_bytes(bytes.clone());
            match self.inner.log.store.put(&path, payload).await {
                Ok(_) => return Ok(()),
                Err(error) => wait.after(Err(error).when("writing rows")).await?,
            }
        }
    }

    /// Deletes files that are certain never to be in the table. Best effort.
    pub(crate) async fn discard(&self, files: &[Arc<DataFile>]) {
        for file in files {
            if let Err(error) = self.inner.log.store.delete(&Path::from(&*file.path)).await {
                tracing::warn!(path = file.path, %error, "an unused file could not be deleted");
            }
        }
    }
}

/// A new file's path below the table's root.
pub(crate) fn new_path(kind: RowKind) -> String {
    let column = crate::schema::KIND_COLUMN;
    format!(
        "{column}={}/part-{}.parquet",
        kind.partition(),
        uuid::Uuid::new_v4()
    )
}

/// Waits longer after each failure, and gives up after [`ATTEMPTS`]. A full disk is not waited for.
#[derive(Default)]
pub(crate) struct Retry {
    failures: u32,
}

impl Retry {
    pub(crate) async fn after(&mut self, failed: Result<()>) -> Result<()> {
        self.failures += 1;
        let Err(error) = failed else { return Ok(()) };
        if self.failures >= ATTEMPTS || matches!(error, Error::Full { .. } | Error::Foreign { .. })
        {
            return Err(error);
        }
        tracing::warn!(%error, attempt = self.failures, "a write failed, trying again");
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(self.failures - 1)).await;
        Ok(())
    }
}

/// Refuses what could be mistaken for something else later.
fn check(batch: &CommitBatch) -> Result<()> {
    let bad = |reason: String| Err(Error::Segment { reason });
    for segment in &batch.segments {
        if !is_stream_name(&segment.at.stream) {
            return bad(format!("a stream may not be named {:?}", segment.at.stream));
        }
        if segment.first > segment.last {
            return bad(format!("{} ends before it begins", segment.at));
        }
    }
    Ok(())
}

/// The segments with rows beyond the committed offset of their partition. The others, and the
/// committed parts of these, are noted as skipped.
fn remaining(
    segments: &[Arc<HotSegment>],
    offsets: &Offsets,
    outcome: &mut CommitOutcome,
) -> Vec<Rest> {
    outcome.skipped.clear();
    let mut rest = Vec::new();
    // a segment handed over twice, or overlapping the one before, is written once
    let mut taken: HashMap<&StreamPartition, i64> = HashMap::new();
    for segment in segments {
        let committed = offsets.get(&segment.at).copied().unwrap_or(i64::MIN);
        let taken = taken.entry(&segment.at).or_insert(committed);
        let after = *taken;
        if after >= segment.first {
            let until = after.min(segment.last);
            outcome
                .skipped
                .push((segment.at.clone(), segment.first, until));
        }
        if segment.last > after {
            rest.push((Arc::clone(segment), after));
            *taken = segment.last;
        }
    }
    rest
}

fn count(files: &[Arc<DataFile>], version: i64, outcome: &mut CommitOutcome) {
    outcome.version = Some(version);
    for file in files {
        outcome.bytes += file.size;
        match file.kind {
            RowKind::Event => outcome.events += file.contents.rows,
            RowKind::Reject => outcome.rejects += file.contents.rows,
        }
    }
}

/// The first action of a commit: what it is, and its own id.
pub(crate) struct Header {
    operation: &'static str,
    blind_append: bool,
    id: String,
    /// Further facts for people and tools that read the log.
    pub(crate) info: HashMap<String, Value>,
}

impl Header {
    pub(crate) fn new(operation: &'static str, blind_append: bool) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        Header {
            operation,
            blind_append,
            id,
            info: HashMap::new(),
        }
    }

    fn action(self, timestamp_ms: i64) -> Action {
        let mut info = self.info;
        info.insert(COMMIT_ID.into(), self.id.into());
        Action::CommitInfo(CommitInfo {
            timestamp: Some(timestamp_ms),
            operation: Some(self.operation.into()),
            operation_parameters: Some(HashMap::new()),
            is_blind_append: Some(self.blind_append),
            engine_info: Some(format!("linkfunnel:{}", env!("CARGO_PKG_VERSION"))),
            info,
            ..CommitInfo::default()
        })
    }
}

fn to_bytes(actions: &[Action]) -> Result<Bytes> {
    let mut bytes = Vec::new();
    for action in actions {
        serde_json::to_writer(&mut bytes, action).map_err(|e| Error::Segment {
            reason: format!("its actions cannot be written: {e}"),
        })?;
        bytes.push(b'\n');
    }
    Ok(bytes.into())
}
