//! Copies that may be dropped from the files: those that name the same ids as one kept.
//!
//! A copy that names other ids says which ids stand together, and may turn out to be no copy at all
//! once a later event leads its ids elsewhere; it stays, and each scan decides. Two rows that name
//! the same ids have the same root whatever comes, so they are copies for ever.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use linkfunnel_model::IdKind;
use parking_lot::Mutex;

use crate::copies::{KeyColumns, Keys, Place};
use crate::ids::{IdColumns, KINDS};
use crate::position::StreamPartition;

/// What became of copies.
#[derive(Debug, Default)]
pub(crate) struct CopyCounts {
    /// Rows dropped, per partition they came from.
    pub(crate) dropped: BTreeMap<StreamPartition, i64>,
    /// Rows kept beside a copy that names other ids.
    pub(crate) kept: u64,
}

/// Shared between a plan and whoever runs it.
pub(crate) type SharedCounts = Arc<Mutex<CopyCounts>>;

/// One row that survives so far of an open group of copies.
struct Survivor {
    batch: u64,
    row: usize,
    ids: ([Option<i64>; KINDS], bool),
    place: Place,
}

/// A batch with survivors that a later row may beat.
struct Held {
    number: u64,
    batch: RecordBatch,
    /// The rows let through; `None`: all.
    keep: Option<Vec<bool>>,
}

/// Lets of each group of copies one through for each set of ids; batches come in table order.
pub(crate) struct ForGood {
    columns: KeyColumns,
    counts: SharedCounts,
    held: VecDeque<Held>,
    next_number: u64,
    /// The survivors of the group that the last row belongs to; empty while it is alone in it.
    open: Vec<Survivor>,
}

impl ForGood {
    /// `columns` with tie-breakers.
    pub(crate) fn new(columns: KeyColumns, counts: SharedCounts) -> Self {
        ForGood {
            columns,
            counts,
            held: VecDeque::new(),
            next_number: 0,
            open: Vec::new(),
        }
    }

    /// Takes the next batch; gives back those that are now certain.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let number = self.next_number;
        self.next_number += 1;
        self.held.push_back(Held {
            number,
            batch: batch.clone(),
            keep: None,
        });
        let keys = Keys::of(&batch, &self.columns);
        let ids = IdColumns::of(&batch);
        if self.joins_last(&keys) {
            self.add(&keys, &ids, number, 0);
        } else {
            self.open.clear();
        }
        for row in 1..batch.num_rows() {
            if !keys.same(row, &keys, row - 1) {
                self.open.clear();
            } else {
                if self.open.is_empty() {
                    self.open.push(survivor(&keys, &ids, number, row - 1));
                }
                self.add(&keys, &ids, number, row);
            }
        }
        if self.open.is_empty() {
            // the next batch may begin with a copy of the last row
            let last = batch.num_rows() - 1;
            self.open.push(survivor(&keys, &ids, number, last));
        }
        self.release()
    }

    /// Gives back the rest.
    pub(crate) fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        self.open.clear();
        self.release()
    }

    /// Whether the first row of a batch is a copy of the last row before it.
    fn joins_last(&self, keys: &Keys<'_>) -> bool {
        let Some(last) = self.open.first() else {
            return false;
        };
        let held = self.held.iter().find(|held| held.number == last.batch);
        held.is_some_and(|held| {
            let before = Keys::of(&held.batch, &self.columns);
            keys.same(0, &before, last.row)
        })
    }

    /// Adds a row to the open group.
    fn add(&mut self, keys: &Keys<'_>, ids: &IdColumns<'_>, number: u64, row: usize) {
        let newer = survivor(keys, ids, number, row);
        let Some(older) = self.open.iter_mut().find(|s| s.ids == newer.ids) else {
            self.counts.lock().kept += 1;
            self.open.push(newer);
            return;
        };
        let loser = if newer.place < older.place {
            std::mem::replace(older, newer)
        } else {
            newer
        };
        let at = self.held.iter_mut().find(|held| held.number == loser.batch);
        if let Some(held) = at {
            let rows = held.batch.num_rows();
            held.keep.get_or_insert_with(|| vec![true; rows])[loser.row] = false;
        }
        let at = loser.place.partition();
        *self.counts.lock().dropped.entry(at).or_default() += 1;
    }

    /// Takes out the batches that hold no survivor of the open group, and those with no row left.
    fn release(&mut self) -> Result<Vec<RecordBatch>> {
        let mut done = Vec::new();
        let open = &self.open;
        let is_certain = |held: &mut Held| open.iter().all(|s| s.batch != held.number);
        while let Some(held) = self.held.pop_front_if(is_certain) {
            done.push(match held.keep {
                None => held.batch,
                Some(keep) => filter_record_batch(&held.batch, &BooleanArray::from(keep))?,
            });
        }
        let has_rows = |held: &Held| held.keep.as_ref().is_none_or(|keep| keep.contains(&true));
        self.held.retain(has_rows);
        Ok(done)
    }
}

fn survivor(keys: &Keys<'_>, ids: &IdColumns<'_>, batch: u64, row: usize) -> Survivor {
    let mut named = [None; KINDS];
    for (kind, key) in IdKind::ALL.iter().zip(&mut named) {
        *key = ids.key(*kind, row);
    }
    Survivor {
        batch,
        row,
        ids: (named, ids.is_exempt(row)),
        place: keys.place(row),
    }
}
