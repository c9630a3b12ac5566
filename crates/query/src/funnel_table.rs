//! `funnel('{…}')` in SQL: a row a group and step, with the numbers of the API's answer to the same question.
//!
//! The argument is a funnel question as JSON (`funnel`, `range`, `filters`, `breakdown`, `include`). It is
//! checked when the statement is planned and answered when its rows are read, by [`Engine::funnel`]'s own
//! code, in the memory of the statement and of the statement's view.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field as Column, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use linkfunnel_model::{FunnelQuestion, FunnelRef, Include, pointer_segment, read_strictly};
use linkfunnel_store::SavedAll;

use crate::answer::{FunnelAnswer, Group, Rate, StepAnswer};
use crate::engine::{Engine, Run};
use crate::error::Error;
use crate::listed::rows_of;
use crate::named::newest;

/// Most calls of `funnel()` in one statement: each reads the events once more.
pub const MAX_FUNNEL_CALLS: usize = 16;

/// What the argument may say; the rest has no place in rows, or is the statement's to say.
const PARTS: [&str; 5] = ["funnel", "range", "filters", "breakdown", "include"];

/// A column of the answer.
type Of<T> = fn(&Group, &StepAnswer) -> T;

const COUNTS: [(&str, Of<u64>); 12] = [
    ("entered", |g, _| g.entered),
    ("converted", |g, _| g.converted),
    ("group_dropped", |g, _| g.dropped),
    ("group_open", |g, _| g.open),
    ("discarded", |g, _| g.discarded),
    ("matured", |g, _| g.matured.entered),
    ("matured_converted", |g, _| g.matured.converted),
    ("reached", |_, s| s.reached),
    ("bypassed", |_, s| s.bypassed),
    ("dropped", |_, s| s.dropped),
    ("open", |_, s| s.open),
    ("matured_reached", |_, s| s.matured_reached),
];

/// A rate of a group and one of its steps.
type OfRate = for<'a> fn(&'a Group, &'a StepAnswer) -> &'a Rate;

/// Rates, each with its ends and the reason why it is null.
const RATES: [(&str, OfRate); 5] = [
    ("rate", |g, _| &g.rate),
    ("rate_so_far", |g, _| &g.rate_so_far),
    ("rate_expected", |g, _| &g.rate_expected),
    ("rate_from_entry", |_, s| &s.rate_from_entry),
    ("rate_from_previous", |_, s| &s.rate_from_previous),
];

/// Times in ms; null unless the question includes `time_to_convert`.
const TIMES: [(&str, Of<Option<f64>>); 8] = [
    ("time_from_entry_p50_ms", |_, s| s.time_from_entry_ms.p50),
    ("time_from_entry_p75_ms", |_, s| s.time_from_entry_ms.p75),
    ("time_from_entry_p90_ms", |_, s| s.time_from_entry_ms.p90),
    ("time_from_entry_p95_ms", |_, s| s.time_from_entry_ms.p95),
    ("time_from_previous_p50_ms", |_, s| {
        s.time_from_previous_ms.p50
    }),
    ("time_from_previous_p75_ms", |_, s| {
        s.time_from_previous_ms.p75
    }),
    ("time_from_previous_p90_ms", |_, s| {
        s.time_from_previous_ms.p90
    }),
    ("time_from_previous_p95_ms", |_, s| {
        s.time_from_previous_ms.p95
    }),
];

/// The function, for one statement.
pub(crate) struct FunnelFunction {
    engine: Engine,
    run: Run,
    tenant: String,
    saved: Arc<SavedAll>,
    calls: AtomicUsize,
}

impl FunnelFunction {
    /// `run`: a run beside the statement's, over the same view and in the same memory. `saved`: what ids
    /// mean that are not built in.
    pub(crate) fn new(
        engine: Engine,
        run: Run,
        tenant: String,
        saved: Arc<SavedAll>,
    ) -> FunnelFunction {
        FunnelFunction {
            engine,
            run,
            tenant,
            saved,
            calls: AtomicUsize::new(0),
        }
    }
}

