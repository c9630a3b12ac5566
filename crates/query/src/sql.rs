//! Read-only SQL over the views of one tenant.
//!
//! One `SELECT` (or `EXPLAIN` of one) a question. What could write, load, export or change settings
//! is refused before it is planned, and again by looking at the plan. The tenant filter is inside
//! the tables, so no query can step around it.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;
use linkfunnel_store::{Relation, SavedAll};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::{Engine, Run, ms};
use crate::error::{Error, Result};
use crate::funnel_table::FunnelFunction;
use crate::saved::FUNNELS;
use crate::views::Views;

/// Longest SQL text in bytes.
pub const MAX_SQL_BYTES: usize = 64 * 1024;
/// Rows of an answer when the question names no limit.
pub const DEFAULT_SQL_ROWS: usize = 10_000;

/// A question in SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlQuestion {
    /// One SELECT statement over `events`, `events_raw`, `journeys`, `attempts`, `funnel_steps_daily`,
    /// `rejects`, `ingest_offsets`, `removed_rows` and the table function `funnel('{…}')`.
    pub sql: String,
    /// Rows wanted at most; 10 000 when absent, and never more than the server allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Time it may take in ms; never more than the server allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Token of the view to read; the current one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// Rows.
#[derive(Debug, Clone)]
pub struct SqlAnswer {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows, at most as many as the limit.
    pub batches: Vec<RecordBatch>,
    /// Whether there were more rows than the limit.
    pub truncated: bool,
    /// Token of the view that was read.
    pub snapshot: String,
    /// Time it took in ms.
    pub elapsed_ms: f64,
    /// Name of this run, for logs.
    pub query_id: String,
}

/// The tables a query may name.
pub const TABLES: &[(&str, Relation)] = &[
    ("events", Relation::Events),
    ("events_raw", Relation::EventsRaw),
    ("rejects", Relation::Rejects),
    ("ingest_offsets", Relation::IngestOffsets),
    ("removed_rows", Relation::RemovedRows),
];

impl Engine {
    /// Answers one read-only SQL question over the tenant's rows.
    ///
    /// # Errors
    /// 400 for SQL that does not parse, 422 for what is refused or does not plan, [`Error::Gone`],
    /// [`Error::Timeout`], [`Error::TooLarge`].
    pub async fn sql(&self, tenant: &str, question: SqlQuestion) -> Result<SqlAnswer> {
        let statement = parse(&question.sql)?;
        let options = self.options();
        let max_rows = question
            .limit
            .unwrap_or(DEFAULT_SQL_ROWS)
            .min(options.sql_max_rows);
        let limit_ms = question
            .timeout_ms
            .unwrap_or(options.sql_timeout_ms)
            .min(options.sql_timeout_ms);
        let run = self.start(question.as_of.as_deref()).await?;
        self.within(limit_ms, async {
            // Only a statement that may call funnel() needs to know what the saved ids mean.
            let saved = match question.sql.to_ascii_lowercase().contains("funnel") {
                true => self.shelf(FUNNELS, tenant).all().await?,
                false => Arc::default(),
            };
            self.register(&run, tenant, saved)?;
            let plan = plan(&run, statement).await?;
            let (schema, batches, truncated) = collect(&run, plan, max_rows)
                .await
                .map_err(|e| run_error(&run, e))?;
            Ok(SqlAnswer {
                schema,
                batches,
                truncated,
                snapshot: run.view.token().to_string(),
                elapsed_ms: ms(self.now_us() - run.started_us),
                query_id: run.query_id.clone(),
            })
        })
        .await
    }

    fn register(&self, run: &Run, tenant: &str, saved: Arc<SavedAll>) -> Result<()> {
        for (name, relation) in TABLES {
            let table = self
                .store()
                .table_provider(run.view.clone(), tenant.to_owned(), *relation);
            run.session
                .register_table(*name, table)
                .map_err(|e| run.error(e))?;
        }
        let views = Views {
            engine: self.clone(),
            view: Arc::clone(&run.view),
            tenant: tenant.to_owned(),
        };
        for (name, table) in views.tables() {
            run.session
                .register_table(name, table)
                .map_err(|e| run.error(e))?;
        }
        let funnel = FunnelFunction::new(self.clone(), run.beside(), tenant.to_owned(), saved);
        run.session.register_udtf("funnel", Arc::new(funnel));
        Ok(())
    }
}

/// Exactly one SELECT, or EXPLAIN of one.
fn parse(sql: &str) -> Result<Statement> {
    if sql.len() > MAX_SQL_BYTES {
        let detail = format!("the statement is longer than {MAX_SQL_BYTES} bytes");
        return Err(Error::refused("sql_too_long", "/sql", detail));
    }
    let mut statements: VecDeque<Statement> = DFParser::parse_sql(sql)
        .map_err(|e| Error::bad("sql_syntax", "/sql", e.strip_backtrace()))?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) if reads_only(&statement) => Ok(statement),
        (Some(_), true) => Err(Error::refused(
            "sql_read_only",
            "/sql",
            "only SELECT and EXPLAIN of a SELECT are allowed here",
        )),
        (None, _) => Err(Error::bad("sql_empty", "/sql", "the statement is empty")),
        (Some(_), false) => Err(Error::refused(
            "sql_one_statement",
            "/sql",
            "one statement at a time, please",
        )),
    }
}

fn reads_only(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(inner) => matches!(inner.as_ref(), ast::Statement::Query(_)),
        Statement::Explain(explain) => reads_only(&explain.statement),
        _ => false,
    }
}

async fn plan(run: &Run, statement: Statement) -> Result<LogicalPlan> {
    let plan = run.session.state().statement_to_plan(statement).await;
    let plan = plan.map_err(|error| match error.find_root() {
        DataFusionError::External(inner) if inner.is::<Error>() => run.error(error),
        _ => Error::refused("sql_invalid", "/sql", error.strip_backtrace()),
    })?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|e| Error::refused("sql_read_only", "/sql", e.strip_backtrace()))?;
    Ok(plan)
}

type Rows = (SchemaRef, Vec<RecordBatch>, bool);

async fn collect(run: &Run, plan: LogicalPlan, max_rows: usize) -> Result<Rows, DataFusionError> {
    let frame = run.session.execute_logical_plan(plan).await?;
    let mut stream = frame.execute_stream().await?;
    let schema = stream.schema();
    let pool = &run.session.runtime_env().memory_pool;
    let held = MemoryConsumer::new("rows of the answer").register(pool);
    let (mut batches, mut rows, mut truncated) = (Vec::new(), 0, false);
    while let Some(batch) = stream.try_next().await? {
        let left = max_rows - rows;
        truncated = batch.num_rows() > left;
        let batch = if truncated {
            batch.slice(0, left)
        } else {
            batch
        };
        held.try_grow(batch.get_array_memory_size())?;
        rows += batch.num_rows();
        batches.push(batch);
        if truncated {
            break;
        }
    }
    Ok((schema, batches, truncated))
}

/// What fails while running is mostly the statement's doing: a division by zero, a bad cast.
fn run_error(run: &Run, error: DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::Execution(_)
        | DataFusionError::ArrowError(_, _)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(_, _)
        | DataFusionError::NotImplemented(_) => {
            Error::refused("sql_failed", "/sql", error.strip_backtrace())
        }
        _ => run.error(error),
    }
}
