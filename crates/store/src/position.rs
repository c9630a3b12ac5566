//! Where rows come from, and how they are handed to the store.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;

/// One partition of one stream: offsets grow within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamPartition {
    /// The stream's name: cluster, topic and generation, a local log, or an imported file's hash.
    pub stream: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

impl StreamPartition {
    /// The partition `partition` of `stream`.
    pub fn new(stream: impl Into<Arc<str>>, partition: i32) -> Self {
        StreamPartition {
            stream: stream.into(),
            partition,
        }
    }

    /// The Delta application id under which the last committed offset is kept.
    pub(crate) fn txn_id(&self) -> String {
        format!("{}/{}", self.stream, self.partition)
    }

    /// The partition that an application id names; `None` for others, such as `maintenance`.
    pub(crate) fn from_txn_id(id: &str) -> Option<Self> {
        let (stream, partition) = id.rsplit_once('/')?;
        Some(StreamPartition::new(stream, partition.parse().ok()?))
    }
}

impl fmt::Display for StreamPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.partition)
    }
}

/// The identity of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowPosition<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// The partition of the stream.
    pub partition: i32,
    /// The offset of the message.
    pub offset: i64,
    /// Which of the message's events, from 0.
    pub index: i32,
}

/// Rows of one partition that were sealed together: immutable, visible before they are committed.
#[derive(Debug, Clone)]
pub struct HotSegment {
    /// Where the rows come from.
    pub at: StreamPartition,
    /// The first offset handled, rejects included.
    pub first: i64,
    /// The last offset handled, inclusive. Offsets that hold no message (Kafka's transaction
    /// markers, compacted keys) count as handled.
    pub last: i64,
    /// How often the partition had been assigned when this was sealed; a segment of an older epoch
    /// is never committed.
    pub epoch: u64,
    /// Event rows, in [`crate::table_schema`].
    pub events: RecordBatch,
    /// Reject rows, in [`crate::reject_schema`].
    pub rejects: RecordBatch,
    /// When it was sealed (µs since the epoch).
    pub sealed_at_us: i64,
}

impl HotSegment {
    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.events.get_array_memory_size() + self.rejects.get_array_memory_size()
    }
}

/// The last message of a partition as it was seen: tells a topic made again from the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    /// The broker's timestamp of the message (ms since the epoch).
    pub timestamp_ms: i64,
    /// CRC-32 of its bytes.
    pub crc: u32,
}

/// What one commit writes.
#[derive(Debug, Clone, Default)]
pub struct CommitBatch {
    /// The segments, in growing order of offsets per partition.
    pub segments: Vec<Arc<HotSegment>>,
    /// The fingerprint of each partition's last message.
    pub fingerprints: Vec<(StreamPartition, Fingerprint)>,
}

/// What a commit did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitOutcome {
    /// The Delta version that holds the rows; `None` when everything had been committed before.
    pub version: Option<i64>,
    /// Event rows written.
    pub events: u64,
    /// Reject rows written.
    pub rejects: u64,
    /// Bytes of Parquet written.
    pub bytes: u64,
    /// Segments that were already committed (partition, first offset, last offset): left out.
    pub skipped: Vec<(StreamPartition, i64, i64)>,
    /// How often another writer's commit came first.
    pub conflicts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_found_again_in_its_transaction_id() {
        let at = StreamPartition::new("kafka:abc/topic with / slash/0", 12);
        assert_eq!(StreamPartition::from_txn_id(&at.txn_id()), Some(at));
        assert_eq!(StreamPartition::from_txn_id("maintenance"), None);
    }
}
