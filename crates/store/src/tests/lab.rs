//! A table in a folder of its own, a clock to turn, and short ways to write and read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::physical_plan::{ExecutionPlan, collect, collect_partitioned};
use datafusion::prelude::{SessionConfig, SessionContext};
use linkfunnel_model::{Clock, Event, EventName, Field};

use crate::*;

pub(super) const START_US: i64 = 1_780_000_000_000_000;
pub(super) const DAY_US: i64 = 86_400_000_000;

pub(super) struct Lab {
    pub(super) dir: tempfile::TempDir,
    pub(super) now_us: Arc<AtomicI64>,
    pub(super) store: Store,
}

impl Lab {
    pub(super) async fn new() -> Self {
        Self::with(StoreOptions::default()).await
    }

    pub(super) async fn with(options: StoreOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now_us = Arc::new(AtomicI64::new(START_US));
        let store = open(&dir, &now_us, options).await;
        Lab { dir, now_us, store }
    }

    /// Another process on the same table.
    pub(super) async fn again(&self) -> Store {
        open(&self.dir, &self.now_us, StoreOptions::default()).await
    }

    pub(super) fn pass(&self, us: i64) {
        self.now_us.fetch_add(us, Ordering::SeqCst);
    }

    pub(super) fn paths(&self, below: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.dir.path().join(below)) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

async fn open(dir: &tempfile::TempDir, now_us: &Arc<AtomicI64>, options: StoreOptions) -> Store {
    let location = Location::parse(dir.path().to_str().unwrap()).unwrap();
    Store::open(&location, options, clock(now_us))
        .await
        .unwrap()
}

pub(super) fn clock(now_us: &Arc<AtomicI64>) -> Clock {
    let now_us = Arc::clone(now_us);
    Arc::new(move || now_us.load(Ordering::SeqCst))
}

/// An event of a company; copies have the same id, company and time.
pub(super) fn event(id: &str, company: &str, at_us: i64) -> Event<'static> {
    Event::new(id.to_owned(), EventName::JourneyStarted, at_us)
        .with(Field::CompanyId, company.to_owned())
        .with(Field::Source, "import")
}

/// A row to be: its offset, when it was received, the event.
pub(super) type Row = (i64, i64, Event<'static>);

pub(super) fn segment(stream: &str, partition: i32, rows: &[Row]) -> Arc<HotSegment> {
    let (first, last) = (rows[0].0, rows[rows.len() - 1].0);
    spanning(stream, partition, first, last, rows)
}

pub(super) fn spanning(
    stream: &str,
    partition: i32,
    first: i64,
    last: i64,
    rows: &[Row],
) -> Arc<HotSegment> {
    let mut events = EventBatchBuilder::new();
    for (offset, received_at_us, event) in rows {
        let at = RowPosition {
            stream,
            partition,
            offset: *offset,
            index: 0,
        };
        events.push(at, *received_at_us, event);
    }
    Arc::new(HotSegment {
        at: StreamPartition::new(stream, partition),
        first,
        last,
        epoch: 0,
        events: events.finish(),
        rejects: RejectBatchBuilder::new().finish(),
        sealed_at_us: START_US,
    })
}

/// `count` events of different companies from `first` on, received as they occurred.
pub(super) fn run_of(stream: &str, partition: i32, first: i64, count: i64) -> Arc<HotSegment> {
    let rows: Vec<Row> = (first..first + count)
        .map(|offset| {
            let at = START_US + offset * 1000;
            let company = format!("c{}", (offset * 7 + i64::from(partition)) % 40);
            (
                offset,
                at,
                event(&format!("{stream}/{partition}/{offset}"), &company, at),
            )
        })
        .collect();
    segment(stream, partition, &rows)
}

pub(super) fn batch(segments: Vec<Arc<HotSegment>>) -> CommitBatch {
    CommitBatch {
        segments,
        fingerprints: Vec::new(),
    }
}

pub(super) async fn commit(store: &Store, segments: Vec<Arc<HotSegment>>) -> CommitOutcome {
    store.commit(batch(segments)).await.unwrap()
}

pub(super) fn asked(columns: &[&str]) -> ScanRequest {
    ScanRequest {
        tenant: Some("default".into()),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        partitions: 1,
        ..ScanRequest::default()
    }
}

pub(super) fn session() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2))
}