impl fmt::Debug for FunnelFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunnelFunction")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl TableFunctionImpl for FunnelFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= MAX_FUNNEL_CALLS {
            let detail = format!("a statement may call funnel() {MAX_FUNNEL_CALLS} times");
            return Err(carry(Error::refused("limit_exceeded", "/sql", detail)));
        }
        let question = question(args.exprs(), &self.saved).map_err(carry)?;
        let names = question.breakdown.as_ref().map(|b| b.by.clone());
        let names = names.unwrap_or_default();
        let columns = dimension_columns(&names);
        Ok(Arc::new(FunnelTable {
            schema: schema(&columns),
            asked: Arc::new(Asked {
                engine: self.engine.clone(),
                run: self.run.beside(),
                tenant: self.tenant.clone(),
                question,
                names,
            }),
        }))
    }
}

fn carry(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Reads and checks the one argument. Codes and pointers are those of a funnel question.
fn question(arguments: &[Expr], saved: &SavedAll) -> Result<FunnelQuestion, Error> {
    let json = match arguments {
        [Expr::Literal(ScalarValue::Utf8(Some(json)) | ScalarValue::Utf8View(Some(json)), _)] => {
            json
        }
        _ => {
            let detail = "funnel() takes one argument: a funnel question as JSON text";
            return Err(Error::refused("wrong_argument", "/sql", detail));
        }
    };
    let parts: serde_json::Map<String, serde_json::Value> =
        read_strictly(json.as_bytes()).map_err(of_argument)?;
    if let Some(part) = parts.keys().find(|part| !PARTS.contains(&part.as_str())) {
        let detail = format!(
            "{part} is not for funnel(), which takes {}",
            PARTS.join(", ")
        );
        let pointer = format!("/{}", pointer_segment(part));
        return Err(in_argument(Error::refused(
            "unknown_field",
            pointer,
            detail,
        )));
    }
    let mut question: FunnelQuestion = read_strictly(json.as_bytes()).map_err(of_argument)?;
    if question.include.contains(&Include::Reasons) {
        let detail = "reasons have no place in these rows; `journeys` and `attempts` have them";
        let refused = Error::refused("unknown_value", "/include", detail);
        return Err(in_argument(refused));
    }
    if let FunnelRef::Id(id) = &question.funnel {
        let (definition, _) = newest(id, saved).map_err(in_argument)?;
        question.funnel = FunnelRef::Definition(Box::new(definition));
    }
    question.check().map_err(of_argument)?;
    Ok(question)
}

fn of_argument(mistake: linkfunnel_model::Mistake) -> Error {
    in_argument(mistake.into())
}

/// The pointer is one into the argument; the sentence says so.
fn in_argument(error: Error) -> Error {
    match error {
        Error::Invalid {
            status,
            code,
            pointer,
            detail,
        } => Error::Invalid {
            status,
            code,
            detail: format!("in the argument of funnel(), at {pointer:?}: {detail}"),
            pointer,
        },
        other => other,
    }
}

/// A column each dimension: its name with `_` for what SQL would have quoted, apart from the other columns.
fn dimension_columns(names: &[String]) -> Vec<String> {
    let mut taken: BTreeSet<String> = fixed_columns().map(|c| c.name().clone()).collect();
    let mut columns = Vec::new();
    for name in names {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let mut column: String = name.to_ascii_lowercase().chars().map(plain).collect();
        while !taken.insert(column.clone()) {
            column.insert_str(0, "by_");
        }
        columns.push(column);
    }
    columns
}

fn fixed_columns() -> impl Iterator<Item = Column> {
    let int = |name: &str| Column::new(name, DataType::Int64, false);
    let float = |name: &str| Column::new(name, DataType::Float64, true);
    let text = |name: &str| Column::new(name, DataType::Utf8, true);
    let mut columns = vec![
        int("step"),
        text("step_name"),
        Column::new("optional", DataType::Boolean, false),
    ];
    columns.extend(COUNTS.iter().map(|(name, _)| int(name)));
    for (name, _) in RATES {
        columns.extend([
            float(name),
            float(&format!("{name}_low")),
            float(&format!("{name}_high")),
            text(&format!("{name}_code")),
        ]);
    }
    columns.extend(TIMES.iter().map(|(name, _)| float(name)));
    columns.into_iter()
}

fn schema(dimensions: &[String]) -> SchemaRef {
    let dimensions = dimensions
        .iter()
        .map(|name| Column::new(name, DataType::Utf8, true));
    Arc::new(Schema::new(
        dimensions.chain(fixed_columns()).collect::<Vec<_>>(),
    ))
}

/// A question of one call.
struct Asked {
    engine: Engine,
    run: Run,
    tenant: String,
    question: FunnelQuestion,
    /// The dimensions as the question names them, in the order of their columns.
    names: Vec<String>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("tenant", &self.tenant)
            .field("question", &self.question)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct FunnelTable {
    schema: SchemaRef,
    asked: Arc<Asked>,
}

#[async_trait::async_trait]
impl TableProvider for FunnelTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = FunnelRows {
            schema: Arc::clone(&self.schema),
            asked: Arc::clone(&self.asked),
        };
        let schema = Arc::clone(&self.schema);
        let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(rows)];
        Ok(Arc::new(StreamingTableExec::try_new(
            schema, partitions, projection, None, false, limit,
        )?))
    }
}

