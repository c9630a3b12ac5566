//! Copies of an event are neighbours in table order; of each group only the least (received_at,
//! stream, partition, offset) is let through. Compaction lets more through ([`crate::copies_for_good`]).
//!
//! Where the inputs of the merge hold disjoint times of arrival and are merged in that order, the
//! first of a group is the least, and the columns that would tell are not even read. Otherwise they
//! are, and compared within groups of more than one.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, DictionaryArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt;

use crate::copies_for_good::{ForGood, SharedCounts};
use crate::position::StreamPartition;
use crate::schema;

/// Which columns tell copies, and which of them survives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyColumns {
    order: [usize; 3],
    tenant: Option<usize>,
    ties: Option<[usize; 5]>,
}

impl KeyColumns {
    /// Finds them in a schema; `None` if a column of table order is missing. Tie-breakers are used
    /// when all are there.
    pub(crate) fn find(schema: &Schema) -> Option<Self> {
        let at = |name: &str| schema.index_of(name).ok();
        let [root, occurred, event] = schema::ORDER.map(at);
        let ties = schema::TIE_BREAKERS.map(at);
        Some(KeyColumns {
            order: [root?, occurred?, event?],
            tenant: at(schema::TENANT),
            ties: ties
                .iter()
                .all(Option::is_some)
                .then(|| ties.map(|t| t.unwrap_or(0))),
        })
    }
}

/// The typed columns of one batch.
pub(crate) struct Keys<'b> {
    roots: &'b [i64],
    times: &'b [i64],
    events: &'b [i64],
    tenants: Option<&'b DictionaryArray<Int32Type>>,
    ties: Option<Ties<'b>>,
}

struct Ties<'b> {
    received: &'b [i64],
    streams: &'b DictionaryArray<Int32Type>,
    partitions: &'b [i32],
    offsets: &'b [i64],
    indexes: &'b [i32],
}

fn longs(batch: &RecordBatch, at: usize) -> &[i64] {
    batch.column(at).as_primitive::<Int64Type>().values()
}
fn ints(batch: &RecordBatch, at: usize) -> &[i32] {
    batch.column(at).as_primitive::<Int32Type>().values()
}
fn times(batch: &RecordBatch, at: usize) -> &[i64] {
    batch
        .column(at)
        .as_primitive::<TimestampMicrosecondType>()
        .values()
}
fn word(column: &DictionaryArray<Int32Type>, row: usize) -> &str {
    let code = usize::try_from(column.keys().value(row)).unwrap_or(0);
    column.values().as_string::<i32>().value(code)
}

impl<'b> Keys<'b> {
    pub(crate) fn of(batch: &'b RecordBatch, columns: &KeyColumns) -> Self {
        let [root, occurred, event] = columns.order;
        Keys {
            roots: longs(batch, root),
            times: times(batch, occurred),
            events: longs(batch, event),
            tenants: columns.tenant.map(|at| batch.column(at).as_dictionary()),
            ties: columns
                .ties
                .map(|[received, stream, partition, offset, index]| Ties {
                    received: times(batch, received),
                    streams: batch.column(stream).as_dictionary(),
                    partitions: ints(batch, partition),
                    offsets: longs(batch, offset),
                    indexes: ints(batch, index),
                }),
        }
    }

    pub(crate) fn same(&self, row: usize, other: &Keys<'_>, other_row: usize) -> bool {
        self.events[row] == other.events[other_row]
            && self.times[row] == other.times[other_row]
            && self.roots[row] == other.roots[other_row]
            && match (self.tenants, other.tenants) {
                (Some(a), Some(b)) => word(a, row) == word(b, other_row),
                _ => true,
            }
    }

    /// Where a row came from. Panics without tie-breakers.
    pub(crate) fn place(&self, row: usize) -> Place {
        let ties = self.ties.as_ref().expect("tie-breakers were asked for");
        let (received_at_us, stream, partition, offset, index) = ties.place(row);
        Place {
            received_at_us,
            stream: stream.to_owned(),
            partition,
            offset,
            index,
        }
    }

    /// Whether `row`, which comes later, survives instead of `other_row`.
    fn beats(&self, row: usize, other: &Keys<'_>, other_row: usize) -> bool {
        match (&self.ties, &other.ties) {
            (Some(a), Some(b)) => a.place(row) < b.place(other_row),
            _ => false,
        }
    }
}

impl Ties<'_> {
    fn place(&self, row: usize) -> (i64, &str, i32, i64, i32) {
        (
            self.received[row],
            word(self.streams, row),
            self.partitions[row],
            self.offsets[row],
            self.indexes[row],
        )
    }
}

/// Where a row came from: of copies the least survives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    received_at_us: i64,
    stream: String,
    partition: i32,
    offset: i64,
    index: i32,
}

impl Place {
    pub(crate) fn partition(&self) -> StreamPartition {
        StreamPartition::new(self.stream.as_str(), self.partition)
    }
}

/// A batch whose last group may go on in the next one.
struct Pending {
    batch: RecordBatch,
    /// The rows let through; `None`: all.
    keep: Option<Vec<bool>>,
    /// The survivor of the last group.
    last: usize,
}

/// Lets one of each group of copies through; batches come in table order.
pub(crate) struct CopyFilter {
    columns: KeyColumns,
    pending: Option<Pending>,
}

/// The groups within one batch.
struct Groups {
    keep: Option<Vec<bool>>,
    /// The survivor of the first group, and where that group ends.
    first: usize,
    first_end: usize,
    last: usize,
}

