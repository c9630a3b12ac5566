//! Compaction: many small files into few long ones, copies dropped for good.
//!
//! Within a day (by arrival) files are merged when enough of about the same size have gathered, so
//! that a row is rewritten a few times at most; once a day is over, its files become one. A merge
//! reads its files in table order and writes as it reads, so memory does not grow with their size.
//! Roots that are known by now are written as root keys, so that few rows have to move at a scan; ids
//! as reported stay as they are, and what a root is remains for each scan to find.
//! It is committed as one Delta version (Remove + Add, no data change) that holds only if all its
//! files are still there and no other maintenance came between; otherwise nothing has happened, and
//! the new file is deleted. Ingest never waits for it and never loses to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::kernel::{Action, Transaction};
use futures::TryStreamExt;
use object_store::ObjectStoreExt as _;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use serde_json::json;

use crate::commit::{Attempt, Header, new_path};
use crate::copies::Dropping;
use crate::copies_for_good::{CopyCounts, SharedCounts};
use crate::error::{Error, Result, While};
use crate::file::{DataFile, RowKind};
use crate::order::Survey;
use crate::scan::{FOOTER_HINT, Input, Scan, full_schema, partitioned};
use crate::store::{Store, Tip};
use crate::table::{MAINTENANCE, Table, removed_txn};
use crate::writer::properties;

/// Files merged at once: each holds a row group's pages, a batch and, for every column, what decompresses
/// it (a tenth of a MB) in memory.
const MAX_INPUTS: usize = 8;
/// Rows in a batch while merging.
const BATCH_ROWS: usize = 2048;
/// A finished day's longest file is left alone until the others together are this part of it.
const WORTHWHILE: u64 = 4;
/// Memory for batches on their way and for sorting the rows whose root is found, in bytes.
const SORT_BYTES: usize = 1 << 30;
/// Merges in one call.
const MAX_MERGES: u64 = 256;

const DOING: &str = "compacting";

/// How to compact.
#[derive(Debug, Clone)]
pub struct CompactOptions {
    /// Merge files of the same size class and day once there are this many, at least 2. Default 8.
    pub min_files: usize,
    /// Merge everything into days at once, the current day included. Default false.
    pub full: bool,
}

impl Default for CompactOptions {
    fn default() -> Self {
        CompactOptions {
            min_files: 8,
            full: false,
        }
    }
}

/// What a compaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// Merges committed.
    pub merges: u64,
    /// Files replaced.
    pub files_before: u64,
    /// Files they were replaced by.
    pub files_after: u64,
    /// Rows read.
    pub rows: u64,
    /// Copies dropped for good.
    pub copies: u64,
    /// Merges given up because the files were replaced meanwhile.
    pub overtaken: u64,
}

/// A file written by a merge, with what it left out.
struct Merged {
    file: Arc<DataFile>,
    copies: CopyCounts,
}

impl Store {
    /// Merges small files into longer runs and drops copies for good. Calls queue up; other
    /// processes' compactions and commits may run at the same time.
    pub async fn compact(&self, options: CompactOptions) -> Result<CompactionReport> {
        let _turn = self.inner.maintenance.lock().await;
        let mut report = CompactionReport::default();
        let mut given_up = 0;
        while report.merges < MAX_MERGES && given_up < 3 {
            self.refresh().await?;
            let table = self.view().table.clone();
            let Some(files) = choose(&table, (self.inner.clock)(), &options) else {
                break;
            };
            let columns = self.columns_of(&files).await?;
            let Some(merged) = self.merge(&files, columns).await? else {
                break;
            };
            self.inner.options.crash_point("during_compaction");
            if self.replace(&table, &files, &merged).await? {
                report.merges += 1;
                report.files_before += files.len() as u64;
                report.files_after += 1;
                report.rows += files.iter().map(|f| f.contents.rows).sum::<u64>();
                report.copies += merged
                    .copies
                    .dropped
                    .values()
                    .map(|n| n.unsigned_abs())
                    .sum::<u64>();
            } else {
                self.discard(&[merged.file]).await;
                report.overtaken += 1;
                given_up += 1;
            }
        }
        Ok(report)
    }

