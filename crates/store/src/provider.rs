//! Relations for SQL. Each is made for one tenant and shows nothing of any other: the filter is
//! inside, so every door that leads here shares it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field as Column, Int32Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column as ColumnExpr, Literal};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;

use crate::copies::Dropping;
use crate::error::{Result, While};
use crate::file::RowKind;
use crate::filters::word;
use crate::position::StreamPartition;
use crate::scan::{Input, Scan, full_schema};
use crate::schema;
use crate::sealed::SealedExec;
use crate::store::Store;
use crate::view::ReadView;

/// A relation for SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Events, each once, under the root that all events of the view together give them.
    Events,
    /// Events with their copies, under the root they are stored under.
    EventsRaw,
    /// Refused and suppressed messages, without their bytes.
    Rejects,
    /// Dead letters with their encrypted bytes: for showing and replaying them, not for SQL.
    DeadLetters,
    /// Last committed and last visible offset of each (`_stream`, `_partition`) that holds rows of
    /// the tenant. Offsets of a stream that several tenants share count all their messages.
    IngestOffsets,
    /// How many rows maintenance has removed from each (`_stream`, `_partition`) that holds rows of
    /// the tenant: copies dropped by compaction.
    RemovedRows,
}

impl Relation {
    /// Its columns.
    pub fn schema(self) -> SchemaRef {
        match self {
            Relation::Events | Relation::EventsRaw => schema::table_schema(),
            Relation::DeadLetters => schema::reject_schema(),
            Relation::Rejects => {
                let all = schema::reject_schema();
                let shown = all
                    .fields()
                    .iter()
                    .filter(|f| !HIDDEN.contains(&f.name().as_str()));
                Arc::new(Schema::new(shown.cloned().collect::<Vec<_>>()))
            }
            Relation::IngestOffsets => stream_schema(&["committed_offset", "visible_offset"]),
            Relation::RemovedRows => stream_schema(&["removed_rows"]),
        }
    }
}

/// Columns of rejects that SQL does not show.
const HIDDEN: [&str; 2] = ["payload", "key_id"];

fn stream_schema(numbers: &[&str]) -> SchemaRef {
    let mut columns = vec![
        Column::new(schema::STREAM, DataType::Utf8, false),
        Column::new(schema::PARTITION, DataType::Int32, false),
    ];
    columns.extend(
        numbers
            .iter()
            .map(|name| Column::new(*name, DataType::Int64, true)),
    );
    Arc::new(Schema::new(columns))
}

impl Store {
    /// A relation of a view as one tenant sees it.
    pub fn table_provider(
        &self,
        view: Arc<ReadView>,
        tenant: String,
        which: Relation,
    ) -> Arc<dyn TableProvider> {
        Arc::new(Provider {
            store: self.clone(),
            view,
            tenant,
            which,
            schema: which.schema(),
        })
    }

    /// The partitions that hold rows of a tenant. Read off the files' descriptions where they hold
    /// one tenant's rows, else from two columns of the rows.
    async fn partitions_of(
        &self,
        view: &ReadView,
        tenant: &str,
        state: &dyn Session,
    ) -> Result<BTreeSet<StreamPartition>> {
        const DOING: &str = "finding the streams of a tenant";
        let mut found = BTreeSet::new();
        for kind in [RowKind::Event, RowKind::Reject] {
            let everything = (i64::MIN, i64::MAX);
            let mut unclear = Vec::new();
            for file in view.table.files(kind).values() {
                match &file.contents.spans {
                    _ if !file.may_hold(Some(tenant), everything) => {}
                    Some(spans) if file.only_tenant() == Some(tenant) => {
                        found.extend(spans.iter().map(|span| span.at.clone()));
                    }
                    _ => unclear.push(Input {
                        file: Arc::clone(file),
                        limited: false,
                    }),
                }
            }
            unclear.extend(view.later(kind).map(|f| Input {
                file: Arc::clone(f),
                limited: true,
            }));
            let columns = [schema::STREAM, schema::PARTITION];
            let wanted = columns
                .iter()
                .filter_map(|c| full_schema(kind).index_of(c).ok())
                .collect();
            let scan = Scan {
                wanted,
                ..Scan::everything(kind, tenant, view.limits.as_ref())
            };
            let plan = self.plan_inputs(unclear, &view.hot, &scan, None, 1, state)?;
            let mut rows = execute_stream(plan, state.task_ctx()).when(DOING)?;
            while let Some(batch) = rows.try_next().await.when(DOING)? {
                collect_partitions(&batch, &mut found);
            }
        }
        Ok(found)
    }

    async fn stream_rows(
        &self,
        view: &ReadView,
        tenant: &str,
        which: Relation,
        state: &dyn Session,
    ) -> Result<RecordBatch> {
        let partitions = self.partitions_of(view, tenant, state).await?;
        let numbers: Vec<ArrayRef> = if which == Relation::IngestOffsets {
            let visible = view.visible();
            let committed = partitions
                .iter()
                .map(|at| view.table.offsets.get(at).copied());
            let shown = partitions.iter().map(|at| visible.get(at).copied());
            vec![
                Arc::new(committed.collect::<Int64Array>()),
                Arc::new(shown.collect::<Int64Array>()),
            ]
        } else {
            let removed = partitions
                .iter()
                .map(|at| Some(view.table.removed.get(at).copied().unwrap_or(0)));
            vec![Arc::new(removed.collect::<Int64Array>())]
        };
        let streams: StringArray = partitions.iter().map(|at| Some(&*at.stream)).collect();
        let ids: Int32Array = partitions.iter().map(|at| Some(at.partition)).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(streams), Arc::new(ids)];
        columns.extend(numbers);
        RecordBatch::try_new(which.schema(), columns).when("listing streams")
    }
}