fn groups(keys: &Keys<'_>, rows: usize) -> Groups {
    let mut keep: Option<Vec<bool>> = None;
    let (mut first, mut first_end, mut survivor) = (0, rows, 0);
    for row in 1..rows {
        if !keys.same(row, keys, row - 1) {
            if first_end == rows {
                (first, first_end) = (survivor, row);
            }
            survivor = row;
            continue;
        }
        let keep = keep.get_or_insert_with(|| vec![true; rows]);
        if keys.beats(row, keys, survivor) {
            keep[survivor] = false;
            survivor = row;
        } else {
            keep[row] = false;
        }
    }
    if first_end == rows {
        first = survivor;
    }
    Groups {
        keep,
        first,
        first_end,
        last: survivor,
    }
}

impl CopyFilter {
    pub(crate) fn new(columns: KeyColumns) -> Self {
        CopyFilter {
            columns,
            pending: None,
        }
    }

    /// Takes the next batch; gives back one that is now certain.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(None);
        }
        let (mut groups, joined) = {
            let keys = Keys::of(&batch, &self.columns);
            let groups = groups(&keys, rows);
            let joined = self.pending.as_ref().and_then(|pending| {
                let before = Keys::of(&pending.batch, &self.columns);
                keys.same(0, &before, pending.last)
                    .then(|| keys.beats(groups.first, &before, pending.last))
            });
            (groups, joined)
        };
        if let (Some(newer_wins), Some(pending)) = (joined, self.pending.as_mut()) {
            if newer_wins {
                let kept = pending.batch.num_rows();
                pending.keep.get_or_insert_with(|| vec![true; kept])[pending.last] = false;
            } else {
                groups.keep.get_or_insert_with(|| vec![true; rows])[groups.first] = false;
                if groups.first_end == rows {
                    return Ok(None); // the survivor may yet be beaten by a later batch
                }
            }
        }
        let next = Pending {
            batch,
            keep: groups.keep,
            last: groups.last,
        };
        let done = self.pending.replace(next);
        done.map(release).transpose()
    }

    /// Gives back the rest.
    pub(crate) fn finish(&mut self) -> Result<Option<RecordBatch>> {
        let rest = self.pending.take();
        rest.map(release).transpose()
    }
}

fn release(pending: Pending) -> Result<RecordBatch> {
    match pending.keep {
        None => Ok(pending.batch),
        Some(keep) => {
            let keep = BooleanArray::from(keep);
            Ok(filter_record_batch(&pending.batch, &keep)?)
        }
    }
}

/// Which copies are dropped.
#[derive(Debug, Clone)]
pub(crate) enum Dropping {
    /// All but one.
    Copies,
    /// Those that are copies whatever comes; what became of them is counted.
    ForGood(SharedCounts),
}

/// The state while a partition passes.
enum Filter {
    Copies(CopyFilter),
    ForGood(ForGood),
}

impl Filter {
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        match self {
            Filter::Copies(filter) => Ok(filter.push(batch)?.into_iter().collect()),
            Filter::ForGood(filter) => filter.push(batch),
        }
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        match self {
            Filter::Copies(filter) => Ok(filter.finish()?.into_iter().collect()),
            Filter::ForGood(filter) => filter.finish(),
        }
    }
}

/// Drops copies from one partition in table order.
pub(crate) struct DropCopiesExec {
    input: Arc<dyn ExecutionPlan>,
    columns: KeyColumns,
    dropping: Dropping,
}

impl DropCopiesExec {
    /// Dropping for good needs the tie-breakers and all ids among the input's columns.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        columns: KeyColumns,
        dropping: Dropping,
    ) -> Self {
        DropCopiesExec {
            input,
            columns,
            dropping,
        }
    }
}

impl fmt::Debug for DropCopiesExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DropCopiesExec")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for DropCopiesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ties = match (&self.dropping, &self.columns.ties) {
            (Dropping::ForGood(_), _) => "for good",
            (Dropping::Copies, Some(_)) => "compared",
            (Dropping::Copies, None) => "first wins",
        };
        write!(f, "DropCopiesExec: {ties}")
    }
}

impl ExecutionPlan for DropCopiesExec {
    fn name(&self) -> &'static str {
        "DropCopiesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.swap_remove(0);
        let (columns, dropping) = (self.columns.clone(), self.dropping.clone());
        Ok(Arc::new(DropCopiesExec::new(input, columns, dropping)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let filter = match &self.dropping {
            Dropping::Copies => Filter::Copies(CopyFilter::new(self.columns.clone())),
            Dropping::ForGood(counts) => {
                Filter::ForGood(ForGood::new(self.columns.clone(), Arc::clone(counts)))
            }
        };
        let state = Some((input, filter));
        let batches = futures::stream::try_unfold(state, |state| async move {
            let Some((mut input, mut filter)) = state else {
                return Ok(None);
            };
            while let Some(batch) = input.next().await {
                let done = filter.push(batch?)?;
                if !done.is_empty() {
                    return Ok(Some((done, Some((input, filter)))));
                }
            }
            Ok::<_, DataFusionError>(Some((filter.finish()?, None)))
        });
        let batches = batches.flat_map(|done| match done {
            Ok(batches) => futures::stream::iter(batches).map(Ok).left_stream(),
            Err(error) => futures::stream::iter([Err(error)]).right_stream(),
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            batches,
        )))
    }
}
