//! What experiments measured lately: as long as there are no new rows, no window ends and no day begins, a result that is
//! looked at again is not measured again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::lanes::{LaneOf, Lanes};
use super::plan::Evidence;
use super::report::Found;
use crate::numbers::Counts;

/// Measurements that are kept; each is some kilobytes a segment and day.
const KEPT: usize = 16;

/// What all lanes of an experiment found in one view.
#[derive(Debug)]
pub(crate) struct AllMeasured {
    pub(crate) found: Vec<Found>,
    pub(crate) evidence: Evidence,
    /// For which watermarks it holds, µs: from the one it was measured at, to before the one at which something may change.
    pub(crate) at_us: i64,
    pub(crate) until_us: i64,
    /// Of the first lane; events scanned by all.
    pub(crate) counts: Counts,
    pub(crate) split_ids: u64,
}

impl AllMeasured {
    /// The first watermark at which another measurement could find something else: the next, while some window runs, since
    /// what is open is known up to the watermark, and while subjects finer than the unit may still enter; else where an
    /// exposure lies ahead, as far as was read, or a new day begins.
    pub(crate) fn holds_until(&self, of: &LaneOf<'_>, lanes: &Lanes) -> i64 {
        let odds = || self.found.iter().map(|found| found.tally.odd);
        if odds().any(|odd| odd.open > 0) {
            return self.at_us.saturating_add(1);
        }
        let windows = || lanes.lanes.iter().map(|lane| lane.funnel.window.us());
        let after =
            |at_us: i64, window_us: Option<i64>| at_us.saturating_add(window_us.unwrap_or(0));
        let ended_us = of.checked.end_us.filter(|end_us| *end_us <= self.at_us);
        let is_over = ended_us.is_some_and(|end_us| after(end_us, windows().max()) <= self.at_us);
        if !is_over && lanes.lanes.iter().any(|lane| !lane.from_exposure) {
            return self.at_us.saturating_add(1);
        }
        let ahead_us = odds().filter_map(|odd| odd.ahead_us).min();
        if ended_us.is_some() {
            return ahead_us.unwrap_or(i64::MAX);
        }
        let read_us = after(self.at_us, windows().min());
        let plans = self
            .found
            .iter()
            .filter_map(|found| found.plan.experiment.as_ref());
        let days = plans.filter_map(|plan| plan.days.last().map(|day| day.end_us));
        days.chain(ahead_us).fold(read_us, i64::min)
    }
}

/// The newest measurements, the one looked at last first.
#[derive(Debug, Default)]
pub(crate) struct Measurements(Mutex<VecDeque<(String, Arc<AllMeasured>)>>);

impl Measurements {
    /// What was measured under this key and holds at this watermark.
    pub(crate) fn get(&self, key: &str, watermark_us: i64) -> Option<Arc<AllMeasured>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |of: &AllMeasured| (of.at_us..of.until_us).contains(&watermark_us);
        let mut all = kept.iter();
        let at = all.position(|(known, measured)| known == key && holds(measured))?;
        let found = kept.remove(at)?;
        let measured = Arc::clone(&found.1);
        kept.push_front(found);
        Some(measured)
    }

    pub(crate) fn keep(&self, key: String, measured: Arc<AllMeasured>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((key, measured));
        kept.truncate(KEPT);
    }
}