pub(super) async fn plan(
    store: &Store,
    view: &Arc<ReadView>,
    request: ScanRequest,
) -> Arc<dyn ExecutionPlan> {
    store.scan(view, request, &session().state()).await.unwrap()
}

pub(super) async fn run(
    store: &Store,
    view: &Arc<ReadView>,
    request: ScanRequest,
) -> Vec<RecordBatch> {
    let context = session();
    let plan = store.scan(view, request, &context.state()).await.unwrap();
    collect(plan, context.task_ctx()).await.unwrap()
}

pub(super) async fn run_partitioned(
    store: &Store,
    view: &Arc<ReadView>,
    request: ScanRequest,
) -> Vec<Vec<RecordBatch>> {
    let context = session();
    let plan = store.scan(view, request, &context.state()).await.unwrap();
    collect_partitioned(plan, context.task_ctx()).await.unwrap()
}

/// A column's values as text.
pub(super) fn texts(batches: &[RecordBatch], column: usize) -> Vec<String> {
    let options = FormatOptions::default();
    let mut texts = Vec::new();
    for batch in batches {
        let format = ArrayFormatter::try_new(batch.column(column), &options).unwrap();
        texts.extend((0..batch.num_rows()).map(|row| format.value(row).to_string()));
    }
    texts
}

pub(super) fn longs(batches: &[RecordBatch], column: usize) -> Vec<i64> {
    let mut all = Vec::new();
    for batch in batches {
        let column = batch.column(column);
        match column.as_primitive_opt::<Int64Type>() {
            Some(values) => all.extend(values.values().iter().copied()),
            None => all.extend(
                column
                    .as_primitive::<TimestampMicrosecondType>()
                    .values()
                    .iter(),
            ),
        }
    }
    all
}

/// The events' ids in table order.
pub(super) async fn ids(store: &Store, view: &Arc<ReadView>) -> Vec<String> {
    texts(&run(store, view, asked(&["event_id"])).await, 0)
}

pub(super) async fn sorted_ids(store: &Store, view: &Arc<ReadView>) -> Vec<String> {
    let mut ids = ids(store, view).await;
    ids.sort();
    ids
}

/// Rows, copies included.
pub(super) async fn raw_count(store: &Store, view: &Arc<ReadView>) -> usize {
    let request = ScanRequest {
        raw: true,
        ..asked(&[])
    };
    run(store, view, request)
        .await
        .iter()
        .map(RecordBatch::num_rows)
        .sum()
}

/// Every relation as a tenant sees it.
pub(super) fn relations(store: &Store, view: &Arc<ReadView>, tenant: &str) -> SessionContext {
    let context = session();
    let named = [
        ("events", Relation::Events),
        ("events_raw", Relation::EventsRaw),
        ("rejects", Relation::Rejects),
        ("dead_letters", Relation::DeadLetters),
        ("ingest_offsets", Relation::IngestOffsets),
        ("removed_rows", Relation::RemovedRows),
    ];
    for (name, which) in named {
        let table = store.table_provider(Arc::clone(view), tenant.to_owned(), which);
        context.register_table(name, table).unwrap();
    }
    context
}

/// The answer to a query, row by row, values separated by blanks.
pub(super) async fn sql(store: &Store, tenant: &str, query: &str) -> Vec<String> {
    let context = relations(store, &store.view(), tenant);
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    let columns = batches.first().map_or(0, RecordBatch::num_columns);
    let columns: Vec<_> = (0..columns).map(|c| texts(&batches, c)).collect();
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows)
        .map(|r| columns.iter().map(|c| &*c[r]).collect::<Vec<_>>().join(" "))
        .collect()
}

/// Numbers that are the same for the same seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % sides
    }
}
