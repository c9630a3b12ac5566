//! What experiments measured lately: a result that is looked at again in the same view is not measured again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::plan::Evidence;
use super::report::Found;
use crate::numbers::Counts;

/// Measurements that are kept; each is some kilobytes a segment and day.
const KEPT: usize = 16;

/// What all lanes of an experiment found in one view.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) found: Vec<Found>,
    pub(crate) evidence: Evidence,
    /// Of the first lane; events scanned by all.
    pub(crate) counts: Counts,
    pub(crate) split_ids: u64,
}

/// The newest measurements, the one looked at last first.
#[derive(Debug, Default)]
pub(crate) struct Measurements(Mutex<VecDeque<(String, Arc<Measured>)>>);

impl Measurements {
    pub(crate) fn get(&self, key: &str) -> Option<Arc<Measured>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == key)?;
        let found = kept.remove(at)?;
        let measured = Arc::clone(&found.1);
        kept.push_front(found);
        Some(measured)
    }

    pub(crate) fn keep(&self, key: String, measured: Arc<Measured>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((key, measured));
        kept.truncate(KEPT);
    }
}
