//! A plan that the optimizer cannot look into.
//!
//! The optimizer may take merges out, split files or push filters down wherever it sees no harm; here
//! that would change which rows are neighbours, and so which are dropped as copies.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, displayable,
};

/// Runs a plan without showing it.
#[derive(Debug)]
pub(crate) struct SealedExec {
    inner: Arc<dyn ExecutionPlan>,
}

impl SealedExec {
    pub(crate) fn new(inner: Arc<dyn ExecutionPlan>) -> Self {
        SealedExec { inner }
    }
}

impl DisplayAs for SealedExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind {
            DisplayFormatType::Verbose => {
                write!(
                    f,
                    "SealedExec:\n{}",
                    displayable(self.inner.as_ref()).indent(true)
                )
            }
            _ => f.write_str("SealedExec"),
        }
    }
}

impl ExecutionPlan for SealedExec {
    fn name(&self) -> &'static str {
        "SealedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.inner.execute(partition, context)
    }
}