#[derive(Debug)]
struct FunnelRows {
    schema: SchemaRef,
    asked: Arc<Asked>,
}

impl PartitionStream for FunnelRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (asked, schema) = (Arc::clone(&self.asked), Arc::clone(&self.schema));
        rows_of(Arc::clone(&self.schema), async move {
            let question = asked.question.clone();
            let run = asked.run.beside();
            let answer = asked.engine.funnel_in(run, &asked.tenant, question).await;
            batch(schema, &asked.names, &answer.map_err(carry)?)
        })
    }
}

/// The groups, or all where nothing was broken down, a row a step.
fn batch(schema: SchemaRef, names: &[String], answer: &FunnelAnswer) -> Result<RecordBatch> {
    let groups = match names.is_empty() {
        true => std::slice::from_ref(&answer.total),
        false => &answer.groups,
    };
    let rows = || {
        groups.iter().flat_map(|group| {
            let steps = group.steps.iter().enumerate();
            steps.map(move |(i, step)| (group, i, step))
        })
    };
    let mut columns: Vec<ArrayRef> = Vec::new();
    for name in names {
        let labels = rows().map(|(group, ..)| group.key.get(name));
        columns.push(Arc::new(labels.collect::<StringArray>()));
    }
    let number = |count: usize| i64::try_from(count).ok();
    columns.extend([
        Arc::new(
            rows()
                .map(|(_, i, _)| number(i + 1))
                .collect::<Int64Array>(),
        ) as ArrayRef,
        Arc::new(
            rows()
                .map(|(.., step)| Some(&step.name))
                .collect::<StringArray>(),
        ),
        Arc::new(
            rows()
                .map(|(.., step)| Some(step.optional))
                .collect::<BooleanArray>(),
        ),
    ]);
    for (_, count) in COUNTS {
        let counts = rows().map(|(group, _, step)| i64::try_from(count(group, step)).ok());
        columns.push(Arc::new(counts.collect::<Int64Array>()));
    }
    for (_, rate) in RATES {
        let floats = |of: fn(&Rate) -> Option<f64>| -> ArrayRef {
            let values = rows().map(|(group, _, step)| of(rate(group, step)));
            Arc::new(values.collect::<Float64Array>())
        };
        columns.extend([floats(|r| r.value), floats(|r| r.low), floats(|r| r.high)]);
        let codes = rows().map(|(group, _, step)| rate(group, step).code.as_deref());
        columns.push(Arc::new(codes.collect::<StringArray>()));
    }
    for (_, time) in TIMES {
        let times = rows().map(|(group, _, step)| time(group, step));
        columns.push(Arc::new(times.collect::<Float64Array>()));
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}
