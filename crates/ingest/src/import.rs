//! A file into the table, in large commits, so that the same file again changes nothing.
//!
//! The stream is named by the hash of the file's content and a record's offset is its number, so a
//! second import finds every record committed, and one that was cut off goes on behind the last
//! committed record. Records come as JSON objects; reading CSV or Parquet and renaming columns is
//! done before. What cannot be read as an event becomes a dead letter of the file's stream.

use std::sync::Arc;
use std::time::Duration;

use linkfunnel_model::{Clock, vocab::Source};
use linkfunnel_store::{CommitBatch, CommitOutcome, HotSegment, Store, StreamPartition};

use crate::Fault;
use crate::decode::{Interpreter, StreamDefaults};
use crate::error::{Error, Result};
use crate::metrics::IngestMetrics;
use crate::pipeline::{Incoming, Pipeline};
use crate::recent::MAX_RECENT;
use crate::vault::Vault;

/// How often a commit of an import is tried before it is given up; the import can be run again.
pub const COMMIT_ATTEMPTS: u32 = 6;
const EPOCH: u64 = 1;
const PARTITION: i32 = 0;
/// Records between two calls of the progress callback.
const PROGRESS_EVERY: u64 = 10_000;

/// How to import.
#[derive(Clone)]
pub struct ImportOptions {
    /// What records are taken for when they are silent. Default source `import`.
    pub defaults: StreamDefaults,
    /// Bytes of rows a commit holds, about. Default 96 MiB.
    pub commit_bytes: usize,
    /// Records a commit holds at most. Default 500 000.
    pub commit_records: u64,
    /// Called with `during_import` after every commit and every 10 000 records.
    pub fault: Option<Fault>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        let defaults = StreamDefaults {
            source: Source::Import,
            ..StreamDefaults::default()
        };
        ImportOptions {
            defaults,
            commit_bytes: 96 << 20,
            commit_records: 500_000,
            fault: None,
        }
    }
}

/// What has become of the records so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct ImportProgress {
    /// Records read.
    pub read: u64,
    /// Of these, committed by an earlier import of the same content: left as they are.
    pub already: u64,
    /// Stored as events, copies not counted.
    pub stored: u64,
    /// Stored as copies of events seen before in this import; they change no answer.
    pub duplicates: u64,
    /// Stored as dead letters.
    pub dead_letters: u64,
    /// Suppressed: nothing of them is kept.
    pub suppressed: u64,
    /// Records that are committed, of those read.
    pub committed: u64,
}

/// Imports `records`, each the JSON of one event, as the stream `import:<content_sha256>`.
///
/// `progress` is called now and then and at the end. Must run on a tokio runtime; decoding happens
/// on the calling task, commits beside it.
///
/// # Errors
/// [`Error::Record`] when a record cannot be read, [`Error::Store`] when a commit fails
/// [`COMMIT_ATTEMPTS`] times. What was committed before stays, and importing the same content
/// again goes on from there.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a part of its own, handed in by the shell"
)]
pub async fn import<R, I>(
    content_sha256: &str,
    records: I,
    options: ImportOptions,
    store: &Store,
    vault: Arc<Vault>,
    metrics: Arc<IngestMetrics>,
    clock: &Clock,
    mut progress: impl FnMut(&ImportProgress),
) -> Result<ImportProgress>
where
    R: AsRef<[u8]>,
    I: Iterator<Item = Result<R, Box<dyn std::error::Error + Send + Sync>>>,
{
    let stream: Arc<str> = format!("import:{content_sha256}").into();
    store.refresh().await?;
    let at = StreamPartition::new(stream.clone(), PARTITION);
    let next = store.committed(&at).map_or(0, |c| c + 1);
    let interpreter = Interpreter {
        decoder: Default::default(),
        vault,
        defaults: options.defaults,
    };
    let mut pipeline = Pipeline::new(stream, interpreter, metrics, None);
    pipeline.attach(PARTITION, EPOCH);
    pipeline.tell_copies_apart(MAX_RECENT);
    let mut counts = ImportProgress::default();
    let mut committing = Committing {
        store: store.clone(),
        running: None,
    };
    let mut in_batch = 0;
    let now_us = clock();
    for (number, record) in (0i64..).zip(records) {
        let record = record.map_err(|source| Error::Record { number, source })?;
        counts.read += 1;
        if number < next {
            counts.already += 1;
            counts.committed += 1;
        } else {
            let payload = Some(record.as_ref());
            let message = Incoming {
                partition: PARTITION,
                offset: number,
                payload,
                received_at_us: now_us,
                fingerprint: None,
            };
            pipeline.handle(message)?;
            in_batch += 1;
        }
        if counts.read.is_multiple_of(PROGRESS_EVERY) {
            report(&mut counts, &pipeline, &mut progress, &options.fault);
        }
        if in_batch >= options.commit_records || pipeline.bytes() >= options.commit_bytes {
            counts.committed += committing.finish().await?;
            committing.start(&mut pipeline, in_batch, clock());
            in_batch = 0;
            report(&mut counts, &pipeline, &mut progress, &options.fault);
        }
    }
    counts.committed += committing.finish().await?;
    if in_batch > 0 {
        committing.start(&mut pipeline, in_batch, clock());
        counts.committed += committing.finish().await?;
    }
    store.set_import_time(clock());
    report(&mut counts, &pipeline, &mut progress, &options.fault);
    Ok(counts)
}

fn report(
    counts: &mut ImportProgress,
    pipeline: &Pipeline,
    progress: &mut impl FnMut(&ImportProgress),
    fault: &Option<Fault>,
) {
    let totals = pipeline.totals();
    counts.stored = totals.events - totals.copies;
    counts.duplicates = totals.copies;
    counts.dead_letters = totals.dead_letters;
    counts.suppressed = totals.suppressed;
    progress(counts);
    if let Some(fault) = fault {
        fault("during_import");
    }
}

/// At most one commit at a time, beside the decoding of what comes next.
struct Committing {
    store: Store,
    running: Option<(tokio::task::JoinHandle<Result<CommitOutcome>>, u64)>,
}

impl Committing {
    fn start(&mut self, pipeline: &mut Pipeline, records: u64, now_us: i64) {
        let segments: Vec<Arc<HotSegment>> = pipeline
            .seal(None, now_us)
            .into_iter()
            .map(|s| s.segment)
            .collect();
        let task = tokio::spawn(commit(self.store.clone(), segments));
        self.running = Some((task, records));
    }

    /// Waits for the commit that runs, if one does; the records it held.
    async fn finish(&mut self) -> Result<u64> {
        let Some((task, records)) = self.running.take() else {
            return Ok(0);
        };
        match task.await {
            Ok(outcome) => outcome.map(|_| records),
            Err(error) => Err(Error::Stopped {
                why: format!("a commit broke off: {error}"),
            }),
        }
    }
}

async fn commit(store: Store, segments: Vec<Arc<HotSegment>>) -> Result<CommitOutcome> {
    let mut backoff = Duration::from_millis(200);
    for attempt in 1.. {
        let batch = CommitBatch {
            segments: segments.clone(),
            fingerprints: Vec::new(),
        };
        match store.commit(batch).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) if attempt >= COMMIT_ATTEMPTS => return Err(error.into()),
            Err(error) => {
                tracing::warn!(
                    error = Error::from(error).chain(),
                    attempt,
                    "commit failed; trying again"
                );
                tokio::time::sleep(backoff).await;
                backoff *= 2;
            }
        }
    }
    unreachable!("the loop ends by returning")
}
