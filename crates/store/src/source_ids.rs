//! What the rows of one file or hot segment say about ids: which stand together, and which rows name
//! no company.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use linkfunnel_model::{Gatherer, Goal, IdKind, Pairs, Ways};

use crate::copies::Dropping;
use crate::error::{Result, While};
use crate::file::RowKind;
use crate::ids::{IdColumns, basis_column};
use crate::scan::{Input, Scan, full_schema};
use crate::schema;
use crate::store::Store;
use crate::table::Offsets;

/// What the rows of one source say about ids.
#[derive(Debug, Default)]
pub(crate) struct SourceIds {
    pub(crate) companies: Pairs,
    pub(crate) journeys: Pairs,
    pub(crate) nameless: Nameless,
}

/// The different (stored root, ids) of the rows whose root has to be found.
#[derive(Debug, Default)]
pub(crate) struct Nameless {
    roots: Vec<i64>,
    /// Where the ids of each begin, and where the last ones end.
    starts: Vec<usize>,
    ids: Vec<i64>,
}

impl SourceIds {
    pub(crate) fn pairs(&self, goal: Goal) -> &Pairs {
        match goal {
            Goal::Company => &self.companies,
            Goal::Journey => &self.journeys,
        }
    }

    /// Whether some row's root is not the one it is stored under.
    pub(crate) fn has_movers(&self, ways: &Ways) -> bool {
        let nameless = &self.nameless;
        let ends = nameless.starts.windows(2).zip(&nameless.roots);
        ends.into_iter().any(|(ends, stored)| {
            let ids = &nameless.ids[ends[0]..ends[1]];
            let root = match ways.best(ids.iter().copied()) {
                Some(found) => Some(found.key),
                None => ids.first().copied(),
            };
            root.is_some_and(|root| root != *stored)
        })
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let nameless = &self.nameless;
        self.companies.bytes()
            + self.journeys.bytes()
            + nameless.roots.capacity() * 8
            + nameless.starts.capacity() * 8
            + nameless.ids.capacity() * 8
    }
}

/// Takes in a source batch by batch.
pub(crate) struct SourceGatherer {
    companies: Gatherer,
    journeys: Gatherer,
    /// Stored root and ids of each.
    nameless: HashSet<Vec<i64>>,
    ids: Vec<(IdKind, i64)>,
    key: Vec<i64>,
}

impl SourceGatherer {
    pub(crate) fn new() -> Self {
        SourceGatherer {
            companies: Gatherer::new(Goal::Company),
            journeys: Gatherer::new(Goal::Journey),
            nameless: HashSet::new(),
            ids: Vec::new(),
            key: Vec::new(),
        }
    }

    /// The rows of a batch that `keep` lets through.
    pub(crate) fn add(&mut self, batch: &RecordBatch, keep: impl Fn(usize) -> bool) {
        const TYPED: &str = "batches are built to the schema";
        let columns = IdColumns::of(batch);
        let column = |name: &str| batch.column_by_name(name).expect(TYPED);
        let roots = column(schema::ROOT_KEY).as_primitive::<Int64Type>();
        let times = column(schema::OCCURRED_AT).as_primitive::<TimestampMicrosecondType>();
        let (roots, times) = (roots.values(), times.values());
        let mut before: Option<usize> = None;
        for row in (0..batch.num_rows()).filter(|row| keep(*row)) {
            // neighbours mostly name the same ids: then the earlier one has said it all
            let said = before.is_some_and(|b| {
                times[b] <= times[row] && roots[b] == roots[row] && columns.same(b, row)
            });
            if said {
                continue;
            }
            before = Some(row);
            if columns.is_exempt(row) {
                continue;
            }
            self.ids.clear();
            self.ids.extend(columns.ids(row));
            self.companies.add(&self.ids, times[row]);
            self.journeys.add(&self.ids, times[row]);
            if columns.is_nameless(row) {
                self.key.clear();
                self.key.push(roots[row]);
                self.key.extend(self.ids.iter().map(|id| id.1));
                if !self.nameless.contains(&self.key) {
                    self.nameless.insert(self.key.clone());
                }
            }
        }
    }

    pub(crate) fn finish(self) -> SourceIds {
        let mut nameless = Nameless {
            roots: Vec::with_capacity(self.nameless.len()),
            starts: Vec::with_capacity(self.nameless.len() + 1),
            ids: Vec::with_capacity(self.nameless.iter().map(|key| key.len() - 1).sum()),
        };
        nameless.starts.push(0);
        for key in &self.nameless {
            nameless.roots.push(key[0]);
            nameless.ids.extend_from_slice(&key[1..]);
            nameless.starts.push(nameless.ids.len());
        }
        SourceIds {
            companies: self.companies.finish(),
            journeys: self.journeys.finish(),
            nameless,
        }
    }
}

impl Store {
    /// Reads what a file says about ids; only its ids are read.
    pub(crate) async fn read_ids(
        &self,
        input: Input,
        limits: Option<&Offsets>,
        state: &dyn Session,
    ) -> Result<Arc<SourceIds>> {
        const DOING: &str = "reading ids";
        let full = full_schema(RowKind::Event);
        let names = [schema::ROOT_KEY, schema::OCCURRED_AT, basis_column()];
        let keys = IdKind::ALL.iter().map(|kind| kind.key_column());
        let wanted = names.into_iter().chain(keys);
        let scan = Scan {
            kind: RowKind::Event,
            ordered: false,
            raw: true,
            tenant: None,
            occurred: (i64::MIN, i64::MAX),
            pushed: Vec::new(),
            after: Vec::new(),
            wanted: wanted.filter_map(|name| full.index_of(name).ok()).collect(),
            limits,
            dropping: Dropping::Copies,
        };
        let plan = self.plan_inputs(vec![input], &[], &scan, None, 1, state)?;
        let mut rows = execute_stream(plan, state.task_ctx()).when(DOING)?;
        let mut gatherer = SourceGatherer::new();
        while let Some(batch) = rows.try_next().await.when(DOING)? {
            gatherer.add(&batch, |_| true);
        }
        Ok(Arc::new(gatherer.finish()))
    }
}
