//! Sealed segments wait here, visible in the view, until a commit to the table holds them.
//!
//! Nothing is taken off the shelf before the table has it, so a failing storage loses nothing: the
//! same segments are offered again, and the store leaves out those it finds committed already (an
//! error may come after the write). Segments whose partition was taken from us are dropped, never
//! committed: the next owner reads the messages again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use linkfunnel_model::Clock;
use linkfunnel_store::{CommitBatch, CommitOutcome, Store, StreamPartition};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::metrics::IngestMetrics;
use crate::pipeline::Sealed;

/// When to commit.
#[derive(Debug, Clone, Copy)]
pub struct CommitOptions {
    /// At most this long after rows arrived. Default 2 s.
    pub every: Duration,
    /// Or as soon as so many bytes wait. Default 64 MiB.
    pub bytes: usize,
    /// Whether other processes commit to the same table: then their commits are looked for after
    /// every interval without one of ours. Default no.
    pub shared_table: bool,
}

impl Default for CommitOptions {
    fn default() -> Self {
        CommitOptions {
            every: Duration::from_secs(2),
            bytes: 64 << 20,
            shared_table: false,
        }
    }
}

const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// The shelf and who empties it.
pub(crate) struct Committer {
    store: Store,
    metrics: Arc<IngestMetrics>,
    clock: Clock,
    options: CommitOptions,
    stream: Mutex<Arc<str>>,
    shelves: Mutex<BTreeMap<i32, Shelf>>,
    bytes: AtomicUsize,
    epochs: AtomicU64,
    /// One commit at a time.
    turn: tokio::sync::Mutex<()>,
    wake: Notify,
    last_error: Mutex<Option<String>>,
}

struct Shelf {
    epoch: u64,
    waiting: VecDeque<Sealed>,
}

/// What one commit took from a partition's shelf.
struct Taken {
    partition: i32,
    epoch: u64,
    segments: usize,
}

impl Committer {
    pub(crate) fn new(
        store: Store,
        metrics: Arc<IngestMetrics>,
        clock: Clock,
        options: CommitOptions,
    ) -> Committer {
        Committer {
            store,
            metrics,
            clock,
            options,
            stream: Mutex::new("".into()),
            shelves: Mutex::default(),
            bytes: AtomicUsize::new(0),
            epochs: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            last_error: Mutex::default(),
        }
    }

    /// Marks one holding of a partition. Never given twice, over all sessions: a commit that began
    /// under one session may end under the next, and must not take what that one put on its shelf.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes a shelf for a partition of `stream`.
    pub(crate) fn attach(&self, stream: &Arc<str>, partition: i32, epoch: u64) {
        self.detach(partition);
        *self.stream.lock() = stream.clone();
        self.shelves.lock().insert(
            partition,
            Shelf {
                epoch,
                waiting: VecDeque::new(),
            },
        );
    }

    /// Drops a partition's shelf with what is on it, from the view too. A commit under way may
    /// still write it: the table decides by offsets, so that doubles nothing.
    pub(crate) fn detach(&self, partition: i32) {
        if let Some(shelf) = self.shelves.lock().remove(&partition) {
            let bytes = shelf.waiting.iter().map(|s| s.bytes).sum();
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.store.drop_hot(&self.at(partition));
        }
    }

    fn at(&self, partition: i32) -> StreamPartition {
        StreamPartition::new(self.stream.lock().clone(), partition)
    }

    /// Shows segments in the view, all at once, and keeps them for the next commit.
    pub(crate) fn publish(&self, sealed: Vec<Sealed>) {
        if sealed.is_empty() {
            return;
        }
        self.store
            .publish_shared(sealed.iter().map(|s| s.segment.clone()).collect());
        let mut shelves = self.shelves.lock();
        for one in sealed {
            let Some(shelf) = shelves.get_mut(&one.segment.at.partition) else {
                continue;
            };
            self.bytes.fetch_add(one.bytes, Ordering::Relaxed);
            shelf.waiting.push_back(one);
        }
        drop(shelves);
        self.metrics
            .uncommitted_bytes
            .set(self.bytes().try_into().unwrap_or(i64::MAX));
        if self.bytes() >= self.options.bytes {
            self.wake.notify_one();
        }
    }

