//! Which subjects stand behind a number, and the page of them that is shown.
//!
//! The list is in the order (root, subject, segment), so a page starts where the one before ended,
//! whatever the partitions.

use std::sync::Arc;

use linkfunnel_funnel::{Entry, State};

use crate::error::{Error, Result};
use crate::numbers::Reason;
use crate::question::Show;

/// What to list.
#[derive(Debug, Clone)]
pub(crate) struct ListPlan {
    pub(crate) show: Show,
    /// Index of the step.
    pub(crate) step: Option<usize>,
    /// Index of the outcome.
    pub(crate) outcome: Option<usize>,
    pub(crate) matured: bool,
    /// Clock starts from here, to before there.
    pub(crate) entered_us: Option<(i64, i64)>,
    /// The segment's label per dimension of the breakdown; empty for the total.
    pub(crate) segment: Segment,
    pub(crate) after: Option<Place>,
    pub(crate) limit: usize,
}

/// Which segment is listed.
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    /// Everybody, once.
    Total,
    /// Everybody under each of their labels.
    Each,
    /// Those under this label.
    Labels(Vec<Arc<str>>),
    /// Those under one of these labels.
    OneOf(Vec<Vec<Arc<str>>>),
    /// Those under none of these labels (`(other)`).
    NoneOf(Vec<Vec<Arc<str>>>),
}

/// Place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) root: i64,
    pub(crate) subject: i64,
    /// Which of the subject's segments.
    pub(crate) index: u32,
}

impl Place {
    pub(crate) fn text(self) -> String {
        format!("{}.{}.{}", self.root, self.subject, self.index)
    }

    pub(crate) fn parse(text: &str) -> Result<Place> {
        let mut parts = text.split('.');
        let mut next = || parts.next()?.parse::<i64>().ok();
        let place = (|| {
            let (root, subject, index) = (next()?, next()?, next()?);
            Some(Place {
                root,
                subject,
                index: u32::try_from(index).ok()?,
            })
        })();
        place
            .filter(|_| parts.next().is_none())
            .ok_or_else(|| Error::bad("bad_cursor", "/cursor", "this is not a cursor"))
    }
}

/// One listed subject, not yet in words.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) place: Place,
    pub(crate) id: String,
    pub(crate) company: Option<String>,
    pub(crate) clock_us: i64,
    pub(crate) state: State,
    pub(crate) furthest: usize,
    pub(crate) times_us: Vec<Option<i64>>,
    pub(crate) outcome: Option<usize>,
    pub(crate) labels: Vec<Arc<str>>,
    pub(crate) matured: bool,
    /// Steps before the furthest that its provider cannot show.
    pub(crate) bypassed: u64,
    /// Why it dropped, where the plan asks for reasons.
    pub(crate) reason: Option<Reason>,
}

impl Listed {
    pub(crate) fn state_word(&self) -> &'static str {
        match self.state {
            State::Converted => "converted",
            State::Dropped => "dropped",
            State::Open => "open",
        }
    }
}

/// The list of one partition: its whole length, and the first page after the cursor.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) count: u64,
    pub(crate) page: Vec<Listed>,
}

impl ListPlan {
    /// All that entered, under each label, on one page.
    pub(crate) fn everybody() -> ListPlan {
        ListPlan {
            show: Show::Entered,
            step: None,
            outcome: None,
            matured: false,
            entered_us: None,
            segment: Segment::Each,
            after: None,
            limit: usize::MAX,
        }
    }

    /// Whether the entry, which got past the steps of a mask unseen, is one of those the number counts.
    pub(crate) fn counts(&self, entry: &Entry<'_>, bypassed: u64) -> bool {
        let at_step = self.step.is_none_or(|step| entry.furthest == step);
        let shown = match self.show {
            Show::Entered => true,
            Show::Reached => self
                .step
                .is_none_or(|step| entry.reached() >> step & 1 == 1),
            Show::Bypassed => self.step.is_some_and(|step| bypassed >> step & 1 == 1),
            Show::Converted => entry.state == State::Converted,
            Show::Dropped => entry.state == State::Dropped && at_step,
            Show::Open => entry.state == State::Open && at_step,
        };
        let in_bucket = self
            .entered_us
            .is_none_or(|(from, to)| (from..to).contains(&entry.clock.us));
        shown
            && !entry.discarded
            && in_bucket
            && (!self.matured || entry.matured)
            && self
                .outcome
                .is_none_or(|outcome| entry.outcome == Some(outcome))
    }

    /// Whether the segment is the one listed.
    pub(crate) fn is_listed(&self, labels: &[Arc<str>]) -> bool {
        match &self.segment {
            Segment::Total | Segment::Each => true,
            Segment::Labels(wanted) => wanted == labels,
            Segment::OneOf(wanted) => wanted.iter().any(|other| other == labels),
            Segment::NoneOf(shown) => shown.iter().all(|other| other != labels),
        }
    }

    /// Whether an item at this place is on the page, given how many are.
    pub(crate) fn is_on_page(&self, place: Place, so_far: usize) -> bool {
        so_far <= self.limit && self.after.is_none_or(|after| place > after)
    }
}

impl Listing {
    /// Adds the list of another partition.
    pub(crate) fn merge(&mut self, other: Listing) {
        self.count += other.count;
        self.page.extend(other.page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nonsense_is_refused() {
        let place = Place {
            root: i64::MIN,
            subject: -7,
            index: 3,
        };
        assert_eq!(Place::parse(&place.text()).unwrap(), place);
        for text in ["", "1.2", "1.2.3.4", "a.b.c", "1.2.-3"] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }
}
