//! Hot rows: sealed, visible, not yet committed.

use std::sync::{Arc, OnceLock};

use arrow::record_batch::RecordBatch;
use linkfunnel_model::Goal;

use crate::file::{Contents, RowKind};
use crate::order::{Places, Survey};
use crate::position::{HotSegment, StreamPartition};
use crate::source_ids::{SourceGatherer, SourceIds};

/// The visible rows of a segment: those with `after < offset ≤ until`.
#[derive(Debug)]
pub(crate) struct HotRows {
    pub(crate) segment: Arc<HotSegment>,
    /// Offsets up to here are committed.
    pub(crate) after: i64,
    /// For views of the past: offsets beyond were not visible then.
    pub(crate) until: i64,
    /// Bounds of the segment's events and rejects, to leave it out of a scan.
    events: Contents,
    rejects: Contents,
    /// What the whole segment says about ids, by goal, once somebody has asked.
    ids: Arc<[OnceLock<Arc<SourceIds>>; 2]>,
}

impl HotRows {
    pub(crate) fn new(segment: Arc<HotSegment>, after: i64) -> Self {
        let survey = |batch: &RecordBatch, kind| {
            let mut survey = Survey::default();
            survey.add(batch, kind);
            survey.finish(false, 0)
        };
        HotRows {
            after,
            until: i64::MAX,
            events: survey(&segment.events, RowKind::Event),
            rejects: survey(&segment.rejects, RowKind::Reject),
            ids: Arc::default(),
            segment,
        }
    }

    /// The same rows with other bounds; `None` when none are left.
    pub(crate) fn within(&self, after: i64, until: i64) -> Option<Self> {
        let (after, until) = (after.max(self.after), until.min(self.until));
        let segment = &self.segment;
        (after < segment.last && until >= segment.first && after < until).then(|| HotRows {
            segment: Arc::clone(segment),
            after,
            until,
            events: self.events.clone(),
            rejects: self.rejects.clone(),
            ids: Arc::clone(&self.ids),
        })
    }

    /// What the rows that are visible or committed say about the ids on ways to a goal.
    pub(crate) fn ids(&self, goal: Goal) -> Arc<SourceIds> {
        let gather = |until: i64| {
            let batch = &self.segment.events;
            let offsets = Places::of(batch, RowKind::Event);
            let mut gatherer = SourceGatherer::new(goal);
            gatherer.add(batch, |row| offsets.offset(row) <= until);
            Arc::new(gatherer.finish())
        };
        if self.until < self.segment.last {
            return gather(self.until);
        }
        Arc::clone(self.ids[goal as usize].get_or_init(|| gather(i64::MAX)))
    }

    pub(crate) fn at(&self) -> &StreamPartition {
        &self.segment.at
    }

    /// The last visible offset.
    pub(crate) fn last(&self) -> i64 {
        self.segment.last.min(self.until)
    }

    pub(crate) fn batch(&self, kind: RowKind) -> &RecordBatch {
        match kind {
            RowKind::Event => &self.segment.events,
            RowKind::Reject => &self.segment.rejects,
        }
    }

    pub(crate) fn contents(&self, kind: RowKind) -> &Contents {
        match kind {
            RowKind::Event => &self.events,
            RowKind::Reject => &self.rejects,
        }
    }

    /// Events of the segment (visible or not: for metrics).
    pub(crate) fn events(&self) -> usize {
        self.segment.events.num_rows()
    }

    pub(crate) fn rejects(&self) -> usize {
        self.segment.rejects.num_rows()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.segment.bytes()
    }
}
