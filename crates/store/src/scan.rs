//! Events in table order, each once, out of files and hot rows.
//!
//! The work is split by ranges of root key, so that no root spans two partitions. Each range is one
//! merge over its files and hot rows, in order of their arrival, followed by the dropping of copies.
//! A file is left out by its statistics; where it may hold other rows than wanted (of other tenants,
//! roots, times, or later offsets), the filter runs inside the Parquet reader, and only there. Rows
//! that are stored under another root than theirs are one more input of the merge ([`crate::roots`]).

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, conjunction_opt};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;

use crate::copies::{DropCopiesExec, Dropping, KeyColumns};
use crate::error::{Result, While};
use crate::file::{Bounds, DataFile, RowKind, overlap};
use crate::filters::{Filters, ScanRequest, column_index, rebase};
use crate::hot::HotRows;
use crate::hot_exec::{HotExec, HotFilter};
use crate::roots::{Moving, Roots};
use crate::schema;
use crate::store::Store;
use crate::table::Offsets;
use crate::view::ReadView;

mod files;
mod movers;

pub(crate) use files::partitioned;

const DOING: &str = "planning a scan";

/// Fewer rows than this are not worth another partition.
const ROWS_A_PARTITION: u64 = 16 << 10;

/// Bytes read at a file's end in the hope of the whole footer.
pub(crate) const FOOTER_HINT: usize = 64 << 10;

impl Store {
    /// A plan that reads events in table order: every partition is a range of root keys ordered by
    /// [`crate::ORDER`] (by tenant before that when no tenant is asked for), a root never spans
    /// partitions, and of copies only one is there. Roots are found by all events of the view
    /// (semantics rule 1); `raw` rows keep their copies and the root they are stored under. Its
    /// schema is the requested columns in the requested order; a dictionary in it may hold a word
    /// twice.
    ///
    /// The plan carries its own promises; run it as it is, or seal it before an optimizer sees it.
    pub async fn scan(
        &self,
        view: &Arc<ReadView>,
        request: ScanRequest,
        state: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filters = Filters::of(&request)?;
        let wanted = request
            .columns
            .iter()
            .map(|name| column_index(&schema::table_schema(), name))
            .collect::<Result<Vec<_>>>()?;
        let scan = Scan {
            kind: RowKind::Event,
            ordered: true,
            raw: request.raw,
            tenant: request.tenant.clone(),
            occurred: filters.occurred,
            pushed: filters.pushed,
            after: filters.after,
            wanted,
            limits: view.limits.as_ref(),
            dropping: Dropping::Copies,
        };
        self.plan(view, scan, request.partitions, state).await
    }

    /// As [`Self::scan`], for any kind of rows and in any order.
    pub(crate) async fn plan(
        &self,
        view: &ReadView,
        mut scan: Scan<'_>,
        partitions: usize,
        state: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = view
            .table
            .files(scan.kind)
            .values()
            .map(|file| (file, false));
        let later = view.later(scan.kind).map(|file| (file, true));
        let inputs: Vec<Input> = files
            .chain(later)
            .filter(|(file, _)| file.may_hold(scan.tenant.as_deref(), scan.occurred))
            .map(|(file, limited)| Input {
                file: Arc::clone(file),
                limited,
            })
            .collect();
        let roots = self.roots(view, &inputs, &scan, state).await?;
        if roots.is_some() {
            scan.filter_roots_last();
        }
        self.plan_inputs(inputs, &view.hot, &scan, roots.as_ref(), partitions, state)
    }

    /// A plan over given files and hot rows. Without `roots` each row has the root it is stored
    /// under.
    pub(crate) fn plan_inputs(
        &self,
        mut inputs: Vec<Input>,
        hot: &[Arc<HotRows>],
        scan: &Scan<'_>,
        roots: Option<&Roots>,
        partitions: usize,
        state: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let store = Arc::clone(&self.inner.log.store);
        state
            .runtime_env()
            .register_object_store(self.inner.url.as_ref(), Arc::clone(&store));
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let reader = Arc::new(CachedParquetFileReaderFactory::new(store, cache));
        inputs.sort_by(|a, b| {
            a.arrival()
                .cmp(&b.arrival())
                .then_with(|| a.file.path.cmp(&b.file.path))
        });
        let hot_rows: usize = hot.iter().map(|h| h.batch(scan.kind).num_rows()).sum();
        let rows = inputs.iter().map(|i| i.file.contents.rows).sum::<u64>() + hot_rows as u64;
        let useful = usize::try_from(rows / ROWS_A_PARTITION)
            .unwrap_or(usize::MAX)
            .max(1);
        let ranges = ranges(partitions.clamp(1, useful));
        let planner = Planner {
            url: &self.inner.url,
            reader,
            scan,
            hot,
            roots,
        };
        let mut plans = Vec::with_capacity(ranges.len());
        for range in ranges {
            plans.push(planner.range(&inputs, range)?);
        }
        union(plans)
    }
}

