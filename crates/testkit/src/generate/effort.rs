//! What linking costs people: actions before they are asked, clicks and time on the way, steps back, what is filled in for
//! them, calls. Counted from the events that count by default, as each field says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalog::REASONS;
use super::dice::{DAY, MINUTE};
use super::fact::{Detail, ids};
use super::funnels::{FIRST_LINK_LINKED, LINKING};
use super::naive::Told;
use super::telling::{By, Telling};
use super::what::What;

/// Nothing happens in a journey for so long: the person is elsewhere, µs.
const IDLE_US: i64 = 30 * MINUTE;

/// What linking costs people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffortTruth {
    /// Companies by their actions from sign-up to prompt: the `counters.actions` of their first `cta.shown`.
    pub actions_from_signup: BTreeMap<u64, Prompted>,
    /// Companies by their actions from landing to prompt: the same and the `counters.actions` of their `signup.completed`.
    pub actions_from_landing: BTreeMap<u64, Prompted>,
    /// Events `cta.shown`, `cta.clicked` and `cta.dismissed` by `cta.placement`.
    pub prompts: BTreeMap<String, Prompts>,
    /// Companies with a `visit.landed`.
    pub landed: u64,
    /// Of them, those that reach the step Linked of `first_link_session`.
    pub linked_in_first_session: u64,
    /// Journeys converted in `linking` by the largest `counters.clicks` of their events inside the window.
    pub clicks_of_linked: BTreeMap<u64, u64>,
    /// Journeys converted in `linking` by the largest `counters.active_ms`, in whole seconds, of their events
    /// `connection.linked` and `journey.completed` inside the window, where one says it; first by what the entry says under
    /// `messaging.time_estimate`: `true`, `false`, `(none)`.
    pub active_s_of_linked: BTreeMap<String, BTreeMap<u64, u64>>,
    /// Journeys that entered `linking` and viewed screens inside the window (`step.viewed`), by how many of those stood
    /// earlier (`step.index`) than the one viewed before; ordered by time, then `seq`.
    pub back_steps: BTreeMap<u64, u64>,
    /// Journeys that entered `linking` and have, inside the window, two events in succession 30 minutes apart or more. What
    /// becomes of the data after the link is not among them.
    pub idle_journeys: u64,
    /// Events `prefill.applied`.
    pub prefill: Prefill,
    /// Calls with somebody who helps.
    pub calls: Calls,
    /// Events `objection.recorded` by `reason.code`.
    pub objections: BTreeMap<String, u64>,
}

/// Companies that were prompted in the application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompted {
    /// How many.
    pub companies: u64,
    /// Of them, those with a `cta.clicked`.
    pub clicked: u64,
    /// Of them, those that reach the step Linked of `first_link`.
    pub linked: u64,
}

/// Prompts at one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompts {
    /// Seen.
    pub shown: u64,
    /// Clicked.
    pub clicked: u64,
    /// Waved away.
    pub dismissed: u64,
}

/// Forms filled from linked data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefill {
    /// How many.
    pub events: u64,
    /// Sum of `counters.fields_total`.
    pub fields: u64,
    /// Sum of `counters.fields_prefilled`.
    pub prefilled: u64,
}

/// Calls with somebody who helps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// Events `call.booked`.
    pub booked: u64,
    /// Events `call.held`.
    pub held: u64,
    /// Events `call.held` by `counters.duration_ms`, in whole minutes.
    pub minutes: BTreeMap<u64, u64>,
}

