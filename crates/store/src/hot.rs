//! Hot rows: sealed, visible, not yet committed.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::file::{Contents, RowKind};
use crate::order::Survey;
use crate::position::{HotSegment, StreamPartition};

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
        })
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
