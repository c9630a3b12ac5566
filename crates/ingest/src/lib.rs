//! Streams in, exactly once: Kafka, the local log behind the HTTP intake, imported files.
//!
//! Every message handed to a stream becomes one row of the table, event or reject, in one commit
//! with its stream's offset; a reader starts behind the offset that the table holds. Nothing else
//! is remembered anywhere, so there is nothing that could disagree.
//!
//! The flow, in the order of the files: a message is decoded and its ids go through the [`Vault`]
//! (`decode`), rows are collected and sealed every 150 ms (`pipeline`), shown in the view and kept
//! until committed (`committer`). [`start_kafka`] and [`start_local`] feed it from threads of their
//! own (librdkafka and redb block); [`import`] from an iterator. [`Intake`] writes to where one of
//! the two reads.

mod base64;
mod committer;
mod decode;
mod error;
mod import;
mod intake;
mod kafka;
mod local;
mod local_log;
mod metrics;
mod pipeline;
mod quality;
mod recent;
mod replay;
mod status;
mod vault;
mod watermark;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use committer::CommitOptions;
pub use decode::{Decoder, KEPT_OF_TOO_LARGE, StreamDefaults};
pub use error::{Error, Result};
pub use import::{COMMIT_ATTEMPTS, ImportOptions, ImportProgress, import};
pub use intake::{Intake, IntakeOptions, KafkaTarget, Verdict};
pub use kafka::{KafkaConfig, OnLostRange, Start, start_kafka};
pub use local::{LocalConfig, start_local};
pub use local_log::{
    LocalLog, LogEntry, LogRecord, MAX_GROUP_BYTES, MAX_LOG_BYTES, MAX_WAITING_APPENDS,
};
pub use metrics::{IngestMetrics, MAX_ARRIVAL_LABELS, MAX_DROPPED_FIELD_LABELS};
pub use quality::TooManyBad;
pub use recent::MAX_RECENT;
pub use replay::{
    DeadLetter, REPLAY_BATCH_PREFIX, ReplayReport, replay_batch_id, replay_dead_letters,
};
pub use status::{IngestHandle, IngestStatus, PartitionStatus, ReaderState};
pub use vault::{MAX_TENANTS, Vault};

/// How long the last commit of a stream may take at shutdown before what is in memory is left to
/// be read again.
pub const SHUTDOWN_COMMIT_WITHIN: Duration = Duration::from_secs(10);

/// A hook for tests that kill the process: called with the name of the place passed.
pub type Fault = Arc<dyn Fn(&'static str) + Send + Sync>;

/// Bounds of memory and delay while reading a stream.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows become visible at most this long after they were taken in. Default 150 ms.
    pub seal_every: Duration,
    /// Or as soon as so many bytes were taken in. Default 8 MiB.
    pub seal_bytes: usize,
    /// Bytes of rows in memory at which reading pauses until a commit has made room. Default
    /// 256 MiB.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            seal_every: Duration::from_millis(150),
            seal_bytes: 8 << 20,
            memory_bytes: 256 << 20,
        }
    }
}
