//! Hot rows as a leaf of a plan: one partition, filtered, in table order under the roots they have,
//! only the asked columns.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::interleave;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::StreamExt;
use linkfunnel_model::Ways;

use crate::file::RowKind;
use crate::hot::HotRows;
use crate::order::{Places, in_order};
use crate::roots::{Question, RootExpr};
use crate::schema;

/// Which hot rows are wanted.
#[derive(Debug, Clone)]
pub(crate) struct HotFilter {
    pub(crate) kind: RowKind,
    pub(crate) tenant: Option<String>,
    /// Root keys, both ends included.
    pub(crate) roots: (i64, i64),
    /// Times of occurrence, both ends included.
    pub(crate) occurred: (i64, i64),
    /// Over the kind's whole schema.
    pub(crate) predicate: Option<Arc<dyn PhysicalExpr>>,
    /// Where ids lead, when some rows' roots have to be found.
    pub(crate) ways: Option<Arc<Ways>>,
}

impl HotFilter {
    /// Whether rows of a segment may pass.
    pub(crate) fn may_pass(&self, rows: &HotRows) -> bool {
        let contents = rows.contents(self.kind);
        let tenant = self.tenant.as_deref();
        let of_tenant = match (tenant, &contents.tenants) {
            (_, None) => false, // no rows
            (Some(tenant), Some((least, greatest))) => {
                least.as_str() <= tenant && tenant <= greatest.as_str()
            }
            (None, Some(_)) => true,
        };
        of_tenant
            && (self.finds_roots(rows) || crate::file::overlap(contents.root_key, self.roots))
            && crate::file::overlap(contents.occurred_at, self.occurred)
    }
}

impl HotFilter {
    fn finds_roots(&self, rows: &HotRows) -> bool {
        self.ways.is_some() && rows.contents(self.kind).nameless != Some(0)
    }
}

/// The roots of a segment's rows where they had to be found, as columns.
struct FoundRoots {
    keys: ArrayRef,
    kinds: ArrayRef,
}

impl FoundRoots {
    fn of(batch: &RecordBatch, ways: &Arc<Ways>) -> Result<Self> {
        let column = |question| {
            RootExpr::new(question, ways, batch.schema_ref())
                .map_err(|e| DataFusionError::External(Box::new(e)))?
                .evaluate(batch)?
                .into_array(batch.num_rows())
        };
        Ok(FoundRoots {
            keys: column(Question::Key)?,
            kinds: column(Question::Kind)?,
        })
    }
}

/// Reads hot rows.
pub(crate) struct HotExec {
    rows: Vec<Arc<HotRows>>,
    filter: HotFilter,
    /// Columns of the kind's schema.
    columns: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl HotExec {
    /// `schema`: of `columns`; `ordering`: table order over it, if its columns are among them.
    pub(crate) fn new(
        rows: Vec<Arc<HotRows>>,
        filter: HotFilter,
        columns: Vec<usize>,
        schema: SchemaRef,
        ordering: Option<LexOrdering>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, ordering),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        HotExec {
            rows,
            filter,
            columns,
            properties: Arc::new(properties),
        }
    }

    /// Per segment the roots that had to be found; `None`: all are stored under theirs.
    fn find_roots(&self) -> Result<Vec<Option<FoundRoots>>> {
        let filter = &self.filter;
        let find = |rows: &Arc<HotRows>| match &filter.ways {
            Some(ways) if filter.finds_roots(rows) => {
                FoundRoots::of(rows.batch(filter.kind), ways).map(Some)
            }
            _ => Ok(None),
        };
        self.rows.iter().map(find).collect()
    }

