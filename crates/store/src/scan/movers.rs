//! The input of a merge that holds the rows stored under another root than theirs.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::conjunction_opt;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use super::files::{Ask, Take};
use super::{DOING, Input, Planner, full_schema, union};
use crate::error::{Result, While};
use crate::file::RowKind;
use crate::filters::{between, column_index};
use crate::ids::KINDS;
use crate::roots::{Moving, Question, RootExpr, Roots, root_inputs};
use crate::schema;

impl Planner<'_> {
    /// How many rows of a file are stored under another root than theirs.
    pub(super) fn moving(&self, input: &Input) -> Moving {
        self.roots
            .map_or(Moving::None, |roots| roots.moving(&input.file))
    }

    /// The rows of these files whose root is another than the stored one and within `roots`, and all
    /// rows within it of files of which many move: under their root and in order.
    pub(super) fn movers(
        &self,
        inputs: &[&Input],
        known: &Roots,
        read: &SchemaRef,
        roots: (i64, i64),
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let full = full_schema(RowKind::Event);
        let mut columns = Vec::with_capacity(read.fields().len() + KINDS + 2);
        for column in read.fields() {
            columns.push(column_index(&full, column.name())?);
        }
        for name in root_inputs() {
            let at = column_index(&full, name)?;
            if !columns.contains(&at) {
                columns.push(at);
            }
        }
        let ask = |input: &&Input| Ask {
            roots: false,
            take: match self.moving(input) {
                Moving::Many => Take::InAnyOrder,
                Moving::None | Moving::Few => Take::MovingInto(roots.0, roots.1),
            },
            ..self.ask(input, roots)
        };
        let asks: Vec<Ask> = inputs.iter().map(ask).collect();
        let plan = union(self.sources(inputs, &asks, &columns, roots)?)?;
        let source = full.project(&columns).when(DOING)?;
        let mut shown: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::new();
        for (at, column) in read.fields().iter().enumerate() {
            let name = column.name().as_str();
            let found = |question| RootExpr::new(question, &known.ways, &source);
            let value: Arc<dyn PhysicalExpr> = match name {
                schema::ROOT_KEY => Arc::new(found(Question::Key)?),
                schema::ROOT_KIND => Arc::new(found(Question::Kind)?),
                _ => Arc::new(Column::new(name, at)),
            };
            shown.push((value, name.to_owned()));
        }
        let mut plan: Arc<dyn ExecutionPlan> =
            Arc::new(ProjectionExec::try_new(shown, plan).when(DOING)?);
        if asks.iter().any(|ask| ask.take == Take::InAnyOrder) {
            let within = between(read, schema::ROOT_KEY, roots, |key| {
                ScalarValue::Int64(Some(key))
            });
            if let Some(within) = conjunction_opt(within?) {
                plan = Arc::new(FilterExec::try_new(within, plan).when(DOING)?);
            }
        }
        let plan: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(plan));
        Ok(match self.ordering(read)? {
            Some(order) => Arc::new(SortExec::new(order, plan)),
            None => plan,
        })
    }
}
