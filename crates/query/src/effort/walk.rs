//! What one subject's way took, read off its events once the matcher has said where the way begins and ends.
//!
//! What a client counts runs on inside the journey (`counters.clicks`, `counters.active_ms`): the greatest inside the window
//! counts, so that a last count told after the link is not lost. Where no client counts, a journey's way leads from its
//! clock's start to the link, or else to the window's end, and time between two events of what a person does is active up to
//! [`IDLE_US`], idle beyond.

use std::collections::HashMap;
use std::ops::Range;

use linkfunnel_funnel::{Entry, State};
use linkfunnel_model::EventName;

use super::tally::{Announced, Facts, JourneyFacts, Prompt, PromptFacts, Session};
use crate::judge::{Labels, Subject};

/// A longer gap between two events is idle time, whole: 5 minutes, in µs.
pub const IDLE_US: i64 = 5 * 60 * 1_000_000;

/// What is looked at, and where the plan keeps it.
#[derive(Debug, Clone)]
pub(crate) struct EffortPlan {
    pub(crate) of: EffortOf,
    /// Index into the plan's sources of the event's name.
    pub(crate) event: usize,
}

/// Whose effort.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EffortOf {
    /// The way to the link. Indices into the plan's numbers, and into its sources for what was announced.
    Journey {
        clicks: usize,
        active_ms: usize,
        step_index: usize,
        time_estimate: usize,
    },
    /// The way to the first prompt. Index of its step, and into the plan's numbers.
    Prompt {
        /// The optional step that the first prompt takes.
        step: usize,
        actions: usize,
        session: usize,
    },
}

/// What an event is to the effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    /// Somebody pressed, typed or chose something.
    is_action: bool,
    /// Somebody was there: an action, or a page shown on the way.
    is_presence: bool,
    is_view: bool,
    is_signup: bool,
}

/// Kinds of events by the code of their name, once looked up.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    known: HashMap<u32, Kind>,
}

impl Kinds {
    fn of(&mut self, labels: &Labels<'_>, code: u32) -> Kind {
        *self.known.entry(code).or_insert_with(|| {
            let event = labels.text(code).and_then(EventName::parse);
            Kind {
                is_action: event.is_some_and(is_action),
                is_presence: event.is_some_and(|e| is_action(e) || is_page(e)),
                is_view: event == Some(EventName::StepViewed),
                is_signup: event == Some(EventName::SignupCompleted),
            }
        })
    }
}

impl EffortPlan {
    /// What a matured subject's way took; `None` of one that is still on it, or does not count.
    pub(crate) fn facts(
        &self,
        kinds: &mut Kinds,
        labels: &Labels<'_>,
        subject: &Subject<'_>,
        entry: &Entry<'_>,
    ) -> Option<Facts> {
        if !entry.matured || entry.discarded {
            return None;
        }
        let walk = Walk {
            subject,
            kinds: subject
                .hits
                .iter()
                .enumerate()
                .map(|(hit, _)| kinds.of(labels, subject.value(hit, self.event)))
                .collect(),
        };
        Some(match self.of {
            EffortOf::Journey {
                clicks,
                active_ms,
                step_index,
                time_estimate,
            } => {
                let window = entry.clock.window.clone();
                let counted = walk.greatest(&window, clicks);
                let active = walk.greatest(&window, active_ms);
                let (told_us, idle_us) = walk.times(&way(entry));
                let estimate = subject.value(entry.clock.row, time_estimate);
                Facts::Journey(JourneyFacts {
                    linked: entry.state == State::Converted,
                    clicks: counted.unwrap_or_else(|| walk.actions(way(entry))),
                    is_clicks_counted: counted.is_some(),
                    back_steps: walk.back_steps(&window, step_index),
                    active_us: active.map_or(told_us, |ms| ms.saturating_mul(1_000)),
                    is_active_counted: active.is_some(),
                    idle_us,
                    announced: match labels.text(estimate) {
                        Some("true") => Announced::Shown,
                        Some(_) => Announced::NotShown,
                        None => Announced::Unknown,
                    },
                })
            }
            EffortOf::Prompt {
                step,
                actions,
                session,
            } => Facts::Prompt(PromptFacts {
                linked: entry.state == State::Converted,
                prompt: entry.row(step).map(|prompt| Prompt {
                    actions: walk.actions_before(entry.clock.row, prompt, actions),
                    is_counted: subject.number(prompt, actions).is_some(),
                    delay_us: entry.from_entry_us(step).unwrap_or_default(),
                }),
                session: linked_in(subject, entry, session),
            }),
        })
    }
}