    /// The rows that pass, in table order, as (segment, row).
    fn select(&self, found: &[Option<FoundRoots>]) -> Result<Vec<(usize, usize)>> {
        let filter = &self.filter;
        let batches: Vec<&RecordBatch> = self.rows.iter().map(|r| r.batch(filter.kind)).collect();
        let place = |(batch, found)| {
            let places = Places::of(batch, filter.kind);
            let found: &Option<FoundRoots> = found;
            match found {
                Some(found) => places.with_roots(found.keys.as_primitive::<Int64Type>().values()),
                None => places,
            }
        };
        let places: Vec<Places<'_>> = batches.iter().copied().zip(found).map(place).collect();
        let tenants: Vec<_> = match &filter.tenant {
            Some(tenant) => places
                .iter()
                .map(|p| Some(p.tenant_codes(tenant)))
                .collect(),
            None => places.iter().map(|_| None).collect(),
        };
        let mut passes = Vec::with_capacity(batches.len());
        for batch in &batches {
            passes.push(match &filter.predicate {
                None => None,
                Some(predicate) => {
                    let values = predicate.evaluate(batch)?.into_array(batch.num_rows())?;
                    Some(values.as_boolean().clone())
                }
            });
        }
        Ok(in_order(&places, |at, row| {
            let (rows, place) = (&self.rows[at], &places[at]);
            let offset = place.offset(row);
            offset > rows.after
                && offset <= rows.until
                && tenants[at].as_ref().is_none_or(|(codes, same)| {
                    usize::try_from(codes[row]).is_ok_and(|code| same[code])
                })
                && place.event().is_none_or(|[roots, times, _]| {
                    within(roots[row], filter.roots) && within(times[row], filter.occurred)
                })
                && passes[at]
                    .as_ref()
                    .is_none_or(|p: &BooleanArray| p.is_valid(row) && p.value(row))
        }))
    }
}

fn within(value: i64, (least, greatest): (i64, i64)) -> bool {
    least <= value && value <= greatest
}

fn gather(
    rows: &[Arc<HotRows>],
    kind: RowKind,
    columns: &[usize],
    found: &[Option<FoundRoots>],
    out: &SchemaRef,
    chosen: &[(usize, usize)],
) -> Result<RecordBatch> {
    let take = |(column, shown): (&usize, &Arc<arrow::datatypes::Field>)| {
        let array = |(rows, found): (&'_ Arc<HotRows>, &'_ Option<FoundRoots>)| match found {
            Some(found) if shown.name() == schema::ROOT_KEY => Arc::clone(&found.keys),
            Some(found) if shown.name() == schema::ROOT_KIND => Arc::clone(&found.kinds),
            _ => Arc::clone(rows.batch(kind).column(*column)),
        };
        let arrays: Vec<ArrayRef> = rows.iter().zip(found).map(array).collect();
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        interleave(&arrays, chosen)
    };
    let shown = out.fields().iter();
    let taken = columns.iter().zip(shown).map(take);
    let taken = taken.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(chosen.len()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(out),
        taken,
        &options,
    )?)
}

impl fmt::Debug for HotExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotExec")
            .field("segments", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl DisplayAs for HotExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HotExec: segments={}", self.rows.len())
    }
}

impl ExecutionPlan for HotExec {
    fn name(&self) -> &'static str {
        "HotExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        match &self.filter.predicate {
            Some(predicate) => f(predicate),
            None => Ok(TreeNodeRecursion::Continue),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let exec = HotExec {
            rows: self.rows.clone(),
            filter: self.filter.clone(),
            columns: self.columns.clone(),
            properties: Arc::clone(&self.properties),
        };
        let (schema, chunk) = (self.schema(), context.session_config().batch_size());
        let out = Arc::clone(&schema);
        let batches = futures::stream::once(async move {
            let found = exec.find_roots()?;
            let chosen = exec.select(&found)?;
            let ranges: Vec<_> = (0..chosen.len()).step_by(chunk).collect();
            let batch_at = move |from: usize| {
                let chosen = &chosen[from..chosen.len().min(from + chunk)];
                let (rows, kind) = (&exec.rows, exec.filter.kind);
                gather(rows, kind, &exec.columns, &found, &schema, chosen)
            };
            Ok::<_, datafusion::error::DataFusionError>(futures::stream::iter(ranges).map(batch_at))
        });
        let batches = futures::TryStreamExt::try_flatten(batches);
        Ok(Box::pin(RecordBatchStreamAdapter::new(out, batches)))
    }
}
