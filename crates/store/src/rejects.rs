//! Refused and suppressed messages into Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::record_batch::RecordBatch;

use crate::builder::Words;
use crate::position::RowPosition;
use crate::schema;

/// Why a message did not become an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectKind {
    /// It could not be understood; its bytes are kept for replay.
    DeadLetter,
    /// It must not be stored (consent denied, erased, empty); only its position is kept.
    Suppressed,
}

impl RejectKind {
    /// The word in the column `reject_kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            RejectKind::DeadLetter => "dead_letter",
            RejectKind::Suppressed => "suppressed",
        }
    }
}

/// A message that did not become an event.
#[derive(Debug, Clone, Copy)]
pub struct RejectRow<'a> {
    /// Dead letter or suppressed.
    pub kind: RejectKind,
    /// A stable code: `unknown_field`.
    pub code: &'a str,
    /// JSON pointer to the culprit, empty for the whole message.
    pub pointer: &'a str,
    /// What is wrong, for a person; never the refused value itself.
    pub detail: &'a str,
    /// The message, encrypted; `None` when suppressed.
    pub payload: Option<&'a [u8]>,
    /// The key that encrypted it.
    pub key_id: Option<&'a str>,
}

/// Collects reject rows into a batch of [`crate::reject_schema`].
pub struct RejectBatchBuilder {
    rows: usize,
    bytes: usize,
    stream: Words,
    partition: Int32Builder,
    offset: Int64Builder,
    index: Int32Builder,
    tenant: Words,
    received_at: TimestampMicrosecondBuilder,
    kind: Words,
    code: Words,
    pointer: StringBuilder,
    detail: StringBuilder,
    payload: BinaryBuilder,
    key_id: Words,
}

impl Default for RejectBatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl RejectBatchBuilder {
    /// An empty builder; [`Self::finish`] leaves it empty again, ready for the next batch.
    pub fn new() -> Self {
        RejectBatchBuilder {
            rows: 0,
            bytes: 0,
            stream: Words::new(),
            partition: Int32Builder::new(),
            offset: Int64Builder::new(),
            index: Int32Builder::new(),
            tenant: Words::new(),
            received_at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            kind: Words::new(),
            code: Words::new(),
            pointer: StringBuilder::new(),
            detail: StringBuilder::new(),
            payload: BinaryBuilder::new(),
            key_id: Words::new(),
        }
    }

    /// Appends a row. `received_at_us`: µs since the epoch.
    pub fn push(
        &mut self,
        at: RowPosition<'_>,
        tenant: &str,
        received_at_us: i64,
        reject: &RejectRow<'_>,
    ) {
        self.stream.append_value(at.stream);
        self.partition.append_value(at.partition);
        self.offset.append_value(at.offset);
        self.index.append_value(at.index);
        self.tenant.append_value(tenant);
        self.received_at.append_value(received_at_us);
        self.kind.append_value(reject.kind.as_str());
        self.code.append_value(reject.code);
        self.pointer.append_value(reject.pointer);
        self.detail.append_value(reject.detail);
        self.payload.append_option(reject.payload);
        self.key_id.append_option(reject.key_id);
        self.rows += 1;
        self.bytes +=
            64 + reject.pointer.len() + reject.detail.len() + reject.payload.map_or(0, <[u8]>::len);
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row has been pushed.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes so far, estimated from the values set.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows pushed since the last call, in the order they were pushed.
    pub fn finish(&mut self) -> RecordBatch {
        self.rows = 0;
        self.bytes = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.stream.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.index.finish()),
            Arc::new(self.tenant.finish()),
            Arc::new(self.received_at.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.code.finish()),
            Arc::new(self.pointer.finish()),
            Arc::new(self.detail.finish()),
            Arc::new(self.payload.finish()),
            Arc::new(self.key_id.finish()),
        ];
        RecordBatch::try_new(schema::reject_schema(), columns)
            .expect("the columns were built for this schema")
    }
}