/// Adds the distinct (stream, partition) pairs of a batch; neighbours are mostly the same.
fn collect_partitions(batch: &RecordBatch, found: &mut BTreeSet<StreamPartition>) {
    let streams = batch.column(0).as_dictionary::<Int32Type>();
    let partitions = batch.column(1).as_primitive::<Int32Type>().values();
    let words = streams.values().as_string::<i32>();
    let codes = streams.keys().values();
    let pairs: BTreeSet<(i32, i32)> = codes
        .iter()
        .copied()
        .zip(partitions.iter().copied())
        .collect();
    for (code, partition) in pairs {
        let code = usize::try_from(code).expect("dictionary codes start at 0");
        found.insert(StreamPartition::new(words.value(code), partition));
    }
}

impl<'v> Scan<'v> {
    /// All rows of a kind and tenant, in any order, copies included, without columns.
    pub(crate) fn everything(
        kind: RowKind,
        tenant: &str,
        limits: Option<&'v crate::table::Offsets>,
    ) -> Self {
        Scan {
            kind,
            ordered: false,
            raw: true,
            tenant: Some(tenant.to_owned()),
            occurred: (i64::MIN, i64::MAX),
            pushed: Vec::new(),
            after: Vec::new(),
            wanted: Vec::new(),
            limits,
            dropping: Dropping::Copies,
        }
    }
}

struct Provider {
    store: Store,
    view: Arc<ReadView>,
    tenant: String,
    which: Relation,
    schema: SchemaRef,
}

impl Provider {
    async fn events(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let raw = self.which == Relation::EventsRaw;
        let all = || (0..self.schema.fields().len()).collect();
        let mut scan = Scan {
            ordered: !raw,
            raw,
            wanted: projection.cloned().unwrap_or_else(all),
            ..Scan::everything(RowKind::Event, &self.tenant, self.view.limits.as_ref())
        };
        let columns = DFSchema::try_from(Arc::clone(&self.schema))?;
        for filter in filters.iter().filter(|f| is_safe(f)) {
            let filter = state.create_physical_expr(filter.clone(), &columns)?;
            narrow(&mut scan.occurred, &filter);
            scan.pushed.push(filter);
        }
        let partitions = state.config().target_partitions();
        let plan = self.store.plan(&self.view, scan, partitions, state).await;
        Ok(Arc::new(SealedExec::new(plan.map_err(external)?)))
    }

    async fn rejects(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let full = schema::reject_schema();
        let shown: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let wanted = shown
            .iter()
            .map(|at| full.index_of(self.schema.field(*at).name()));
        let mut scan = Scan {
            wanted: wanted.collect::<Result<_, _>>()?,
            ..Scan::everything(RowKind::Reject, &self.tenant, self.view.limits.as_ref())
        };
        if self.which == Relation::DeadLetters {
            let kind = ColumnExpr::new_with_schema("reject_kind", &full)?;
            let dead = Literal::new(word(crate::RejectKind::DeadLetter.as_str()));
            scan.after.push(Arc::new(BinaryExpr::new(
                Arc::new(kind),
                Operator::Eq,
                Arc::new(dead),
            )));
        }
        let plan = self.store.plan(&self.view, scan, 1, state).await;
        Ok(Arc::new(SealedExec::new(plan.map_err(external)?)))
    }
}

fn external(error: crate::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Whether a filter may run before copies are dropped.
fn is_safe(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && !filter.is_volatile()
        && columns
            .iter()
            .all(|c| schema::SAME_IN_COPIES.contains(&c.name.as_str()))
}

/// Narrows the range of times by a filter such as `occurred_at >= …`, so that files are left out.
fn narrow(occurred: &mut (i64, i64), filter: &Arc<dyn PhysicalExpr>) {
    let Some(comparison) = filter.downcast_ref::<BinaryExpr>() else {
        return;
    };
    let column = comparison.left().downcast_ref::<ColumnExpr>();
    let value = comparison.right().downcast_ref::<Literal>();
    let (Some(column), Some(value)) = (column, value) else {
        return;
    };
    let ScalarValue::TimestampMicrosecond(Some(us), _) = value.value() else {
        return;
    };
    if column.name() != schema::OCCURRED_AT {
        return;
    }
    match comparison.op() {
        Operator::Gt | Operator::GtEq => occurred.0 = occurred.0.max(*us),
        Operator::Lt | Operator::LtEq => occurred.1 = occurred.1.min(*us),
        Operator::Eq => *occurred = (occurred.0.max(*us), occurred.1.min(*us)),
        _ => {}
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("which", &self.which)
            .field("tenant", &self.tenant)
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for Provider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        let events = matches!(self.which, Relation::Events | Relation::EventsRaw);
        let support = |filter: &&Expr| match events && is_safe(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        match self.which {
            Relation::Events | Relation::EventsRaw => self.events(state, projection, filters).await,
            Relation::Rejects | Relation::DeadLetters => self.rejects(state, projection).await,
            Relation::IngestOffsets | Relation::RemovedRows => {
                let rows = self
                    .store
                    .stream_rows(&self.view, &self.tenant, self.which, state)
                    .await;
                let rows = [vec![rows.map_err(external)?]];
                let schema = Arc::clone(&self.schema);
                Ok(MemorySourceConfig::try_new_exec(
                    &rows,
                    schema,
                    projection.cloned(),
                )?)
            }
        }
    }
}