    /// Bytes on the shelves.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Why commits fail at present.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// Commits in its rhythm until `shutdown`; the last commit is the caller's.
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        let mut backoff: Option<Duration> = None;
        loop {
            let wait = backoff.unwrap_or(self.options.every);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = self.wake.notified(), if backoff.is_none() => {}
            }
            backoff = match self.commit(None).await {
                Ok(true) => None,
                Ok(false) => {
                    self.look_for_others().await;
                    None
                }
                Err(_) => Some(backoff.map_or(FIRST_BACKOFF, |b| (b * 2).min(LONGEST_BACKOFF))),
            };
        }
    }

    async fn look_for_others(&self) {
        if !self.options.shared_table {
            return;
        }
        if let Err(error) = self.store.refresh().await {
            tracing::warn!(
                error = crate::Error::from(error).chain(),
                "looking for other writers' commits failed"
            );
        }
    }

    /// Commits until nothing is left of `only` (or of all), or `within` is over. True when all is
    /// in the table.
    pub(crate) async fn commit_all(&self, only: Option<&[i32]>, within: Duration) -> bool {
        let attempts = async {
            let mut backoff = FIRST_BACKOFF;
            loop {
                match self.commit(only).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(_) => {
                        tokio::time::sleep(backoff).await;
                        backoff = (backoff * 2).min(LONGEST_BACKOFF);
                    }
                }
            }
        };
        tokio::time::timeout(within, attempts).await.is_ok()
    }

    /// One commit of what waits; false when nothing did. On an error everything still waits.
    pub(crate) async fn commit(&self, only: Option<&[i32]>) -> Result<bool> {
        let _turn = self.turn.lock().await;
        let (batch, taken) = self.batch(only);
        if batch.segments.is_empty() {
            return Ok(false);
        }
        let started = Instant::now();
        let result = self.store.commit(batch).await;
        self.metrics
            .commit_seconds
            .observe(started.elapsed().as_secs_f64());
        match result {
            Ok(outcome) => {
                let label = if outcome.version.is_some() {
                    "ok"
                } else {
                    "skipped"
                };
                self.metrics.commits.with_label_values(&[label]).inc();
                self.settle(&outcome, &taken);
                if self.last_error.lock().take().is_some() {
                    tracing::info!("the table takes commits again");
                }
                Ok(true)
            }
            Err(error) => {
                let error = crate::Error::from(error);
                self.metrics.commits.with_label_values(&["failed"]).inc();
                tracing::error!(
                    error = error.chain(),
                    waiting_bytes = self.bytes(),
                    "commit failed; nothing is lost, it is tried again"
                );
                *self.last_error.lock() = Some(error.chain());
                Err(error)
            }
        }
    }

    fn batch(&self, only: Option<&[i32]>) -> (CommitBatch, Vec<Taken>) {
        let mut batch = CommitBatch::default();
        let mut taken = Vec::new();
        for (partition, shelf) in &*self.shelves.lock() {
            if only.is_some_and(|only| !only.contains(partition)) || shelf.waiting.is_empty() {
                continue;
            }
            batch
                .segments
                .extend(shelf.waiting.iter().map(|s| s.segment.clone()));
            if let Some(last) = shelf.waiting.back()
                && let Some(fingerprint) = last.fingerprint
            {
                batch
                    .fingerprints
                    .push((last.segment.at.clone(), fingerprint));
            }
            taken.push(Taken {
                partition: *partition,
                epoch: shelf.epoch,
                segments: shelf.waiting.len(),
            });
        }
        (batch, taken)
    }

    /// Takes off the shelves what the table now holds.
    fn settle(&self, outcome: &CommitOutcome, taken: &[Taken]) {
        let mut shelves = self.shelves.lock();
        for one in taken {
            let Some(shelf) = shelves.get_mut(&one.partition) else {
                continue;
            };
            if shelf.epoch != one.epoch {
                continue;
            }
            for sealed in shelf.waiting.drain(..one.segments) {
                self.bytes.fetch_sub(sealed.bytes, Ordering::Relaxed);
            }
        }
        drop(shelves);
        self.metrics
            .uncommitted_bytes
            .set(self.bytes().try_into().unwrap_or(i64::MAX));
        for (at, first, last) in &outcome.skipped {
            tracing::warn!(partition = %at, first, last, "committed already, by another writer or by an attempt that seemed to fail; left out");
        }
    }

    /// The last committed offset of a partition that is attached, from memory.
    pub(crate) fn committed(&self, partition: i32) -> Option<i64> {
        self.store.committed(&self.at(partition))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn now_us(&self) -> i64 {
        (self.clock)()
    }
}
