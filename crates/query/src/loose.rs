//! Events that name no journey, while a question hopes that those that matter all do.
//!
//! Such an event that takes a step or is an outcome always matters. Any other can only matter inside
//! the window of an entry of its root; and one that is useful for nothing but the first value of some
//! dimension does not where the journey has said a value before, or says the same one first. An
//! invitation or a sync without a journey, beside journeys whose own events say all, changes nothing.

use linkfunnel_funnel::Entries;
use linkfunnel_model::Attribution;

use crate::columns::ABSENT;
use crate::judge::Hit;
use crate::plan::Plan;

/// A useful event that takes no step, is no outcome and names no journey.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loose {
    pub(crate) at_us: i64,
    /// Where its values begin.
    pub(crate) values: u32,
    /// Whether it is useful for the first value of some dimension and for nothing else.
    pub(crate) for_first_values: bool,
}

/// Whether one of the loose events may change what the journeys of its root count as. `hits`: theirs,
/// journey by journey in order; `values`: of both.
pub(crate) fn may_matter(plan: &Plan, hits: &[Hit], loose: &[Loose], values: &[u32]) -> bool {
    let window_us = plan.rules.window_us();
    // an entry that begins outside the window may still win
    let anywhere = plan.rules.entries() == Entries::Best;
    let begins = |hit: &&Hit| hit.steps & plan.rules.begins() != 0;
    // a journey of a cohort has one clock, that of its first entry
    let clocks = match plan.rules.entries() {
        Entries::Cohort => 1,
        Entries::Best | Entries::All => usize::MAX,
    };
    hits.chunk_by(|a, b| a.subject == b.subject).any(|journey| {
        loose.iter().any(|event| {
            let near = |hit: &&Hit| {
                let since_us = event.at_us.saturating_sub(hit.at_us);
                anywhere || (0..=window_us).contains(&since_us)
            };
            let mut entries = journey.iter().filter(begins).take(clocks).filter(near);
            if event.for_first_values && !anywhere {
                entries.any(|entry| tells_first(plan, journey, entry, event, values))
            } else {
                entries.next().is_some()
            }
        })
    })
}

/// Whether an event has another value than the one that the journey says first in the window of an entry, or than none, and
/// comes no later.
fn tells_first(plan: &Plan, journey: &[Hit], entry: &Hit, event: &Loose, values: &[u32]) -> bool {
    let window_us = plan.rules.window_us();
    let first = plan
        .dimensions
        .iter()
        .filter(|d| d.attribution == Attribution::First);
    let value = |at: u32, source: usize| values[at as usize + source];
    let in_window =
        |hit: &&Hit| hit.at_us >= entry.at_us && hit.at_us.saturating_sub(entry.at_us) <= window_us;
    first.into_iter().any(|dimension| {
        let source = dimension.source;
        let told = value(event.values, source);
        let says = |hit: &&Hit| value(hit.values, source) != ABSENT;
        let said = journey.iter().filter(in_window).find(says);
        told != ABSENT
            && said.is_none_or(|hit| hit.at_us >= event.at_us && value(hit.values, source) != told)
    })
}