impl EffortTruth {
    /// Adds the events of one story.
    pub(crate) fn add_events(&mut self, tellings: &[Telling<'_>]) {
        for telling in tellings {
            match (telling.fact.what, telling.fact.detail) {
                (What::CtaShown, _) => self.prompt(telling).shown += 1,
                (What::CtaClicked, _) => self.prompt(telling).clicked += 1,
                (What::CtaDismissed, _) => self.prompt(telling).dismissed += 1,
                (What::PrefillApplied, Detail::Prefilled(fields, prefilled)) => {
                    self.prefill.events += 1;
                    self.prefill.fields += u64::from(fields);
                    self.prefill.prefilled += u64::from(prefilled);
                }
                (What::CallBooked, _) => self.calls.booked += 1,
                (What::CallHeld, Detail::Call(length_ms)) => {
                    self.calls.held += 1;
                    *self
                        .calls
                        .minutes
                        .entry(u64::from(length_ms) / 60_000)
                        .or_default() += 1;
                }
                (What::ObjectionRecorded, _) => {
                    let code = telling
                        .fact
                        .reason
                        .map_or("", |at| REASONS[usize::from(at)].code);
                    *self.objections.entry(code.to_owned()).or_default() += 1;
                }
                _ => {}
            }
        }
    }

    fn prompt(&mut self, telling: &Telling<'_>) -> &mut Prompts {
        let placement = telling.word(By::Placement).unwrap_or("(none)");
        self.prompts.entry(placement.to_owned()).or_default()
    }

    /// Adds a journey that entered `linking`. What is known by its connection alone is the data's doing, no person's.
    pub(crate) fn add_journey(&mut self, tellings: &[Telling<'_>], told: &Told) {
        let window = told.clock_us..=told.clock_us + DAY;
        let mut inside: Vec<&Telling<'_>> = tellings
            .iter()
            .filter(|telling| telling.fact.ids & (ids::JOURNEY | ids::ATTEMPT) != 0)
            .filter(|telling| window.contains(&telling.fact.at_us))
            .collect();
        inside.sort_by_key(|telling| (telling.fact.at_us, telling.fact.ordinal));
        let idles = |pair: &[&Telling<'_>]| pair[1].fact.at_us - pair[0].fact.at_us >= IDLE_US;
        self.idle_journeys += u64::from(inside.windows(2).any(idles));
        self.count_back_steps(&inside);
        if told.reached >> (LINKING.len() - 1) & 1 == 1 {
            self.count_linked(&inside, told.clock_us);
        }
    }

    fn count_back_steps(&mut self, inside: &[&Telling<'_>]) {
        let viewed: Vec<u8> = inside
            .iter()
            .filter_map(|telling| telling.screen())
            .map(|(index, _)| index)
            .collect();
        if !viewed.is_empty() {
            let back = viewed.windows(2).filter(|pair| pair[1] < pair[0]).count();
            *self.back_steps.entry(back as u64).or_default() += 1;
        }
    }

    fn count_linked(&mut self, inside: &[&Telling<'_>], clock_us: i64) {
        let clicks = inside.iter().filter_map(|telling| telling.clicks()).max();
        if let Some(clicks) = clicks {
            *self.clicks_of_linked.entry(clicks.into()).or_default() += 1;
        }
        let ends = [What::ConnectionLinked, What::JourneyCompleted];
        let active_ms = inside
            .iter()
            .filter(|telling| ends.contains(&telling.fact.what))
            .filter_map(|telling| match telling.fact.detail {
                Detail::Effort(effort) => Some(effort.active_ms),
                _ => None,
            })
            .max();
        let entry = inside
            .iter()
            .find(|telling| telling.fact.at_us == clock_us && telling.fact.what.opens());
        if let (Some(active_ms), Some(entry)) = (active_ms, entry) {
            let promised = entry.word(By::Message(4)).unwrap_or("(none)");
            let histogram = self
                .active_s_of_linked
                .entry(promised.to_owned())
                .or_default();
            *histogram.entry(u64::from(active_ms) / 1_000).or_default() += 1;
        }
    }

    /// Adds a company whose arrival was seen, with all its events; what became of it in `first_link` and in
    /// `first_link_session`.
    pub(crate) fn add_company(
        &mut self,
        tellings: &[Telling<'_>],
        first_link: Option<&Told>,
        in_one_session: Option<&Told>,
    ) {
        let linked = |told: &Told| told.reached >> FIRST_LINK_LINKED & 1 == 1;
        self.count_actions(tellings, first_link.is_some_and(linked));
        if let Some(told) = in_one_session {
            self.landed += 1;
            self.linked_in_first_session += u64::from(linked(told));
        }
    }

    fn count_actions(&mut self, tellings: &[Telling<'_>], linked: bool) {
        let first = |what: What| {
            tellings
                .iter()
                .filter(|telling| telling.fact.what == what)
                .min_by_key(|telling| telling.fact.at_us)
        };
        let actions = |telling: &Telling<'_>| match telling.fact.detail {
            Detail::Actions(actions) => u64::from(actions),
            _ => 0,
        };
        let (Some(shown), Some(signup)) = (first(What::CtaShown), first(What::SignupCompleted))
        else {
            return;
        };
        let clicked = first(What::CtaClicked).is_some();
        let (from_signup, before) = (actions(shown), actions(signup));
        for (counts, actions) in [
            (&mut self.actions_from_signup, from_signup),
            (&mut self.actions_from_landing, from_signup + before),
        ] {
            let prompted = counts.entry(actions).or_default();
            prompted.companies += 1;
            prompted.clicked += u64::from(clicked);
            prompted.linked += u64::from(linked);
        }
    }
}
