//! The one physical operator of funnels: consumes table order, partition by partition, and tallies.
//!
//! Each partition ends in a small tally of integers, which merge in any order to the same numbers.
//! The operator's rows say how much each partition read; the tallies go to the [`Collector`] that
//! the question made, because they are no table.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, Int64Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties, SendableRecordBatchStream,
};
use futures::{StreamExt, stream};

use crate::membership::Membership;
use crate::numbers::Outcome;
use crate::plan::Plan;
use crate::shard::Shard;

/// Most segments of one answer before `(other)` is made.
pub const MAX_SEGMENTS: usize = linkfunnel_model::MAX_SEGMENTS;
/// Most combinations of values that one subject may choose on its way.
pub const MAX_CHOICES: usize = 4_096;

/// More segments than [`MAX_SEGMENTS`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("more than {MAX_SEGMENTS} segments")]
pub(crate) struct SegmentLimit;

/// More choices of one subject than [`MAX_CHOICES`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a subject chose more than {MAX_CHOICES} different values")]
pub(crate) struct ChoiceLimit;

/// Gathers what the partitions found.
#[derive(Debug)]
pub(crate) struct Collector {
    outcome: Mutex<Option<Outcome>>,
}

impl Collector {
    fn new(plan: &Plan) -> Collector {
        Collector {
            outcome: Mutex::new(Some(Outcome::new(plan))),
        }
    }

    fn add(&self, part: Outcome) -> Result<()> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome.as_mut() {
            Some(all) => all.merge(part),
            None => Err(DataFusionError::Internal(
                "the tallies were taken already".to_owned(),
            )),
        }
    }

    /// What all partitions found together; `None` when taken before.
    pub(crate) fn take(&self) -> Option<Outcome> {
        self.outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Matches the subjects of its ordered input against a funnel.
pub(crate) struct FunnelExec {
    input: Arc<dyn ExecutionPlan>,
    plan: Arc<Plan>,
    membership: Membership,
    collector: Arc<Collector>,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl FunnelExec {
    /// The operator over a scan in table order whose partitions split no root.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        plan: Arc<Plan>,
        membership: Membership,
    ) -> FunnelExec {
        let collector = Arc::new(Collector::new(&plan));
        FunnelExec::over(input, plan, membership, collector)
    }

    fn over(
        input: Arc<dyn ExecutionPlan>,
        plan: Arc<Plan>,
        membership: Membership,
        collector: Arc<Collector>,
    ) -> FunnelExec {
        let partitions = input.output_partitioning().partition_count();
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(progress_schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        FunnelExec {
            input,
            plan,
            membership,
            collector,
            metrics: ExecutionPlanMetricsSet::new(),
            properties,
        }
    }

    /// Where the tallies go.
    pub(crate) fn collector(&self) -> Arc<Collector> {
        Arc::clone(&self.collector)
    }
}

/// One row a partition: how many events it read and subjects it counted.
fn progress_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("partition", DataType::Int64, false),
        Field::new("events", DataType::UInt64, false),
        Field::new("entered", DataType::UInt64, false),
    ]))
}

impl fmt::Debug for FunnelExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunnelExec")
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for FunnelExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        let by: Vec<&str> = plan.dimensions[..plan.breakdown]
            .iter()
            .map(|d| d.name.as_str())
            .collect();
        write!(
            f,
            "FunnelExec: subject={}, steps={}, window_us={}, by=[{}], filters={}",
            plan.subject.as_str(),
            plan.rules.steps().len(),
            plan.rules.window_us(),
            by.join(", "),
            plan.filters.len()
        )
    }
}

impl ExecutionPlan for FunnelExec {
    fn name(&self) -> &'static str {
        "FunnelExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
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
        let input = children
            .pop()
            .ok_or_else(|| DataFusionError::Internal("FunnelExec needs one input".to_owned()))?;
        Ok(Arc::new(FunnelExec::over(
            input,
            Arc::clone(&self.plan),
            self.membership.clone(),
            self.collector(),
        )))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let held =
            MemoryConsumer::new(format!("FunnelExec[{partition}]")).register(context.memory_pool());
        let read = MetricBuilder::new(&self.metrics).counter("events", partition);
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let (plan, collector) = (Arc::clone(&self.plan), self.collector());
        let membership = self.membership.clone();
        let work = async move {
            let mut shard = Shard::new(plan, membership);
            let mut input = input;
            while let Some(batch) = input.next().await {
                let batch = batch?;
                let timer = baseline.elapsed_compute().timer();
                read.add(batch.num_rows());
                shard.update(&batch)?;
                held.try_resize(shard.bytes())?;
                timer.done();
                // So that a deadline or a dropped client stops the work between two batches.
                tokio::task::yield_now().await;
            }
            let outcome = shard.finish()?;
            let progress = progress(partition, &outcome)?;
            collector.add(outcome)?;
            Ok(progress)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            progress_schema(),
            stream::once(work),
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

fn progress(partition: usize, outcome: &Outcome) -> Result<RecordBatch> {
    let partition = i64::try_from(partition).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![partition])),
        Arc::new(UInt64Array::from(vec![outcome.counts.events_scanned])),
        Arc::new(UInt64Array::from(vec![outcome.total.tally.entered])),
    ];
    Ok(RecordBatch::try_new(progress_schema(), columns)?)
}
