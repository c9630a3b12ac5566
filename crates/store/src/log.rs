//! The Delta log: one small JSON file per version, and now and then a checkpoint.
//!
//! The state is read here rather than by deltalake's snapshot, because that cannot list
//! transactions (the committed offsets) and reads all files' actions again after every commit.
//! Checkpoints, their clean-up and the first commit are deltalake's.

use std::sync::Arc;

use bytes::Bytes;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{Action, MetadataExt as _, StructType};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore, get_actions};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use url::Url;

use crate::error::{Error, Result, While};
use crate::schema;
use crate::table::Table;

/// Files named so lie in the log's folder.
const FOLDER: &str = "_delta_log";

/// The log of one table.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) delta: LogStoreRef,
}

/// What a listing of the log's folder shows.
#[derive(Debug, Default)]
struct Listing {
    /// Versions that have a commit file, ascending.
    commits: Vec<i64>,
    /// Checkpoint files with their version.
    checkpoints: Vec<(i64, Path)>,
}

impl Log {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, url: &Url) -> Self {
        let options = StorageConfig::default();
        let delta = default_logstore(Arc::clone(&store), Arc::clone(&store), url, &options);
        Log { store, delta }
    }

    fn commit_path(version: i64) -> Path {
        Path::from(format!("{FOLDER}/{version:020}.json"))
    }

    /// The bytes of a commit; `None` if there is none of this version.
    pub(crate) async fn read(&self, version: i64) -> Result<Option<Bytes>> {
        match self.store.get(&Self::commit_path(version)).await {
            Ok(found) => Ok(Some(found.bytes().await.when("reading a commit")?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).when("reading a commit"),
        }
    }

    /// The actions of a commit; `None` if there is none of this version.
    pub(crate) async fn actions(&self, version: i64) -> Result<Option<Vec<Action>>> {
        let Some(bytes) = self.read(version).await? else {
            return Ok(None);
        };
        parse(version, &bytes).map(Some)
    }

    /// Writes a commit if there is none of this version. An error does not mean that it was not
    /// written.
    pub(crate) async fn write(&self, version: i64, bytes: Bytes) -> object_store::Result<()> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        self.store
            .put_opts(&Self::commit_path(version), bytes.into(), options)
            .await
            .map(drop)
    }

    async fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut files = self.store.list(Some(&Path::from(FOLDER)));
        while let Some(file) = files.try_next().await.when("listing the log")? {
            let name = file.location.filename().unwrap_or_default();
            let Some((version, rest)) = name.split_at_checked(20) else {
                continue;
            };
            let Ok(version) = version.parse() else {
                continue;
            };
            if rest == ".json" {
                listing.commits.push(version);
            } else if rest.starts_with(".checkpoint") && rest.ends_with(".parquet") {
                listing.checkpoints.push((version, file.location));
            }
        }
        listing.commits.sort_unstable();
        Ok(listing)
    }

    /// The newest checkpoint's version; `None` without one.
    pub(crate) async fn last_checkpoint(&self) -> Result<Option<i64>> {
        Ok(self.list().await?.checkpoints.iter().map(|(v, _)| *v).max())
    }

    /// The state at `version` (the newest when `None`); `None` if there is no table, or no longer
    /// such a version.
    pub(crate) async fn load(&self, version: Option<i64>) -> Result<Option<Table>> {
        let listing = self.list().await?;
        let Some(newest) = listing.commits.last().copied() else {
            return Ok(None);
        };
        let version = version.unwrap_or(newest);
        let start = listing
            .checkpoints
            .iter()
            .map(|(v, _)| *v)
            .filter(|v| *v <= version)
            .max();
        let mut table = Table::default();
        if let Some(start) = start {
            let parts = listing.checkpoints.into_iter().filter(|(v, _)| *v == start);
            for (_, part) in parts {
                table.apply(start, &self.checkpoint_actions(&part).await?)?;
            }
        }
        for next in start.map_or(0, |v| v + 1)..=version {
            let Some(actions) = self.actions(next).await? else {
                return Ok(None);
            };
            table.apply(next, &actions)?;
        }
        Ok(Some(table))
    }

    /// The rows of a checkpoint are actions column by column; as JSON they are what commits hold.
    async fn checkpoint_actions(&self, path: &Path) -> Result<Vec<Action>> {
        const DOING: &str = "reading a checkpoint";
        let bytes = self
            .store
            .get(path)
            .await
            .when(DOING)?
            .bytes()
            .await
            .when(DOING)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).when(DOING)?;
        let names = reader.parquet_schema().root_schema().get_fields();
        let known = ["metaData", "protocol", "txn", "add", "remove"];
        let known = (0..names.len()).filter(|i| known.contains(&names[*i].name()));
        if let Some(alien) = names.iter().find(|f| f.name() == "checkpointMetadata") {
            let reason = format!(
                "its checkpoints are of a kind we cannot read ({})",
                alien.name()
            );
            return Err(Error::Foreign { reason });
        }
        let mask = ProjectionMask::roots(reader.parquet_schema(), known);
        let mut actions = Vec::new();
        for batch in reader.with_projection(mask).build().when(DOING)? {
            let mut json = arrow::json::LineDelimitedWriter::new(Vec::new());
            json.write(&batch.when(DOING)?).when(DOING)?;
            json.finish().when(DOING)?;
            actions.extend(parse(0, &json.into_inner().into())?);
        }
        Ok(actions)
    }

    /// Makes the table if there is none.
    pub(crate) async fn create(&self) -> Result<()> {
        const DOING: &str = "making the table";
        let columns: StructType = (&schema::delta_columns()).try_into_kernel().map_err(|e| {
            let source: arrow::error::ArrowError = e;
            Error::Arrow {
                doing: DOING,
                source,
            }
        })?;
        let keep = [
            // our own vacuum deletes earlier; see `maintain`
            (
                "delta.deletedFileRetentionDuration",
                Some("interval 4 days"),
            ),
            ("delta.logRetentionDuration", Some("interval 2 days")),
        ];
        CreateBuilder::new()
            .with_log_store(Arc::clone(&self.delta))
            .with_columns(columns.fields().cloned())
            .with_partition_columns([schema::KIND_COLUMN])
            .with_configuration(keep)
            .with_save_mode(SaveMode::Ignore)
            .await
            .map(drop)
            .when(DOING)
    }

    /// The action that adds columns the table lacks; `None` if it has them all.
    pub(crate) fn widened(&self, table: &Table) -> Result<Option<Action>> {
        let ours = schema::delta_columns();
        let lacks = |name: &str| table.columns.iter().all(|c| c != name);
        if ours.fields().iter().all(|f| !lacks(f.name())) {
            return Ok(None);
        }
        let foreign = |reason: String| Error::Foreign { reason };
        let bad = |e: &dyn std::fmt::Display| foreign(format!("its schema cannot be widened: {e}"));
        let metadata: deltalake::kernel::Metadata =
            serde_json::from_value((*table.metadata).clone()).map_err(|e| bad(&e))?;
        let text = table
            .metadata
            .get("schemaString")
            .and_then(|s| s.as_str())
            .unwrap_or("{}");
        let old: StructType = serde_json::from_str(text).map_err(|e| bad(&e))?;
        let new: StructType = (&ours)
            .try_into_kernel()
            .map_err(|e: arrow::error::ArrowError| bad(&e))?;
        let missing = new.fields().filter(|f| lacks(f.name())).cloned();
        let all = StructType::try_new(old.fields().cloned().chain(missing)).map_err(|e| bad(&e))?;
        let metadata = metadata.with_schema(&all).map_err(|e| bad(&e))?;
        Ok(Some(Action::Metadata(metadata)))
    }
}

/// The actions in the bytes of a commit.
pub(crate) fn parse(version: i64, bytes: &Bytes) -> Result<Vec<Action>> {
    get_actions(version.cast_unsigned(), bytes).when("reading a commit")
}
