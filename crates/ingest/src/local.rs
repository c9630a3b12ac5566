//! Reads the local log as a stream of one partition.

use std::sync::Arc;
use std::time::{Duration, Instant};

use linkfunnel_model::Clock;
use linkfunnel_store::{Store, StreamPartition};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::committer::{CommitOptions, Committer};
use crate::decode::{Interpreter, StreamDefaults};
use crate::error::{Error, Result};
use crate::local_log::{LocalLog, LogEntry};
use crate::metrics::IngestMetrics;
use crate::pipeline::{Incoming, Pipeline};
use crate::status::{IngestHandle, PartitionStatus, ReaderState, StatusCell};
use crate::vault::Vault;
use crate::watermark::Watermark;
use crate::{Limits, SHUTDOWN_COMMIT_WITHIN};

const PARTITION: i32 = 0;
const READ_BYTES: usize = 4 << 20;
const EPOCH: u64 = 1;

/// How the local log is read.
#[derive(Debug, Clone, Default)]
pub struct LocalConfig {
    /// When to commit.
    pub commit: CommitOptions,
    /// Bounds of memory and delay.
    pub limits: Limits,
    /// What messages are taken for when they are silent.
    pub defaults: StreamDefaults,
}

struct Reader {
    log: LocalLog,
    committer: Arc<Committer>,
    pipeline: Pipeline,
    metrics: Arc<IngestMetrics>,
    limits: Limits,
    status: StatusCell,
    stream: Arc<str>,
    next: i64,
    watermark: Watermark,
    trimmed: Option<i64>,
}

/// Starts reading `log` into `store`, on a thread of its own, and a committer on the current tokio
/// runtime; both end after `shutdown`, having committed what was appended.
///
/// # Panics
/// Outside a tokio runtime.
pub fn start_local(
    config: LocalConfig,
    log: LocalLog,
    store: Store,
    vault: Arc<Vault>,
    metrics: Arc<IngestMetrics>,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<IngestHandle> {
    let stream: Arc<str> = format!("local:{}", log.id()).into();
    let next = store
        .committed(&StreamPartition::new(stream.clone(), PARTITION))
        .map_or(0, |c| c + 1);
    if log.end() < next {
        let why = format!(
            "the table holds {next} records of the local log but the log has had only {}: it was put back to an earlier state; move it away, a new one is made",
            log.end()
        );
        return Err(Error::Stopped { why });
    }
    let committer = Arc::new(Committer::new(store, metrics.clone(), clock, config.commit));
    committer.attach(&stream, PARTITION, EPOCH);
    let interpreter = Interpreter {
        decoder: Default::default(),
        vault,
        defaults: config.defaults,
    };
    let mut pipeline = Pipeline::new(stream.clone(), interpreter, metrics.clone(), None);
    pipeline.attach(PARTITION, EPOCH);
    let status = StatusCell::new("the first read");
    status.update(|s| s.stream = stream.to_string());
    let mut reader = Reader {
        log,
        committer: committer.clone(),
        pipeline,
        metrics,
        limits: config.limits,
        status: status.clone(),
        stream,
        next,
        watermark: Watermark::default(),
        trimmed: None,
    };
    let runtime = Handle::current();
    let committing = shutdown.clone();
    runtime.spawn(async move { committer.run(committing).await });
    let (end, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("ingest-local".into())
        .spawn(move || {
            let result = reader.run(&runtime, &shutdown);
            let why = result.as_ref().err().cloned();
            reader.status.state(ReaderState::Stopped { why });
            // Nobody may be waiting.
            let _ = end.send(result);
        })
        .map_err(|e| Error::Stopped {
            why: format!("no thread for the local log: {e}"),
        })?;
    Ok(IngestHandle { status, ended })
}

impl Reader {
    fn run(&mut self, runtime: &Handle, shutdown: &CancellationToken) -> Result<(), String> {
        self.status.state(ReaderState::Running);
        let mut next_seal = Instant::now() + self.limits.seal_every;
        loop {
            // What was appended before the shutdown is read and committed after it.
            let ending = shutdown.is_cancelled();
            let more = self.read(ending);
            if Instant::now() >= next_seal
                || self.pipeline.bytes() >= self.limits.seal_bytes
                || (ending && !more)
            {
                self.seal();
                next_seal = Instant::now() + self.limits.seal_every;
            }
            if ending && !more {
                break;
            }
            if !more {
                self.log.wait_for(
                    self.next,
                    next_seal.saturating_duration_since(Instant::now()),
                );
            }
        }
        let within = SHUTDOWN_COMMIT_WITHIN;
        if runtime.block_on(self.committer.commit_all(None, within)) {
            self.trim();
        } else {
            tracing::warn!("not everything was committed before the end; the local log keeps it");
        }
        Ok(())
    }

    /// Takes in the next records; whether there may be more at once.
    fn read(&mut self, ending: bool) -> bool {
        let full = self.committer.bytes() + self.pipeline.bytes() >= self.limits.memory_bytes;
        self.metrics.paused.set(i64::from(full));
        self.status.update(|s| s.paused = full);
        if full && !ending {
            std::thread::sleep(Duration::from_millis(20));
            return false;
        }
        let asked_at_us = self.committer.now_us();
        let entries = match self.log.read(self.next, READ_BYTES) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(
                    error = error.chain(),
                    "the local log cannot be read; trying again"
                );
                std::thread::sleep(Duration::from_millis(500));
                return false;
            }
        };
        let bytes: usize = entries.iter().map(|e| e.record.bytes.len()).sum();
        for entry in &entries {
            if !self.handle(entry) {
                return false;
            }
        }
        if bytes < READ_BYTES {
            self.watermark.met_end_at(asked_at_us);
        }
        bytes >= READ_BYTES
    }

    fn handle(&mut self, entry: &LogEntry) -> bool {
        let message = Incoming {
            partition: PARTITION,
            offset: entry.offset,
            payload: Some(&entry.record.bytes),
            received_at_us: entry.record.arrived_at_us,
            fingerprint: None,
        };
        if let Err(error) = self.pipeline.handle(message) {
            tracing::error!(
                error = error.chain(),
                offset = entry.offset,
                "a record cannot be taken in yet; trying again"
            );
            std::thread::sleep(Duration::from_millis(500));
            return false;
        }
        self.next = entry.offset + 1;
        true
    }

    fn seal(&mut self) {
        let now_us = self.committer.now_us();
        self.committer.publish(self.pipeline.seal(None, now_us));
        let at = StreamPartition::new(self.stream.clone(), PARTITION);
        let watermark_us = self.watermark.published(0);
        if let Some(us) = watermark_us {
            self.committer.store().set_watermark(at, us);
            self.metrics.watermark(&self.stream, PARTITION, now_us - us);
        }
        self.trim();
        let end = self.log.end();
        let labels = [&*self.stream, "0"];
        self.metrics
            .lag
            .with_label_values(&labels)
            .set((end - self.next).max(0));
        let partition = PartitionStatus {
            partition: PARTITION,
            position: Some(self.next),
            committed: self.trimmed,
            end: Some(end),
            caught_up: self.watermark.met_end_once(),
            watermark_us,
            lost: None,
        };
        self.status.update(|status| {
            status.partitions = vec![partition];
            status.uncommitted_bytes = self.committer.bytes();
            status.commit_error = self.committer.last_error();
        });
    }

    /// Lets the log forget what the table holds.
    fn trim(&mut self) {
        let committed = self.committer.committed(PARTITION);
        if committed > self.trimmed {
            if let Some(through) = committed {
                self.log.trim(through);
            }
            self.trimmed = committed;
        }
    }
}
