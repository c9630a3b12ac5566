//! `funnel_steps_daily`: what each built-in funnel counted at each step, by the day its subjects entered
//! (UTC) and their category.
//!
//! The subjects are those of the operator's list; here they are only added up.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field as Column, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::TryStreamExt;
use linkfunnel_funnel::State;
use linkfunnel_model::{Attribution, Field, NamedFunnel, built_in_funnels};

use crate::list::Listed;
use crate::listed::{Listing, rows_of};
use crate::subject_views::{everybody, value};
use crate::views::Views;

const DAY_US: i64 = 86_400_000_000;

/// The counts of one step, by their column.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    entered: i64,
    reached: i64,
    bypassed: i64,
    dropped: i64,
    open: i64,
    converted: i64,
    matured: i64,
    matured_reached: i64,
    matured_bypassed: i64,
    matured_converted: i64,
}

/// A column of counts.
type CountColumn = (&'static str, fn(&Counts) -> i64);

const COUNTS: [CountColumn; 10] = [
    ("entered", |c| c.entered),
    ("converted", |c| c.converted),
    ("reached", |c| c.reached),
    ("bypassed", |c| c.bypassed),
    ("dropped", |c| c.dropped),
    ("open", |c| c.open),
    ("matured", |c| c.matured),
    ("matured_converted", |c| c.matured_converted),
    ("matured_reached", |c| c.matured_reached),
    ("matured_bypassed", |c| c.matured_bypassed),
];

/// Its columns.
pub(crate) fn schema() -> SchemaRef {
    let mut columns = vec![
        Column::new("day", DataType::Date32, false),
        Column::new("funnel", DataType::Utf8, false),
        Column::new("category", DataType::Utf8, true),
        Column::new("step", DataType::Int64, false),
        Column::new("step_name", DataType::Utf8, false),
    ];
    columns.extend(
        COUNTS
            .iter()
            .map(|(name, _)| Column::new(*name, DataType::Int64, false)),
    );
    Arc::new(Schema::new(columns))
}

/// A scan of it: a partition each funnel that the filters leave.
pub(crate) async fn scan(
    views: &Views,
    projection: Option<&Vec<usize>>,
    filters: &[Expr],
    state: &dyn Session,
) -> crate::Result<Arc<dyn ExecutionPlan>> {
    let mut partitions: Vec<Arc<dyn PartitionStream>> = Vec::new();
    let is_wanted = |funnel: &NamedFunnel| !filters.iter().any(|f| rules_out(f, &funnel.id));
    for funnel in built_in_funnels().into_iter().filter(is_wanted) {
        let by_category = [("category", Field::Category, Attribution::First)];
        let plan = everybody(&funnel.definition, &by_category, views)?;
        let listing = views
            .engine
            .listing(&views.view, &views.tenant, plan, state)
            .await?;
        partitions.push(Arc::new(Daily {
            schema: schema(),
            funnel,
            listing,
        }));
    }
    if partitions.is_empty() {
        let shown = match projection {
            Some(columns) => Arc::new(
                schema()
                    .project(columns)
                    .map_err(|e| crate::Error::Run(Box::new(e.into())))?,
            ),
            None => schema(),
        };
        return Ok(Arc::new(EmptyExec::new(shown)));
    }
    let exec = StreamingTableExec::try_new(schema(), partitions, projection, None, false, None);
    Ok(Arc::new(exec.map_err(|e| crate::Error::Run(Box::new(e)))?))
}

/// Whether the filter says that the funnel is another one.
fn rules_out(filter: &Expr, id: &str) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
        return false;
    };
    let (Expr::Column(column), Operator::Eq, Expr::Literal(word, _)) =
        (left.as_ref(), op, right.as_ref())
    else {
        return false;
    };
    let word = match word {
        ScalarValue::Utf8(Some(word))
        | ScalarValue::Utf8View(Some(word))
        | ScalarValue::LargeUtf8(Some(word)) => word,
        _ => return false,
    };
    column.name == "funnel" && word != id
}

#[derive(Debug)]
struct Daily {
    schema: SchemaRef,
    funnel: NamedFunnel,
    listing: Listing,
}

impl PartitionStream for Daily {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let listed = self.listing.all(&context);
        let (funnel, schema) = (self.funnel.clone(), Arc::clone(&self.schema));
        let optional: Vec<bool> = funnel.definition.steps.iter().map(|s| s.optional).collect();
        rows_of(Arc::clone(&self.schema), async move {
            let mut days = Days::new();
            let mut listed = std::pin::pin!(listed?);
            while let Some(few) = listed.try_next().await? {
                for subject in &few {
                    add(&mut days, &optional, subject);
                }
            }
            batch(schema, &funnel, &days)
        })
    }
}

/// By day and category, the counts of each step.
type Days = BTreeMap<(i64, Option<Arc<str>>), Vec<Counts>>;

fn add(days: &mut Days, optional: &[bool], subject: &Listed) {
    let category = &subject.labels[0];
    let key = (
        subject.clock_us.div_euclid(DAY_US),
        value(category).map(|_| Arc::clone(category)),
    );
    let steps = days
        .entry(key)
        .or_insert_with(|| vec![Counts::default(); optional.len()]);
    let matured = i64::from(subject.matured);
    for (i, counts) in steps.iter_mut().enumerate() {
        let is = |state| i64::from(subject.state == state && subject.furthest == i && !optional[i]);
        let reached = i64::from(subject.times_us[i].is_some());
        let bypassed = i64::from(subject.bypassed >> i & 1 == 1);
        let converted = i64::from(subject.state == State::Converted);
        counts.entered += 1;
        counts.converted += converted;
        counts.reached += reached;
        counts.bypassed += bypassed;
        counts.dropped += is(State::Dropped);
        counts.open += is(State::Open);
        counts.matured += matured;
        counts.matured_converted += matured * converted;
        counts.matured_reached += matured * reached;
        counts.matured_bypassed += matured * bypassed;
    }
}

fn batch(schema: SchemaRef, funnel: &NamedFunnel, days: &Days) -> Result<RecordBatch> {
    let steps = &funnel.definition.steps;
    let rows = || {
        days.iter().flat_map(move |((day, category), counts)| {
            let numbered = counts.iter().enumerate();
            numbered.map(move |(i, counts)| (*day, category, i, counts))
        })
    };
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from_iter(
            rows().map(|(day, ..)| i32::try_from(day).ok()),
        )),
        Arc::new(StringArray::from_iter(rows().map(|_| Some(&funnel.id)))),
        Arc::new(StringArray::from_iter(
            rows().map(|(_, category, ..)| category.as_deref()),
        )),
        Arc::new(Int64Array::from_iter(
            rows().map(|(_, _, i, _)| i64::try_from(i + 1).ok()),
        )),
        Arc::new(StringArray::from_iter(
            rows().map(|(_, _, i, _)| Some(&steps[i].name)),
        )),
    ];
    for (_, count) in COUNTS {
        columns.push(Arc::new(Int64Array::from_iter_values(
            rows().map(|(.., counts)| count(counts)),
        )));
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}
