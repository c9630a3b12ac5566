//! Settings of the store.

use std::fmt;
use std::sync::Arc;

/// Called at named points of a commit or of maintenance; a test makes it abort the process there.
/// Names: `before_parquet`, `after_parquet`, `after_commit`, `during_checkpoint`,
/// `during_compaction`.
pub type Fault = Arc<dyn Fn(&'static str) + Send + Sync>;

/// Settings of the store.
#[derive(Clone)]
pub struct StoreOptions {
    /// Bytes of hot rows beyond which [`crate::Store::is_full`] says so; ingest then pauses.
    /// Default 256 MiB.
    pub hot_bytes_limit: usize,
    /// Rows in a row group: the unit that is pruned by root key. Default 131 072.
    pub row_group_rows: usize,
    /// Compression level of zstd, 1–22. Default 1.
    pub zstd_level: i32,
    /// Commits after which [`crate::Store::maintain`] writes the next checkpoint. Default 100.
    pub checkpoint_every: u64,
    /// How long a view token is honoured (µs). Default 24 h.
    pub token_valid_us: i64,
    /// How long removed files are kept for readers of old views (µs). Default 26 h; never less than
    /// `token_valid_us`.
    pub keep_removed_us: i64,
    /// Memory for what files say about ids, in bytes; what does not fit is read again when it is
    /// needed. Default 256 MiB.
    pub id_cache_bytes: usize,
    /// Memory that finding companies and journeys through ids may take, in bytes; a question that
    /// needs more fails with [`crate::Error::TooManyIds`]. Default 2 GiB.
    pub ways_bytes_limit: usize,
    /// Test hook, see [`Fault`]. Default none.
    pub fault: Option<Fault>,
}

const HOUR_US: i64 = 3_600_000_000;

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            hot_bytes_limit: 256 << 20,
            row_group_rows: 128 << 10,
            zstd_level: 1,
            checkpoint_every: 100,
            token_valid_us: 24 * HOUR_US,
            keep_removed_us: 26 * HOUR_US,
            id_cache_bytes: 256 << 20,
            ways_bytes_limit: 2 << 30,
            fault: None,
        }
    }
}

impl StoreOptions {
    /// Passes a named point.
    pub(crate) fn crash_point(&self, name: &'static str) {
        if let Some(fault) = &self.fault {
            fault(name);
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("hot_bytes_limit", &self.hot_bytes_limit)
            .field("row_group_rows", &self.row_group_rows)
            .field("checkpoint_every", &self.checkpoint_every)
            .finish_non_exhaustive()
    }
}