    /// The columns that some of the files have; `None` if one has columns that this version of the
    /// program does not know and would lose.
    async fn columns_of(&self, files: &[Arc<DataFile>]) -> Result<Option<Vec<usize>>> {
        let full = full_schema(files[0].kind);
        let mut present = vec![false; full.fields().len()];
        let readers = DefaultParquetFileReaderFactory::new(Arc::clone(&self.inner.log.store));
        let metrics = ExecutionPlanMetricsSet::new();
        for file in files {
            let mut reader = readers
                .create_reader(0, partitioned(file), Some(FOOTER_HINT), &metrics)
                .when(DOING)?;
            let metadata = reader.get_metadata(None).await.when(DOING)?;
            for column in metadata
                .file_metadata()
                .schema_descr()
                .root_schema()
                .get_fields()
            {
                match full.index_of(column.name()) {
                    Ok(at) => present[at] = true,
                    Err(_) => return Ok(None),
                }
            }
        }
        Ok(Some((0..present.len()).filter(|at| present[*at]).collect()))
    }

    /// Writes the files' rows as one file.
    async fn merge(
        &self,
        files: &[Arc<DataFile>],
        columns: Option<Vec<usize>>,
    ) -> Result<Option<Merged>> {
        let Some(columns) = columns else {
            tracing::warn!("files have columns of a newer version, they are left as they are");
            return Ok(None);
        };
        let kind = files[0].kind;
        let schema: SchemaRef = Arc::new(full_schema(kind).project(&columns).when(DOING)?);
        let counts = SharedCounts::default();
        let context = merging()?;
        let plan = self.merge_plan(files, columns, &counts, &context).await?;
        let path = new_path(kind);
        let survey = self
            .write_stream(plan, &path, kind, &schema, &context)
            .await?;
        let copies = std::mem::take(&mut *counts.lock());
        let level = files.iter().map(|f| f.contents.level).max().unwrap_or(0) + 1;
        let contents = survey.finish(kind == RowKind::Event && copies.kept == 0, level);
        let size = self
            .inner
            .log
            .store
            .head(&Path::from(&*path))
            .await
            .when(DOING)?
            .size;
        let modified_ms = (self.inner.clock)() / 1000;
        let file = Arc::new(DataFile {
            kind,
            path,
            size,
            modified_ms,
            newest: 0,
            contents,
        });
        Ok(Some(Merged { file, copies }))
    }

    async fn merge_plan(
        &self,
        files: &[Arc<DataFile>],
        wanted: Vec<usize>,
        counts: &SharedCounts,
        context: &SessionContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = Scan {
            kind: files[0].kind,
            ordered: true,
            raw: false,
            tenant: None,
            occurred: (i64::MIN, i64::MAX),
            pushed: Vec::new(),
            after: Vec::new(),
            wanted,
            limits: None,
            dropping: Dropping::ForGood(Arc::clone(counts)),
        };
        let state = context.state();
        let inputs: Vec<Input> = files
            .iter()
            .map(|f| Input {
                file: Arc::clone(f),
                limited: false,
            })
            .collect();
        let roots = match self.roots(&self.view(), &inputs, &scan, &state).await {
            Err(Error::TooManyIds { limit_bytes }) => {
                tracing::warn!(
                    limit_bytes,
                    "too many ids, rows are merged under the roots they have"
                );
                None
            }
            roots => roots?,
        };
        let plan = self.plan_inputs(inputs, &[], &scan, roots.as_ref(), 1, &state)?;
        Ok(match plan.output_partitioning().partition_count() {
            1 => plan,
            _ => Arc::new(CoalescePartitionsExec::new(plan)), // rejects: no order to keep
        })
    }

    async fn write_stream(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        path: &str,
        kind: RowKind,
        schema: &Schema,
        context: &SessionContext,
    ) -> Result<Survey> {
        let store = Arc::clone(&self.inner.log.store);
        let mut rows = execute_stream(plan, context.task_ctx()).when(DOING)?;
        let out = BufWriter::new(store, Path::from(path));
        let properties = properties(&self.inner.options, schema)?;
        let schema = Arc::new(schema.clone());
        let mut writer =
            AsyncArrowWriter::try_new(out, Arc::clone(&schema), Some(properties)).when(DOING)?;
        let mut survey = Survey::default();
        while let Some(batch) = rows.try_next().await.when(DOING)? {
            let batch = batch.with_schema(Arc::clone(&schema)).when(DOING)?;
            survey.add(&batch, kind);
            writer.write(&batch).await.when(DOING)?;
        }
        writer.finish().await.when(DOING)?;
        Ok(survey)
    }

