//! What the rows of one file or hot segment say about ids: which stand together on ways to a goal,
//! and, for companies, which rows name none.
//!
//! Of the latter only the different ones are kept, with how often each occurs: by them it is known,
//! without reading the file again, how many of its rows are stored under another root than theirs.
//!
//! Each goal is read apart, and when it is first needed: where every row names its company, only the
//! few ids that lead to a journey ever are.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use linkfunnel_model::{Gatherer, Goal, IdKind, Pairs, Ways};
use parking_lot::Mutex;

use crate::copies::Dropping;
use crate::error::{Result, While};
use crate::file::RowKind;
use crate::ids::{IdColumns, basis_column};
use crate::scan::{Input, Scan, full_schema};
use crate::schema;
use crate::store::Store;
use crate::table::Offsets;
use crate::ways::Laid;

/// What the rows of one source say about the ids on ways to one goal.
#[derive(Debug, Default)]
pub(crate) struct SourceIds {
    pub(crate) pairs: Pairs,
    /// Where the goal is a company.
    pub(crate) nameless: Nameless,
}

/// The different (stored root, ids) of the rows whose root has to be found.
#[derive(Debug, Default)]
pub(crate) struct Nameless {
    roots: Vec<i64>,
    rows: Vec<u64>,
    /// Where the ids of each begin, and where the last ones end.
    starts: Vec<usize>,
    ids: Vec<i64>,
    /// Each id once, in order.
    known: Vec<i64>,
    /// How many rows were found to move by some ways, the last time anybody asked.
    moved: Mutex<Option<(Weak<Ways>, u64)>>,
}

impl SourceIds {
    /// How many rows have another root than the one they are stored under. Where none of the ids
    /// leads elsewhere than in the base, that of the base is known.
    pub(crate) fn movers(&self, laid: &Laid) -> u64 {
        let nameless = &self.nameless;
        let is_known = |id: &i64| nameless.known.binary_search(id).is_ok();
        let many_changed = laid.changed.len() > nameless.known.len() / 8;
        if many_changed || laid.changed.iter().any(is_known) {
            return nameless.count_movers(&laid.ways);
        }
        let mut moved = nameless.moved.lock();
        if let Some((ways, rows)) = moved.as_ref()
            && std::ptr::eq(ways.as_ptr(), Arc::as_ptr(&laid.base))
        {
            return *rows;
        }
        let rows = nameless.count_movers(&laid.base);
        *moved = Some((Arc::downgrade(&laid.base), rows));
        rows
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let nameless = &self.nameless;
        let numbers = nameless.roots.capacity()
            + nameless.rows.capacity()
            + nameless.starts.capacity()
            + nameless.ids.capacity()
            + nameless.known.capacity();
        self.pairs.bytes() + numbers * size_of::<i64>()
    }
}

impl Nameless {
    fn of(rows: HashMap<Vec<i64>, u64>) -> Nameless {
        let mut nameless = Nameless {
            roots: Vec::with_capacity(rows.len()),
            rows: Vec::with_capacity(rows.len()),
            starts: Vec::with_capacity(rows.len() + 1),
            ids: Vec::with_capacity(rows.keys().map(|key| key.len() - 1).sum()),
            ..Nameless::default()
        };
        nameless.starts.push(0);
        for (key, count) in rows {
            nameless.roots.push(key[0]);
            nameless.rows.push(count);
            nameless.ids.extend_from_slice(&key[1..]);
            nameless.starts.push(nameless.ids.len());
        }
        nameless.known.clone_from(&nameless.ids);
        nameless.known.sort_unstable();
        nameless.known.dedup();
        nameless.known.shrink_to_fit();
        nameless
    }

    fn count_movers(&self, ways: &Ways) -> u64 {
        let stored = self.roots.iter().zip(&self.rows);
        let moves = |(ends, (stored, rows)): (&[usize], (&i64, &u64))| {
            let ids = &self.ids[ends[0]..ends[1]];
            let root = match ways.best(ids.iter().copied()) {
                Some(found) => Some(found.key),
                None => ids.first().copied(),
            };
            if root.is_some_and(|root| root != *stored) {
                *rows
            } else {
                0
            }
        };
        self.starts.windows(2).zip(stored).map(moves).sum()
    }
}

/// Takes in a source batch by batch.
pub(crate) struct SourceGatherer {
    goal: Goal,
    pairs: Gatherer,
    /// By stored root and ids, how many rows.
    nameless: HashMap<Vec<i64>, u64>,
    ids: Vec<(IdKind, i64)>,
    /// The key of the last row in `nameless`; empty if it is not in there.
    key: Vec<i64>,
}

impl SourceGatherer {
    pub(crate) fn new(goal: Goal) -> Self {
        SourceGatherer {
            goal,
            pairs: Gatherer::new(goal),
            nameless: HashMap::new(),
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
                if let Some(rows) = self.nameless.get_mut(&self.key) {
                    *rows += 1;
                }
                continue;
            }
            before = Some(row);
            self.key.clear();
            if columns.is_exempt(row) {
                continue;
            }
            self.ids.clear();
            self.ids.extend(columns.ids(row));
            self.pairs.add(&self.ids, times[row]);
            if self.goal == Goal::Company && columns.is_nameless(row) {
                self.key.push(roots[row]);
                self.key.extend(self.ids.iter().map(|id| id.1));
                match self.nameless.get_mut(&self.key) {
                    Some(rows) => *rows += 1,
                    None => drop(self.nameless.insert(self.key.clone(), 1)),
                }
            }
        }
    }

    pub(crate) fn finish(self) -> SourceIds {
        SourceIds {
            pairs: self.pairs.finish(),
            nameless: Nameless::of(self.nameless),
        }
    }
}

impl Store {
    /// Reads what a file says about the ids on ways to a goal; only these are read.
    pub(crate) async fn read_ids(
        &self,
        input: Input,
        goal: Goal,
        limits: Option<&Offsets>,
        state: &dyn Session,
    ) -> Result<Arc<SourceIds>> {
        const DOING: &str = "reading ids";
        let full = full_schema(RowKind::Event);
        let names = [schema::ROOT_KEY, schema::OCCURRED_AT, basis_column()];
        let of_use = |kind: &&IdKind| goal.is_on_way(**kind) || **kind == goal.kind();
        let kinds = IdKind::ALL.iter().filter(of_use);
        let keys = kinds.map(|kind| kind.key_column());
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
        let mut gatherer = SourceGatherer::new(goal);
        while let Some(batch) = rows.try_next().await.when(DOING)? {
            gatherer.add(&batch, |_| true);
        }
        Ok(Arc::new(gatherer.finish()))
    }
}
