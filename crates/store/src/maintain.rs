//! Checkpoints, clean-up of the log, deletion of files that were replaced long ago.
//!
//! Only files that the log says were removed are deleted (Delta's VACUUM LITE): a file that no commit
//! names may belong to a commit that is being written. Removed files stay for a little longer than
//! view tokens are honoured, so that a view of the past never misses one.

use std::sync::Arc;

use deltalake::DeltaTable;
use deltalake::protocol::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use futures::{StreamExt, stream};
use object_store::path::Path;

use crate::error::{Result, While};
use crate::store::{STALE_US, Store};

/// What maintenance did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// The version a checkpoint was written of.
    pub checkpoint: Option<i64>,
    /// Log files deleted.
    pub log_files: u64,
    /// Data files deleted.
    pub data_files: u64,
}

impl Store {
    /// Writes a checkpoint when one is due, cleans up the log before it, and deletes files that were
    /// replaced longer ago than any view token is honoured. Calls queue up; commits go on meanwhile.
    pub async fn maintain(&self) -> Result<MaintenanceReport> {
        let _turn = self.inner.maintenance.lock().await;
        let keep_us = self
            .inner
            .options
            .keep_removed_us
            .max(self.inner.options.token_valid_us);
        let cutoff_ms = ((self.inner.clock)() - keep_us) / 1000;
        let data_files = self.vacuum(cutoff_ms).await?;
        let mut report = MaintenanceReport {
            data_files,
            ..MaintenanceReport::default()
        };
        let due = {
            let tip = self.inner.tip.lock().await;
            let since = tip.table.version - tip.checkpoint.max(0);
            let every = i64::try_from(self.inner.options.checkpoint_every).unwrap_or(i64::MAX);
            (since >= every).then_some(tip.table.version)
        };
        if let Some(version) = due {
            self.checkpoint(version).await?;
            report.checkpoint = Some(version);
            // a process that pauses for less than this still finds the commits it missed
            let log_us = keep_us.max(4 * STALE_US);
            let cutoff_ms = ((self.inner.clock)() - log_us) / 1000;
            report.log_files = self.clean_log(version, cutoff_ms).await?;
        }
        Ok(report)
    }

    async fn checkpoint(&self, version: i64) -> Result<()> {
        const DOING: &str = "writing a checkpoint";
        let mut table = DeltaTable::new(Arc::clone(&self.inner.log.delta));
        table
            .load_version(version.cast_unsigned())
            .await
            .when(DOING)?;
        self.inner.options.crash_point("during_checkpoint");
        create_checkpoint(&table, None).await.when(DOING)?;
        self.inner.options.crash_point("during_checkpoint");
        self.inner.tip.lock().await.checkpoint = version;
        Ok(())
    }

    async fn clean_log(&self, version: i64, cutoff_ms: i64) -> Result<u64> {
        let log = self.inner.log.delta.as_ref();
        cleanup_expired_logs_for(version.cast_unsigned(), log, cutoff_ms, None)
            .await
            .map(|files| files as u64)
            .when("cleaning up the log")
    }

    async fn vacuum(&self, cutoff_ms: i64) -> Result<u64> {
        let expired: Vec<String> = {
            let tip = self.inner.tip.lock().await;
            let table = &tip.table;
            let active = |path| table.events.contains_key(path) || table.rejects.contains_key(path);
            let old = table
                .tombstones
                .iter()
                .filter(|(path, at)| **at < cutoff_ms && !active(*path));
            old.map(|(path, _)| path.clone()).collect()
        };
        if expired.is_empty() {
            return Ok(0);
        }
        let paths: Vec<_> = expired
            .iter()
            .map(|path| Ok(Path::from(path.as_str())))
            .collect();
        let mut results = self
            .inner
            .log
            .store
            .delete_stream(stream::iter(paths).boxed());
        let mut deleted = 0;
        while let Some(result) = results.next().await {
            match result {
                Ok(_) => deleted += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error).when("deleting replaced files"),
            }
        }
        let mut tip = self.inner.tip.lock().await;
        let tombstones = Arc::make_mut(&mut tip.table.tombstones);
        for path in &expired {
            tombstones.remove(path);
        }
        Ok(deleted)
    }
}