/// The events from the clock's first instant to the link, both included; to the window's end where there is none.
fn way(entry: &Entry<'_>) -> Range<usize> {
    let end = match entry.state {
        State::Converted => entry.row(entry.furthest).map(|link| link + 1),
        State::Dropped | State::Open => None,
    };
    entry.clock.window.start..end.unwrap_or(entry.clock.window.end)
}

fn linked_in(subject: &Subject<'_>, entry: &Entry<'_>, session: usize) -> Session {
    let linked = entry.row(entry.furthest);
    let Some(link) = linked.filter(|_| entry.state == State::Converted) else {
        return Session::NotLinked;
    };
    let (first, last) = (
        subject.number(entry.clock.row, session),
        subject.number(link, session),
    );
    match (first, last) {
        (Some(first), Some(last)) if first == last => Session::First,
        (Some(_), Some(_)) => Session::Later,
        _ => Session::Unknown,
    }
}

struct Walk<'w> {
    subject: &'w Subject<'w>,
    /// By hit.
    kinds: Vec<Kind>,
}

impl Walk<'_> {
    fn actions(&self, hits: Range<usize>) -> u64 {
        hits.filter(|hit| self.kinds[*hit].is_action).count() as u64
    }

    /// The greatest number that a client told.
    fn greatest(&self, hits: &Range<usize>, number: usize) -> Option<u64> {
        let told = hits
            .clone()
            .filter_map(|hit| self.subject.number(hit, number));
        told.max().map(i64::unsigned_abs)
    }

    /// Actions after the clock's start and before the prompt: what the prompt says the client counted since the sign-up, and
    /// what a sign-up on the way says it counted before; else the events that tell one.
    fn actions_before(&self, start: usize, prompt: usize, actions: usize) -> u64 {
        let Some(counted) = self.subject.number(prompt, actions) else {
            return self.actions(start + 1..prompt);
        };
        let signups = (start + 1..prompt).filter(|hit| self.kinds[*hit].is_signup);
        let before = signups.filter_map(|hit| self.subject.number(hit, actions));
        before.chain([counted]).map(i64::unsigned_abs).sum()
    }

    /// Times a step was viewed that comes before the one viewed last.
    fn back_steps(&self, way: &Range<usize>, step_index: usize) -> Option<u64> {
        let viewed = way.clone().filter(|hit| self.kinds[*hit].is_view);
        let indices: Vec<i64> = viewed
            .filter_map(|hit| self.subject.number(hit, step_index))
            .collect();
        let back = indices.windows(2).filter(|pair| pair[1] < pair[0]).count();
        (!indices.is_empty()).then_some(back as u64)
    }

    /// Active and idle µs between the events of somebody who was there.
    fn times(&self, way: &Range<usize>) -> (u64, u64) {
        let there = way.clone().filter(|hit| self.kinds[*hit].is_presence);
        let instants: Vec<i64> = there.map(|hit| self.subject.hits[hit].at_us).collect();
        let mut times = (0, 0);
        for gap in instants.windows(2).map(|pair| pair[1] - pair[0]) {
            let of_kind = if gap > IDLE_US {
                &mut times.1
            } else {
                &mut times.0
            };
            *of_kind += gap.unsigned_abs();
        }
        times
    }
}

/// Whether somebody pressed, typed or chose something. `step.completed` is not among them: most clients send it beside the
/// action that completed the step.
fn is_action(event: EventName) -> bool {
    use EventName as E;
    matches!(
        event,
        E::SignupStarted
            | E::SignupCompleted
            | E::InviteClicked
            | E::CtaClicked
            | E::CtaDismissed
            | E::HelpOpened
            | E::GuideViewed
            | E::JourneyPaused
            | E::JourneyDelegated
            | E::JourneyResumed
            | E::ExitDeclined
            | E::StepSkipped
            | E::ProviderSearched
            | E::ProviderSelected
            | E::ConsentGranted
            | E::ConsentDenied
            | E::CredentialsSubmitted
            | E::HandoffStarted
            | E::ScaPassed
            | E::AccountSelected
            | E::AttemptExited
            | E::FileUploaded
            | E::ManualEntered
            | E::ApplicationStarted
            | E::ApplicationSubmitted
    )
}

/// Whether somebody was shown a page, or came to one.
fn is_page(event: EventName) -> bool {
    use EventName as E;
    matches!(
        event,
        E::JourneyStarted
            | E::StepViewed
            | E::StepCompleted
            | E::JourneyCompleted
            | E::ExitPrompted
            | E::AttemptOpened
            | E::ProviderNotFound
            | E::ProviderUnavailable
            | E::ConsentViewed
            | E::ScaChallenged
            | E::HandoffReturned
            | E::EntityMismatchWarned
            | E::AttemptErrored
            | E::AttemptFailed
            | E::ConnectionLinked
    )
}
