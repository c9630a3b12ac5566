//! The Delta tables of linkfunnel: schema, commit, read view, scan, compaction.
//!
//! The only crate that knows Delta and Parquet. What it promises:
//!
//! - A message is committed exactly once: the last committed offset of each partition is a Delta
//!   transaction in the same commit as the rows, compared on the very version that is built upon.
//! - A [`ReadView`] never changes. It holds one Delta version and the hot rows beyond it; a commit
//!   swaps the view once, so a reader sees every row exactly once.
//! - Rows come out of a [`Store::scan`] in table order, root by root, each event once, however many
//!   copies were delivered, whether compacted or not, hot or cold.
//! - A view can be had again by its token for a day, row for row.
//! - A saved version, once there, never changes, and of two who write one number one does.

mod builder;
mod commit;
mod compact;
mod copies;
mod copies_for_good;
mod durable;
mod error;
mod file;
mod filters;
mod history;
mod hot;
mod hot_exec;
mod ids;
mod location;
mod log;
mod maintain;
mod options;
mod order;
mod position;
mod provider;
mod rejects;
mod roots;
mod saved;
mod saved_cache;
mod scan;
mod schema;
mod sealed;
mod source_ids;
mod store;
mod table;
mod token;
mod view;
mod ways;
mod writer;

#[cfg(test)]
mod tests;

pub use builder::EventBatchBuilder;
pub use compact::{CompactOptions, CompactionReport};
pub use error::{Error, Result};
pub use filters::ScanRequest;
pub use location::Location;
pub use maintain::MaintenanceReport;
pub use options::{Fault, StoreOptions};
pub use position::{
    CommitBatch, CommitOutcome, Fingerprint, HotSegment, RowPosition, StreamPartition,
};
pub use provider::Relation;
pub use rejects::{RejectBatchBuilder, RejectKind, RejectRow};
pub use saved::{
    MAX_SAVED_BYTES, MAX_SAVED_EXPERIMENTS, MAX_SAVED_FUNNELS, MAX_SAVED_IDS, MAX_SAVED_VERSIONS,
    SAVED_SEEN_WITHIN_US, SavedAll, SavedKind, SavedNote, SavedVersion, Shelf,
};
pub use schema::{
    EVENT, EVENT_KEY, INDEX, KIND_COLUMN, OCCURRED_AT, OFFSET, ORDER, PARTITION, RECEIVED_AT,
    REJECT, ROOT_KEY, ROOT_KIND, SAME_IN_COPIES, STREAM, TENANT, TIE_BREAKERS, column_type,
    reject_schema, table_schema,
};
pub use store::Store;
pub use token::{DefinitionName, SnapshotToken};
pub use view::ReadView;
