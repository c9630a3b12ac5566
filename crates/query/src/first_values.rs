//! Events that serve nothing but the first value of some dimension (semantics rule 17: the category, say), and come too early
//! or too late for it. Most events of a table are of this kind: hourly syncs long after a link name its category too.

use linkfunnel_funnel::Entries;
use linkfunnel_model::Attribution;

use crate::columns::ABSENT;
use crate::judge::Hit;
use crate::plan::Plan;
use crate::rows::Rows;

/// What the rows of one root that passed by say of the first values of its subjects.
#[derive(Debug)]
pub(crate) struct FirstValues {
    /// Sources of the dimensions of which the first value counts; empty where every useful event is kept.
    sources: Vec<usize>,
    begins: u64,
    window_us: i64,
    /// Whether a subject has one clock, so that what is said after its start is said.
    has_one_clock: bool,
    /// The latest event that begins an entry: its subject and time.
    begun: Option<(i64, i64)>,
    /// The latest subject that said all these values since its clock started, and when first.
    said: Option<(i64, i64)>,
}

impl FirstValues {
    pub(crate) fn new(plan: &Plan) -> FirstValues {
        let first = plan
            .dimensions
            .iter()
            .filter(|d| d.attribution == Attribution::First);
        // Under `best` a window may begin anywhere; the others look at events for themselves.
        let keeps_all = plan.rules.entries() == Entries::Best
            || plan.wanted.is_some()
            || plan.study.is_some()
            || plan.experiment.is_some();
        FirstValues {
            sources: match keeps_all {
                true => Vec::new(),
                false => first.map(|d| d.source).collect(),
            },
            begins: plan.rules.begins(),
            window_us: plan.rules.window_us(),
            has_one_clock: plan.rules.entries() == Entries::Cohort,
            begun: None,
            said: None,
        }
    }

    /// Before the rows of another root.
    pub(crate) fn forget(&mut self) {
        (self.begun, self.said) = (None, None);
    }

    /// Takes note of an event that is kept; rows of a root come in the order of time. Where subjects are not known yet they
    /// are all one here, and what that one said is not asked.
    pub(crate) fn see(&mut self, hit: &Hit, values: &[u32]) {
        if self.sources.is_empty() {
            return;
        }
        if hit.steps & self.begins != 0 {
            self.begun = Some((hit.subject, hit.at_us));
        }
        let is_of = |known: Option<(i64, i64)>| known.is_some_and(|(who, _)| who == hit.subject);
        let tells = |source: &usize| values[hit.values as usize + source] != ABSENT;
        if is_of(self.begun) && !is_of(self.said) && self.sources.iter().all(tells) {
            self.said = Some((hit.subject, hit.at_us));
        }
    }

    /// Whether an event cannot be the first to tell a value of its subject, and serves nothing else. `subject`: none while
    /// it is not known.
    pub(crate) fn can_do_without(&self, rows: &Rows<'_>, row: usize, subject: Option<i64>) -> bool {
        if self.sources.is_empty() || !rows.is_for_first_values(row) {
            return false;
        }
        let at_us = rows.times[row];
        let is_in_window =
            |(_, begun_us): (i64, i64)| at_us.saturating_sub(begun_us) <= self.window_us;
        if !self.begun.is_some_and(is_in_window) && !rows.may_begin_at(row, self.begins) {
            return true;
        }
        let is_said = |(who, said_us)| Some(who) == subject && said_us < at_us;
        self.has_one_clock && self.said.is_some_and(is_said)
    }
}
