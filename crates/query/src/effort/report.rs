//! Integers of effort to answers: shares with Wilson's interval, conversion by count, percentiles.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{
    ADVISED_ACTIONS, ADVISED_CLICKS, Announced, Counted, Effort, PROMISED_US, Session, Timed,
};
use super::{
    ActiveTime, CountBar, CountMeasure, JourneyEffort, PromptEffort, Sessions, TimeMeasure,
};
use crate::answer::{Matured, Rate, null};
use crate::engine::ms;
use crate::numbers::Numbers;
use crate::report::{rate, times};

/// No event says which session it belongs to.
pub const NO_SESSION_IDS: &str = "no_session_ids";
/// Nobody has what is counted: no step with an index was viewed, or nobody was prompted.
pub const NOTHING_TO_COUNT: &str = "nothing_to_count";

/// There is no advice or promise to hold it against.
pub const NOTHING_ADVISED: &str = "nothing_advised";

/// The effort of the journeys of one segment.
pub(crate) fn journeys(key: BTreeMap<String, String>, numbers: &Numbers) -> JourneyEffort {
    let effort = effort(numbers);
    let active = |announced: Announced| time(&effort.active[announced as usize], true);
    JourneyEffort {
        key,
        matured: matured(numbers),
        clicks: counted(&effort.clicks, Some(ADVISED_CLICKS)),
        clicks_counted: effort.clicks_counted,
        clicks_from_events: effort.clicks_from_events,
        back_steps: counted(&effort.back_steps, None),
        active: ActiveTime {
            announced: active(Announced::Shown),
            not_announced: active(Announced::NotShown),
            unknown: active(Announced::Unknown),
            counted: effort.active_counted,
            from_events: effort.active_from_events,
        },
        idle: time(&effort.idle, false),
    }
}

/// The effort before the first prompt of the companies of one segment.
pub(crate) fn prompts(key: BTreeMap<String, String>, numbers: &Numbers) -> PromptEffort {
    let effort = effort(numbers);
    let of = |session: Session| effort.sessions[session as usize];
    let sessions = Sessions {
        first: of(Session::First),
        later: of(Session::Later),
        unknown: of(Session::Unknown),
        not_linked: of(Session::NotLinked),
    };
    let all = matured(numbers);
    let known = sessions.first + sessions.later + sessions.not_linked;
    let no_ids = sessions.unknown > 0 && sessions.first + sessions.later == 0;
    PromptEffort {
        key,
        matured: all,
        never_prompted: effort.never_prompted,
        actions: counted(&effort.actions, Some(ADVISED_ACTIONS)),
        actions_counted: effort.actions_counted,
        actions_from_events: effort.actions_from_events,
        delay: time(&effort.delay, false),
        linked_in_first_session: match no_ids {
            true => Rate::none(NO_SESSION_IDS),
            false => rate(sessions.first, known, null::NOT_MATURED),
        },
        linked_in_window: rate(all.converted, all.entered, null::NOT_MATURED),
        sessions,
    }
}

fn effort(numbers: &Numbers) -> &Effort {
    numbers.effort.as_deref().expect("the plan asks for effort")
}

fn matured(numbers: &Numbers) -> Matured {
    Matured {
        entered: numbers.tally.matured_entered,
        converted: numbers.tally.matured_converted,
    }
}

fn counted(counted: &Counted, advised: Option<u64>) -> CountMeasure {
    let sum = |side: &BTreeMap<u64, u64>| side.values().sum::<u64>();
    let (linked, not_linked) = (sum(&counted.linked), sum(&counted.not_linked));
    let within = |side: &BTreeMap<u64, u64>| -> u64 {
        let inside = |(count, subjects): (&u64, &u64)| {
            advised
                .is_some_and(|most| *count <= most)
                .then_some(*subjects)
        };
        side.iter().filter_map(inside).sum()
    };
    let share = |part: u64, whole: u64| match advised {
        Some(_) => rate(part, whole, NOTHING_TO_COUNT),
        None => Rate::none(NOTHING_ADVISED),
    };
    let (linked_within, not_within) = (within(&counted.linked), within(&counted.not_linked));
    CountMeasure {
        advised_at_most: advised,
        linked,
        not_linked,
        within_advice: share(linked_within + not_within, linked + not_linked),
        linked_within_advice: share(linked_within, linked),
        not_linked_within_advice: share(not_within, not_linked),
        by_count: bars(counted),
    }
}

fn bars(counted: &Counted) -> Vec<CountBar> {
    let counts: BTreeSet<u64> = counted
        .linked
        .keys()
        .chain(counted.not_linked.keys())
        .copied()
        .collect();
    let of = |side: &BTreeMap<u64, u64>, count| side.get(&count).copied().unwrap_or_default();
    let bar = |count| {
        let (linked, not_linked) = (of(&counted.linked, count), of(&counted.not_linked, count));
        CountBar {
            count,
            linked,
            not_linked,
            rate: rate(linked, linked + not_linked, NOTHING_TO_COUNT),
        }
    };
    counts.into_iter().map(bar).collect()
}

fn time(timed: &Timed, is_promised: bool) -> TimeMeasure {
    let (linked, not_linked) = (timed.linked.count(), timed.not_linked.count());
    let share = |part, whole| match is_promised {
        true => rate(part, whole, NOTHING_TO_COUNT),
        false => Rate::none(NOTHING_ADVISED),
    };
    TimeMeasure {
        promised_at_most_ms: is_promised.then(|| ms(PROMISED_US.cast_signed())),
        linked,
        not_linked,
        rate: rate(linked, linked + not_linked, NOTHING_TO_COUNT),
        linked_ms: times(&timed.linked),
        not_linked_ms: times(&timed.not_linked),
        linked_within_promise: share(timed.linked_within, linked),
        not_linked_within_promise: share(timed.not_linked_within, not_linked),
    }
}