/// A scan, checked.
pub(crate) struct Scan<'v> {
    pub(crate) kind: RowKind,
    pub(crate) ordered: bool,
    pub(crate) raw: bool,
    pub(crate) tenant: Option<String>,
    /// Both ends included.
    pub(crate) occurred: (i64, i64),
    /// Filters that run inside the reader, over the kind's schema.
    pub(crate) pushed: Vec<Arc<dyn PhysicalExpr>>,
    /// Filters that run after it.
    pub(crate) after: Vec<Arc<dyn PhysicalExpr>>,
    /// Columns of the kind's schema.
    pub(crate) wanted: Vec<usize>,
    pub(crate) limits: Option<&'v Offsets>,
    /// Which copies are dropped, unless `raw`. For good: all columns with ids must be wanted.
    pub(crate) dropping: Dropping,
}

impl Scan<'_> {
    /// Moves filters on roots behind the merge: a row may be stored under another root than its own.
    fn filter_roots_last(&mut self) {
        let is_on_root = |part: &Arc<dyn PhysicalExpr>| {
            let columns = collect_columns(part);
            let names = [schema::ROOT_KEY, schema::ROOT_KIND];
            columns.iter().any(|c| names.contains(&c.name()))
        };
        let pushed = std::mem::take(&mut self.pushed);
        let (last, early): (Vec<_>, Vec<_>) = pushed.into_iter().partition(is_on_root);
        self.pushed = early;
        self.after.extend(last);
    }
}

/// A file to read; `limited`: only up to the view's offsets.
#[derive(Clone)]
pub(crate) struct Input {
    pub(crate) file: Arc<DataFile>,
    pub(crate) limited: bool,
}

impl Input {
    /// Files of unknown arrival come first.
    fn arrival(&self) -> Bounds {
        self.file.contents.received_at
    }
}

/// Even ranges of all keys, both ends included. Root keys are hashes.
fn ranges(count: usize) -> Vec<(i64, i64)> {
    let count = i128::try_from(count).unwrap_or(1);
    let width = (1_i128 << 64) / count;
    let edge = |i: i128| i128::from(i64::MIN) + i * width;
    let clip = |key: i128| i64::try_from(key).unwrap_or(i64::MAX);
    (0..count)
        .map(|i| {
            (
                clip(edge(i)),
                if i + 1 == count {
                    i64::MAX
                } else {
                    clip(edge(i + 1) - 1)
                },
            )
        })
        .collect()
}

fn union(mut plans: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    if plans.len() == 1 {
        return Ok(plans.swap_remove(0));
    }
    UnionExec::try_new(plans).when(DOING)
}

pub(crate) fn full_schema(kind: RowKind) -> SchemaRef {
    match kind {
        RowKind::Event => schema::table_schema(),
        RowKind::Reject => schema::reject_schema(),
    }
}

/// What the plans of all ranges share.
struct Planner<'s> {
    url: &'s datafusion::execution::object_store::ObjectStoreUrl,
    reader: Arc<CachedParquetFileReaderFactory>,
    scan: &'s Scan<'s>,
    hot: &'s [Arc<HotRows>],
    roots: Option<&'s Roots>,
}

