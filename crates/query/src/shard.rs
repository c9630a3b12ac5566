//! The work of one partition: rows in table order in, tallies (or a list) out.
//!
//! Rows of one root are gathered, split into subjects, ordered by (time, seq, event key) and given
//! to [`crate::judge`]. Only one root's useful rows are held at a time.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};

use crate::columns::Interner;
use crate::judge::{Hit, Judge, Labels, Subject};
use crate::numbers::{Counts, Outcome};
use crate::plan::Plan;
use crate::rows::Rows;

/// State while a partition is read.
pub(crate) struct Shard {
    plan: Arc<Plan>,
    interner: Interner,
    root: Option<i64>,
    hits: Vec<Hit>,
    values: Vec<u32>,
    ids: Vec<(String, Option<String>)>,
    judge: Judge,
    counts: Counts,
}

impl Shard {
    pub(crate) fn new(plan: Arc<Plan>) -> Shard {
        Shard {
            judge: Judge::new(&plan),
            plan,
            interner: Interner::default(),
            root: None,
            hits: Vec::new(),
            values: Vec::new(),
            ids: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Takes the next rows, in table order.
    pub(crate) fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let rows = Rows::read(&plan, batch, &mut self.interner)?;
        self.counts.events_scanned += batch.num_rows() as u64;
        for row in 0..batch.num_rows() {
            if self.root != Some(rows.roots[row]) {
                self.end_root()?;
                self.root = Some(rows.roots[row]);
            }
            self.take(&plan, &rows, row)?;
        }
        Ok(())
    }

    /// Judges what is left and gives everything out.
    pub(crate) fn finish(mut self) -> Result<Outcome> {
        self.end_root()?;
        let labels = Labels {
            plan: &self.plan,
            interner: &self.interner,
        };
        let groups = self
            .judge
            .groups
            .into_iter()
            .map(|(k, n)| (labels.of(&k), n))
            .collect();
        let (total, listing) = (self.judge.total, self.judge.listing);
        self.counts.without_entry = self.judge.without_entry;
        Ok(Outcome {
            total,
            groups,
            counts: self.counts,
            listing,
        })
    }

    /// Memory held, in bytes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let listed = self.judge.listing.page.len() * 256 + self.ids.capacity() * 96;
        self.hits.capacity() * size_of::<Hit>()
            + self.values.capacity() * size_of::<u32>()
            + self.interner.bytes()
            + self.judge.bytes()
            + listed
    }

    fn take(&mut self, plan: &Plan, rows: &Rows<'_>, row: usize) -> Result<()> {
        let at_us = rows.times[row];
        let (steps, outcomes) = (rows.steps[row], rows.outcomes[row]);
        let matches = steps != 0 || outcomes != 0;
        if at_us < plan.span.from_us || at_us > plan.last_us() || !rows.is_useful(row) {
            return Ok(());
        }
        if !rows.is_in_population(row) {
            self.counts.filtered_by_default += u64::from(matches);
            return Ok(());
        }
        let Some(subject) = rows.subject(row) else {
            self.counts.without_subject += u64::from(matches);
            return Ok(());
        };
        let values = u32::try_from(self.values.len()).map_err(|_| too_many())?;
        self.values
            .extend(rows.values.iter().map(|codes| codes[row]));
        let ids = match rows.ids(row).filter(|_| steps & 1 != 0) {
            Some(ids) => {
                self.ids.push(ids);
                u32::try_from(self.ids.len() - 1).map_err(|_| too_many())?
            }
            None => u32::MAX,
        };
        self.hits.push(Hit {
            subject,
            at_us,
            seq: rows.seq(row),
            event_key: rows.event_keys[row],
            steps,
            outcomes,
            exclusions: rows.exclusions[row],
            in_scope: rows.is_in_scope(row),
            is_reason: rows.is_reason(row),
            is_choice: steps != 0 || rows.is_activity(row),
            values,
            ids,
        });
        Ok(())
    }

    fn end_root(&mut self) -> Result<()> {
        let Some(root) = self.root else {
            return Ok(());
        };
        self.hits
            .sort_unstable_by_key(|h| (h.subject, h.at_us, h.seq, h.event_key));
        let labels = Labels {
            plan: &self.plan,
            interner: &self.interner,
        };
        for hits in self.hits.chunk_by(|a, b| a.subject == b.subject) {
            let subject = Subject {
                root,
                hits,
                values: &self.values,
                ids: &self.ids,
            };
            self.judge.judge(&self.plan, &subject, &labels)?;
        }
        self.hits.clear();
        self.values.clear();
        self.ids.clear();
        Ok(())
    }
}

fn too_many() -> DataFusionError {
    DataFusionError::ResourcesExhausted("one root has more than 2^32 values".to_owned())
}
