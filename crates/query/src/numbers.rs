//! The integers of an answer: per segment, per interval, and what was left out. They merge exactly.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use linkfunnel_funnel::{Entry, Rules, State, Tally};

use crate::effort::{Effort, Facts};
use crate::experiment::ExperimentTally;
use crate::gather::Gathered;
use crate::list::Listing;
use crate::operator::{MAX_SEGMENTS, SegmentLimit};
use crate::plan::Plan;
use crate::study::{Found, Study};
use crate::trend::bucket_of;

/// Counts of one interval of the trend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BucketCounts {
    pub(crate) entered: u64,
    pub(crate) converted: u64,
    pub(crate) dropped: u64,
    pub(crate) open: u64,
    pub(crate) matured_entered: u64,
    pub(crate) matured_converted: u64,
}

/// Why a subject stopped, as its event says; absent what it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Reason {
    /// Index of the furthest step.
    pub(crate) step: usize,
    pub(crate) class: Option<Arc<str>>,
    pub(crate) code: Option<Arc<str>>,
    pub(crate) attribution: Option<Arc<str>>,
    pub(crate) recoverable: Option<bool>,
}

/// The counts of one segment, or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) tally: Tally,
    pub(crate) trend: Vec<BucketCounts>,
    /// Of the matured, where effort is asked for.
    pub(crate) effort: Option<Box<Effort>>,
    /// Of the dropped, where reasons are asked for.
    pub(crate) reasons: HashMap<Reason, u64>,
    /// Converted subjects by time from entry, exact: one count before, between and after the plan's edges; empty without.
    pub(crate) bins: Vec<u64>,
}

/// What an answer says about the events it left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) events_scanned: u64,
    pub(crate) without_subject: u64,
    pub(crate) without_entry: u64,
    pub(crate) filtered_by_default: u64,
}

/// What comes out of one partition, or of all once merged.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) total: Numbers,
    pub(crate) groups: HashMap<Vec<Arc<str>>, Numbers>,
    pub(crate) counts: Counts,
    /// The ids of the subjects counted under a company, once for each company.
    pub(crate) of_companies: Vec<i64>,
    pub(crate) listing: Listing,
    /// The subject that is shown, under each of its roots.
    pub(crate) gathered: Vec<Gathered>,
    pub(crate) found: Found,
    /// Set when an experiment's units were measured.
    pub(crate) experiment: Option<ExperimentTally>,
    /// The roots of which nothing was counted, because journeys have to be found for them.
    pub(crate) unresolved: Vec<i64>,
}

impl Numbers {
    pub(crate) fn new(plan: &Plan) -> Numbers {
        Numbers {
            tally: Tally::new(&plan.rules, plan.times),
            trend: vec![BucketCounts::default(); plan.buckets.len()],
            effort: match plan.study {
                Some(Study::Effort(_)) => Some(Box::default()),
                _ => None,
            },
            reasons: HashMap::new(),
            bins: vec![0; plan.edges_us.as_ref().map_or(0, |edges| edges.len() + 1)],
        }
    }

    /// Counts an entry found by `rules` (the plan's, or what its provider can show of them).
    pub(crate) fn update(
        &mut self,
        plan: &Plan,
        rules: &Rules,
        entry: &Entry<'_>,
        reason: Option<Reason>,
    ) {
        self.tally.update(rules, entry);
        if let (Some(edges), Some(time_us)) = (&plan.edges_us, converted_after_us(entry)) {
            self.bins[edges.partition_point(|edge| *edge <= time_us)] += 1;
        }
        if let Some(reason) = reason {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// Counts what the way of an entry took.
    pub(crate) fn update_effort(&mut self, facts: Option<&Facts>) {
        if let (Some(effort), Some(facts)) = (&mut self.effort, facts) {
            effort.update(facts);
        }
    }

    /// Counts an entry in the interval in which its clock started, or in the one given.
    pub(crate) fn update_trend(&mut self, plan: &Plan, entry: &Entry<'_>, bucket: Option<usize>) {
        let bucket = bucket.or_else(|| bucket_of(&plan.buckets, entry.clock.us));
        if let Some(bucket) = bucket.filter(|_| !entry.discarded) {
            self.trend[bucket].update(entry);
        }
    }

    pub(crate) fn merge(&mut self, other: &Numbers) {
        self.tally.merge(&other.tally);
        if let (Some(mine), Some(more)) = (&mut self.effort, &other.effort) {
            mine.merge(more);
        }
        for (mine, more) in self.trend.iter_mut().zip(&other.trend) {
            mine.entered += more.entered;
            mine.converted += more.converted;
            mine.dropped += more.dropped;
            mine.open += more.open;
            mine.matured_entered += more.matured_entered;
            mine.matured_converted += more.matured_converted;
        }
        for (mine, more) in self.bins.iter_mut().zip(&other.bins) {
            *mine += more;
        }
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }
}

/// Time from entry to conversion, µs; `None` of those that did not, or do not count.
fn converted_after_us(entry: &Entry<'_>) -> Option<u64> {
    let counts = entry.state == State::Converted && !entry.discarded;
    counts
        .then(|| entry.from_entry_us(entry.furthest))
        .flatten()
}

impl BucketCounts {
    fn update(&mut self, entry: &Entry<'_>) {
        self.entered += 1;
        self.matured_entered += u64::from(entry.matured);
        match entry.state {
            State::Converted => {
                self.converted += 1;
                self.matured_converted += u64::from(entry.matured);
            }
            State::Dropped => self.dropped += 1,
            State::Open => self.open += 1,
        }
    }
}

impl Outcome {
    pub(crate) fn new(plan: &Plan) -> Outcome {
        Outcome {
            total: Numbers::new(plan),
            groups: HashMap::new(),
            counts: Counts::default(),
            of_companies: Vec::new(),
            listing: Listing::default(),
            gathered: Vec::new(),
            found: Found::default(),
            experiment: None,
            unresolved: Vec::new(),
        }
    }

    /// How many ids of counted subjects stand under more than one company.
    pub(crate) fn split_ids(&mut self) -> u64 {
        self.of_companies.sort_unstable();
        let same = self.of_companies.chunk_by(|a, b| a == b);
        same.filter(|companies| companies.len() > 1).count() as u64
    }

    /// Adds what came out of another partition.
    pub(crate) fn merge(&mut self, other: Outcome) -> datafusion::error::Result<()> {
        self.total.merge(&other.total);
        for (key, numbers) in other.groups {
            match self.groups.get_mut(&key) {
                Some(mine) => mine.merge(&numbers),
                None => drop(self.groups.insert(key, numbers)),
            }
        }
        self.counts.events_scanned += other.counts.events_scanned;
        self.counts.without_subject += other.counts.without_subject;
        self.counts.without_entry += other.counts.without_entry;
        self.counts.filtered_by_default += other.counts.filtered_by_default;
        if self.of_companies.is_empty() {
            self.of_companies = other.of_companies;
        } else {
            self.of_companies.extend(other.of_companies);
        }
        self.listing.merge(other.listing);
        self.gathered.extend(other.gathered);
        self.unresolved.extend(other.unresolved);
        self.found.merge(other.found)?;
        match (&mut self.experiment, other.experiment) {
            (Some(mine), Some(more)) => mine.merge(more)?,
            (mine @ None, more) => *mine = more,
            (Some(_), None) => {}
        }
        if self.groups.len() > MAX_SEGMENTS {
            Err(DataFusionError::External(Box::new(SegmentLimit)))
        } else {
            Ok(())
        }
    }
}