impl Planner<'_> {
    fn range(&self, all: &[Input], roots: (i64, i64)) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = self.scan;
        let inputs: Vec<&Input> = all
            .iter()
            .filter(|i| self.moving(i) != Moving::Many)
            .filter(|i| overlap(i.file.contents.root_key, roots))
            .collect();
        let moves = |input: &&Input| self.moving(input) != Moving::None;
        let sources_of_movers: Vec<&Input> = all.iter().filter(moves).collect();
        let filter = HotFilter {
            kind: scan.kind,
            tenant: scan.tenant.clone(),
            roots,
            occurred: scan.occurred,
            predicate: conjunction_opt(scan.pushed.iter().cloned()),
            ways: self.roots.map(|roots| Arc::clone(&roots.ways)),
        };
        let hot: Vec<_> = self
            .hot
            .iter()
            .filter(|h| filter.may_pass(h))
            .cloned()
            .collect();
        let full = full_schema(scan.kind);
        let further = usize::from(!hot.is_empty()) + usize::from(!sources_of_movers.is_empty());
        let merged = scan.ordered && inputs.len() + further > 1;
        let drop_copies = !scan.raw
            && scan.kind == RowKind::Event
            && (merged || further > 0 || inputs.iter().any(|i| !i.file.contents.distinct));
        let ties = drop_copies
            && (matches!(scan.dropping, Dropping::ForGood(_))
                || !sources_of_movers.is_empty()
                || inputs
                    .iter()
                    .any(|i| i.file.contents.holds_copies_in_any_order())
                || arrivals_overlap(&inputs, &hot));
        let columns = self.columns(&full, merged || drop_copies, ties);
        let read = Arc::new(full.project(&columns).when(DOING)?);
        let mut sources = self.files(&inputs, &columns, roots)?;
        if let (Some(known), false) = (self.roots, sources_of_movers.is_empty()) {
            sources.push(self.movers(&sources_of_movers, known, &read, roots)?);
        }
        if !hot.is_empty() {
            let order = self.ordering(&read)?;
            sources.push(Arc::new(HotExec::new(
                hot,
                filter,
                columns.clone(),
                Arc::clone(&read),
                order,
            )));
        }
        if sources.is_empty() {
            let wanted = full.project(&scan.wanted).when(DOING)?;
            return Ok(Arc::new(EmptyExec::new(Arc::new(wanted))));
        }
        let mut plan = union(sources)?;
        if let (true, Some(order)) = (merged, self.ordering(&read)?) {
            // of equal rows those of the first input come first: that is the order of arrival
            let merge = SortPreservingMergeExec::new(order, plan);
            plan = Arc::new(merge.with_round_robin_repartition(false));
        }
        if let (true, Some(keys)) = (drop_copies, KeyColumns::find(&read)) {
            plan = Arc::new(DropCopiesExec::new(plan, keys, scan.dropping.clone()));
        }
        self.finish(plan, &read)
    }

    /// The columns to read: those wanted, in their order, then those only needed on the way.
    fn columns(&self, full: &Schema, keys: bool, ties: bool) -> Vec<usize> {
        let scan = self.scan;
        let mut columns = Vec::with_capacity(scan.wanted.len() + 9);
        let mut need = |at: usize| {
            if !columns.contains(&at) {
                columns.push(at);
            }
        };
        scan.wanted.iter().copied().for_each(&mut need);
        let mut names: Vec<&str> = Vec::new();
        if scan.kind == RowKind::Event {
            if keys && scan.tenant.is_none() {
                names.push(schema::TENANT);
            }
            if keys {
                names.extend(schema::ORDER);
            }
            if ties {
                names.extend(schema::TIE_BREAKERS);
            }
        }
        names
            .into_iter()
            .filter_map(|n| full.index_of(n).ok())
            .for_each(&mut need);
        for part in &scan.after {
            let mut used: Vec<_> = collect_columns(part).into_iter().collect();
            used.sort_by_key(Column::index);
            used.iter()
                .filter_map(|c| full.index_of(c.name()).ok())
                .for_each(&mut need);
        }
        columns
    }

    /// Table order over the columns of `schema`; `None` if it lacks one.
    fn ordering(&self, schema: &Schema) -> Result<Option<LexOrdering>> {
        let scan = self.scan;
        if scan.kind != RowKind::Event || !scan.ordered {
            return Ok(None);
        }
        let tenant = scan.tenant.is_none().then_some(schema::TENANT);
        let mut order = Vec::new();
        for name in tenant.into_iter().chain(schema::ORDER) {
            let Ok(at) = schema.index_of(name) else {
                return Ok(None);
            };
            order.push(PhysicalSortExpr::new_default(Arc::new(Column::new(name, at))).asc());
        }
        Ok(LexOrdering::new(order))
    }

    /// Filters that could not run earlier, then the wanted columns alone.
    fn finish(
        &self,
        mut plan: Arc<dyn ExecutionPlan>,
        read: &Schema,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut after = Vec::new();
        for part in &self.scan.after {
            after.push(rebase(Arc::clone(part), read)?);
        }
        if let Some(filter) = conjunction_opt(after) {
            plan = Arc::new(FilterExec::try_new(filter, plan).when(DOING)?);
        }
        if read.fields().len() > self.scan.wanted.len() {
            let wanted = (0..self.scan.wanted.len()).map(|at| {
                let name = read.field(at).name();
                (
                    Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>,
                    name.clone(),
                )
            });
            plan = Arc::new(ProjectionExec::try_new(wanted, plan).when(DOING)?);
        }
        Ok(plan)
    }
}

/// Whether some input may hold a row that arrived before a row of an input merged ahead of it.
fn arrivals_overlap(inputs: &[&Input], hot: &[Arc<HotRows>]) -> bool {
    let mut until = None;
    let mut next = |bounds: Bounds| match (bounds, until) {
        (None, _) => true,
        (Some((first, last)), before) => {
            until = Some(before.map_or(last, |b: i64| b.max(last)));
            before.is_some_and(|before| first <= before)
        }
    };
    let mut hot_bounds = None;
    for rows in hot {
        if let Some(bounds) = rows.contents(RowKind::Event).received_at {
            crate::file::widen(&mut hot_bounds, bounds);
        }
    }
    inputs.len() + usize::from(!hot.is_empty()) > 1
        && (inputs.iter().any(|i| next(i.file.contents.received_at))
            || (!hot.is_empty() && next(hot_bounds)))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn ranges_cover_every_key_once() {
        for count in [1, 2, 3, 7, 64] {
            let ranges = ranges(count);
            assert_eq!(ranges.len(), count);
            assert_eq!((ranges[0].0, ranges[count - 1].1), (i64::MIN, i64::MAX));
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].1 + 1, pair[1].0);
            }
        }
    }
}