    /// Commits the merge; `false` if its files are no longer what the table holds.
    async fn replace(
        &self,
        table: &Table,
        files: &[Arc<DataFile>],
        merged: &Merged,
    ) -> Result<bool> {
        let now_ms = (self.inner.clock)() / 1000;
        let mut header = Header::new("OPTIMIZE", false);
        let counts: Vec<_> = merged
            .copies
            .dropped
            .iter()
            .map(|(at, rows)| json!({"stream": at.stream, "partition": at.partition, "rows": rows}))
            .collect();
        header.info.insert("removedRows".into(), counts.into());
        let mut actions: Vec<Action> = files
            .iter()
            .map(|f| Action::Remove(f.to_remove(now_ms)))
            .collect();
        actions.push(Action::Add(merged.file.to_add(false)));
        actions.push(Action::Txn(Transaction::new(
            MAINTENANCE,
            table.maintenance + 1,
        )));
        for (at, rows) in &merged.copies.dropped {
            let total = table.removed.get(at).copied().unwrap_or(0) + rows;
            actions.push(Action::Txn(removed_txn(at, total)));
        }
        let holds = |tip: &Tip| {
            let there = tip.table.files(merged.file.kind);
            tip.table.maintenance == table.maintenance
                && files.iter().all(|f| there.contains_key(&f.path))
        };
        let attempt = self
            .commit_actions(header, &mut actions, &mut 0, holds)
            .await?;
        Ok(matches!(attempt, Attempt::Committed(_)))
    }
}

/// What a merge runs in: rows that move to another root are sorted, and spill when they are many.
fn merging() -> Result<SessionContext> {
    let config = SessionConfig::new()
        .with_batch_size(BATCH_ROWS)
        .with_target_partitions(1);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(SORT_BYTES)))
        .build_arc()
        .when(DOING)?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

const DAY_US: i64 = 86_400_000_000;
/// A day after whose last file nothing has come for so long counts as finished.
const QUIET_US: i64 = 120_000_000;

/// When the last of a file's rows arrived.
fn arrived_us(file: &DataFile) -> i64 {
    let arrived = file.contents.received_at.map(|(_, last)| last);
    arrived.unwrap_or(file.modified_ms.saturating_mul(1000))
}

/// The next files worth merging, all of one kind and day; `None` when there is nothing to do.
fn choose(table: &Table, now_us: i64, options: &CompactOptions) -> Option<Vec<Arc<DataFile>>> {
    for kind in [RowKind::Event, RowKind::Reject] {
        let mut days: BTreeMap<i64, Vec<Arc<DataFile>>> = BTreeMap::new();
        for file in table.files(kind).values() {
            let day = arrived_us(file).div_euclid(DAY_US);
            days.entry(day).or_default().push(Arc::clone(file));
        }
        for (day, mut files) in days {
            files.sort_by(|a, b| (a.contents.rows, &a.path).cmp(&(b.contents.rows, &b.path)));
            let last_us = files.iter().map(|file| arrived_us(file)).max();
            let is_quiet = last_us.is_some_and(|last| now_us.saturating_sub(last) > QUIET_US);
            let chosen = if options.full {
                everything(files)
            } else if day < now_us.div_euclid(DAY_US) || is_quiet {
                finished_day(files)
            } else {
                same_size(files, options.min_files.max(2))
            };
            if chosen.is_some() {
                return chosen;
            }
        }
    }
    None
}

/// All files of a day, or the smallest of too many; a single one if it may hold copies and was
/// never merged.
fn everything(mut files: Vec<Arc<DataFile>>) -> Option<Vec<Arc<DataFile>>> {
    files.truncate(MAX_INPUTS);
    let may_shrink = files
        .iter()
        .any(|f| f.kind == RowKind::Event && !f.contents.distinct && f.contents.level == 0);
    (files.len() > 1 || may_shrink).then_some(files)
}

/// The files of a finished day, the shortest first, without long ones that are not worth rewriting for the others; a short
/// one that is alone in that waits for the day's others.
fn finished_day(files: Vec<Arc<DataFile>>) -> Option<Vec<Arc<DataFile>>> {
    let (mut rows, mut chosen) = (0_u64, Vec::new());
    for file in files {
        let next = file.contents.rows;
        if next > rows.saturating_mul(WORTHWHILE) {
            if chosen.len() > 1 {
                break;
            }
            (rows, chosen) = (0, Vec::new());
        }
        rows = rows.saturating_add(next);
        chosen.push(file);
        if chosen.len() == MAX_INPUTS {
            break;
        }
    }
    (chosen.len() > 1).then_some(chosen)
}

/// The smallest class of files of about the same size that has gathered enough of them.
fn same_size(files: Vec<Arc<DataFile>>, enough: usize) -> Option<Vec<Arc<DataFile>>> {
    let mut classes: BTreeMap<u32, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in files {
        let class = file.contents.rows.max(1).ilog2() / 3;
        classes.entry(class).or_default().push(file);
    }
    let mut chosen = classes.into_values().find(|class| class.len() >= enough)?;
    chosen.truncate(MAX_INPUTS);
    Some(chosen)
}
