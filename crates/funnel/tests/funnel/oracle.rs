//! The matcher by exhaustive search: every way to serve the steps by distinct events is tried, the best is taken by the
//! words of the rules. Obviously right and slow; shares nothing with the crate but its types.

use std::cmp::Reverse;

use linkfunnel_funnel::{
    Entries, Entry, Events, NO_VALUE, OnExclude, Order, Row, Rules, Span, State, Ties,
};

/// An entry, as far as order inside an instant may not change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) clock_us: i64,
    pub(crate) times_us: Vec<Option<i64>>,
    pub(crate) state: State,
    pub(crate) matured: bool,
    pub(crate) outcome: Option<usize>,
    pub(crate) reason_us: Option<i64>,
    pub(crate) discarded: bool,
}

impl Said {
    pub(crate) fn of(rules: &Rules, rows: &[Row], entry: &Entry<'_>) -> Said {
        Said {
            clock_us: entry.clock.us,
            times_us: (0..rules.steps().len())
                .map(|step| entry.time_us(step))
                .collect(),
            state: entry.state,
            matured: entry.matured,
            outcome: entry.outcome,
            reason_us: entry.reason.map(|row| rows[row].at_us),
            discarded: entry.discarded,
        }
    }
}

/// An event with the values it has of the fields held constant.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    row: Row,
    held: Vec<u32>,
}

fn events(rules: &Rules, given: Events<'_>) -> Vec<Event> {
    let width = rules.held();
    let held = |i: usize| given.held[i * width..(i + 1) * width].to_vec();
    let rows = given.rows.iter().enumerate();
    rows.map(|(i, row)| Event {
        row: *row,
        held: held(i),
    })
    .collect()
}

/// By step, when it was reached.
type Times = Vec<Option<i64>>;

/// One way to enter.
struct Way {
    times_us: Times,
    /// What the events of its required steps say together of the held fields.
    held: Vec<u32>,
}

/// Every entry that counts.
pub(crate) fn all(rules: &Rules, given: Events<'_>, span: &Span) -> Vec<Said> {
    let events = events(rules, given);
    if rules.entries() == Entries::Best {
        return best(rules, &events, span).into_iter().collect();
    }
    let mut said: Vec<Said> = Vec::new();
    let mut from_us = span.from_us;
    loop {
        let starts = starts(rules, &events, from_us, span.to_us);
        let Some(&clock_us) = starts.iter().min() else {
            return said;
        };
        let entry = under_clock(rules, &events, span, clock_us).expect("it begins at the clock");
        let end_us = match entry.state {
            State::Converted => entry.times_us.last().unwrap().unwrap(),
            _ => clock_us.saturating_add(rules.window_us()),
        };
        said.push(entry);
        if rules.entries() == Entries::Cohort || end_us == i64::MAX {
            return said;
        }
        from_us = end_us + 1;
    }
}

/// The cohort entry under a clock that has been set, of rows of which each fits.
pub(crate) fn within(rules: &Rules, given: Events<'_>, span: &Span, clock_us: i64) -> Option<Said> {
    under_clock(rules, &events(rules, given), span, clock_us)
}

fn since_start(events: &[Event], span: &Span) -> Vec<Event> {
    let is_after = |event: &&Event| event.row.at_us >= span.from_us;
    events.iter().filter(is_after).cloned().collect()
}

/// The entry `best` chooses.
pub(crate) fn best_of(rules: &Rules, given: Events<'_>, span: &Span) -> Option<Said> {
    best(rules, &events(rules, given), span)
}

/// When entries begin.
fn starts(rules: &Rules, events: &[Event], from_us: i64, to_us: i64) -> Vec<i64> {
    let any_step = rules.order()
        == Order::Unordered {
            first_pinned: false,
        };
    let begins = |row: &Row| match any_step {
        true => row.steps & (u64::MAX >> (64 - rules.steps().len())) != 0,
        false => row.steps & 1 == 1,
    };
    let inside = |row: &Row| from_us <= row.at_us && row.at_us < to_us;
    let rows = events.iter().map(|event| event.row);
    rows.filter(|row| begins(row) && inside(row))
        .map(|row| row.at_us)
        .collect()
}

fn since(at_us: i64, clock_us: i64) -> i128 {
    i128::from(at_us) - i128::from(clock_us)
}

fn in_window(rules: &Rules, events: &[Event], clock_us: i64) -> Vec<Event> {
    let window = i128::from(rules.window_us());
    let is_inside = |event: &&Event| (0..=window).contains(&since(event.row.at_us, clock_us));
    events.iter().filter(is_inside).cloned().collect()
}

fn under_clock(rules: &Rules, events: &[Event], span: &Span, clock_us: i64) -> Option<Said> {
    let inside = in_window(rules, events, clock_us);
    let ways: Vec<Way> = match rules.order() {
        Order::Unordered { .. } => starts(rules, &inside, i64::MIN, i64::MAX)
            .into_iter()
            .filter_map(|start_us| any_order(rules, &inside, start_us))
            .collect(),
        _ => in_order(rules, &inside),
    };
    let best = ways.iter().min_by_key(|way| rank(rules, &inside, way))?;
    Some(judge(rules, &inside, span, clock_us, best, &[clock_us]))
}

fn best(rules: &Rules, events: &[Event], span: &Span) -> Option<Said> {
    let starts = starts(rules, events, span.from_us, span.to_us);
    let after = since_start(events, span);
    let inside = |start_us| in_window(rules, &after, start_us);
    let entered = |&start_us: &i64| -> Vec<Way> {
        let inside = inside(start_us);
        match rules.order() {
            Order::Unordered { .. } => any_order(rules, &inside, start_us).into_iter().collect(),
            _ => in_order(rules, &inside)
                .into_iter()
                .filter(|way| way.times_us[0] == Some(start_us))
                .collect(),
        }
    };
    let ways: Vec<Way> = starts.iter().flat_map(entered).collect();
    let of = |way: &Way| inside(way.times_us[0].unwrap());
    let best = ways.iter().min_by_key(|way| rank(rules, &of(way), way))?;
    let clock_us = best.times_us[0].unwrap();
    Some(judge(rules, &of(best), span, clock_us, best, &starts))
}

/// Furthest, earliest completion, earliest entry, earliest time at each required step in turn, most optional steps (earlier
/// ones first), each as early as can be, not discarded. Less is better.
fn rank(rules: &Rules, inside: &[Event], way: &Way) -> impl Ord + use<> {
    let times = &way.times_us;
    let required: Vec<i64> = rules.required().iter().map_while(|&s| times[s]).collect();
    let reached: Vec<bool> = times.iter().map(Option::is_some).collect();
    (
        Reverse(required.len()),
        required.last().copied(),
        required,
        Reverse(reached),
        times.clone(),
        discards(rules, inside, way),
    )
}

/// Both together, if they agree wherever both have a value.
fn join(a: &[u32], b: &[u32]) -> Option<Vec<u32>> {
    let one = |(&a, &b): (&u32, &u32)| match (a, b) {
        (NO_VALUE, b) => Some(b),
        (a, NO_VALUE) => Some(a),
        (a, b) => (a == b).then_some(a),
    };
    a.iter().zip(b).map(one).collect()
}

/// Every ordered way, optional steps added.
fn in_order(rules: &Rules, events: &[Event]) -> Vec<Way> {
    let mut chains = vec![];
    let nothing = vec![NO_VALUE; rules.held()];
    chains_from(rules, events, &mut vec![], &nothing, &mut chains);
    // Only the best required times matter to the optional steps; all of them would be too many.
    let required = |(chain, _): &Chain| {
        let times = chain.iter().map(|&event| events[event].row.at_us);
        let times: Vec<i64> = times.collect();
        (Reverse(times.len()), times.last().copied(), times)
    };
    let by_entry = |(chain, _): &Chain| chain.first().map(|&event| events[event].row.at_us);
    let mut ways = vec![];
    let mut entries: Vec<Option<i64>> = chains.iter().map(by_entry).collect();
    entries.sort();
    entries.dedup();
    for entry in entries {
        let begun = || chains.iter().filter(|chain| by_entry(chain) == entry);
        let best = begun().map(required).min();
        let chosen = begun().filter(|chain| Some(required(chain)) == best);
        ways.extend(chosen.flat_map(|chain| with_optional(rules, events, chain)));
    }
    ways
}

/// Events for the required steps in turn, and what they say together of the held fields.
type Chain = (Vec<usize>, Vec<u32>);

/// Every chain of every length that nothing stands in the way of.
fn chains_from(
    rules: &Rules,
    events: &[Event],
    chain: &mut Vec<usize>,
    held: &[u32],
    found: &mut Vec<Chain>,
) {
    let Some(&step) = rules.required().get(chain.len()) else {
        return;
    };
    for next in 0..events.len() {
        let takes = events[next].row.steps >> step & 1 == 1;
        let follows = |&last: &usize| may_follow(rules, events, chain.len(), last, next);
        if !takes || chain.contains(&next) || !chain.last().is_none_or(follows) {
            continue;
        }
        if let Some(held) = join(held, &events[next].held) {
            chain.push(next);
            if is_free(rules, events, chain, &held) {
                found.push((chain.clone(), held.clone()));
            }
            chains_from(rules, events, chain, &held, found);
            chain.pop();
        }
    }
}

fn may_follow(rules: &Rules, events: &[Event], level: usize, last: usize, next: usize) -> bool {
    let step = rules.required()[level];
    let (last_us, next_us) = (events[last].row.at_us, events[next].row.at_us);
    let gap = since(next_us, last_us);
    let rule = rules.steps()[step];
    let too_near = gap < i128::from(rule.min_gap_us.unwrap_or(0))
        || (rules.ties() == Ties::StrictIncrease && gap == 0);
    let too_far = rule.max_gap_us.is_some_and(|max| gap > i128::from(max));
    !too_near && !too_far
}

/// Whether no event that agrees with what the chain holds stands between two of its steps.
fn is_free(rules: &Rules, events: &[Event], chain: &[usize], held: &[u32]) -> bool {
    let mut counts = events.iter().filter(|e| join(&e.held, held).is_some());
    !counts.any(|event| {
        let mut pairs = chain.windows(2).enumerate();
        pairs.any(|(i, pair)| stands_between(rules, events, i + 1, pair[0], pair[1], &event.row))
    })
}

fn stands_between(
    rules: &Rules,
    events: &[Event],
    level: usize,
    last: usize,
    next: usize,
    row: &Row,
) -> bool {
    let (before, step) = (rules.required()[level - 1], rules.required()[level]);
    let (last_us, next_us) = (events[last].row.at_us, events[next].row.at_us);
    let is_excluded = rules.spec().on_exclude == OnExclude::Block
        && rules
            .spec()
            .exclusions
            .iter()
            .enumerate()
            .any(|(i, exclusion)| {
                row.exclusions >> i & 1 == 1
                    && exclusion.after <= before
                    && step <= exclusion.before
            });
    let takes_optional =
        |s: usize| rules.steps()[s].optional && (row.steps & !rules.bypassed()) >> s & 1 == 1;
    let is_optional = (before + 1..step).any(takes_optional);
    let breaks = rules.order() == Order::Strict && row.in_scope && !is_optional;
    last_us < row.at_us && row.at_us < next_us && (is_excluded || breaks)
}

/// Every way to add the optional steps to a chain, by events that agree with it and with each other.
fn with_optional(rules: &Rules, events: &[Event], (chain, held): &Chain) -> Vec<Way> {
    let at_us = |event: usize| events[event].row.at_us;
    let is_bypassed = |step: usize| rules.bypassed() >> step & 1 == 1;
    let mut ways: Vec<(Vec<usize>, Vec<u32>, Times)> = vec![(chain.clone(), held.clone(), vec![])];
    for (step, rule) in rules.steps().iter().enumerate() {
        let level = rules
            .required()
            .partition_point(|&required| required < step);
        let mut next = vec![];
        for (used, held, times) in ways {
            let with = |time| times.iter().copied().chain([time]).collect::<Vec<_>>();
            if is_bypassed(step) {
                next.push((used, held, with(None)));
                continue;
            }
            if !rule.optional {
                let time = chain.get(level).map(|&event| at_us(event));
                next.push((used, held, with(time)));
                continue;
            }
            let after_us = chain.get(level - 1).map(|&event| at_us(event));
            let before_us = chain.get(level).map_or(i64::MAX, |&event| at_us(event));
            for (event, candidate) in events.iter().enumerate() {
                let time = at_us(event);
                let fits = candidate.row.steps >> step & 1 == 1
                    && after_us.is_some_and(|after_us| after_us <= time && time <= before_us);
                if let Some(held) = join(&held, &candidate.held)
                    && fits
                    && !used.contains(&event)
                {
                    next.push(([&used[..], &[event]].concat(), held, with(Some(time))));
                }
            }
            next.push((used, held, with(None)));
        }
        ways = next;
    }
    let way = |(_, _, times_us)| Way {
        times_us,
        held: held.clone(),
    };
    ways.into_iter().map(way).collect()
}

/// "k of n" of the entry that begins at `start_us`: for each k the first time by which k steps have an event each.
fn any_order(rules: &Rules, events: &[Event], start_us: i64) -> Option<Way> {
    let pinned = rules.order() == (Order::Unordered { first_pinned: true });
    let after: Vec<&Event> = events.iter().filter(|e| e.row.at_us >= start_us).collect();
    let steps = rules.steps().len();
    let most_by = |last_us: i64| {
        let inside: Vec<&Event> = after
            .iter()
            .copied()
            .filter(|e| e.row.at_us <= last_us)
            .collect();
        most_served(&inside, 0, steps, &mut vec![], pinned.then_some(start_us))
    };
    let mut moments: Vec<i64> = after.iter().map(|e| e.row.at_us).collect();
    moments.sort_unstable();
    let times = (1..=steps).map(|k| moments.iter().copied().find(|&us| most_by(us) >= Some(k)));
    let way = Way {
        times_us: times.collect(),
        held: vec![],
    };
    (way.times_us[0] == Some(start_us)).then_some(way)
}

/// The most steps from `step` on that distinct events can serve, on top of those used; None where a pinned first step has none.
fn most_served(
    events: &[&Event],
    step: usize,
    steps: usize,
    used: &mut Vec<usize>,
    pinned_us: Option<i64>,
) -> Option<usize> {
    if step == steps {
        return Some(used.len());
    }
    let must = step == 0 && pinned_us.is_some();
    let mut most = match must {
        true => None,
        false => most_served(events, step + 1, steps, used, pinned_us),
    };
    for (event, row) in events.iter().map(|event| event.row).enumerate() {
        let takes = row.steps >> step & 1 == 1 && (!must || Some(row.at_us) == pinned_us);
        if takes && !used.contains(&event) {
            used.push(event);
            most = most.max(most_served(events, step + 1, steps, used, pinned_us));
            used.pop();
        }
    }
    most
}

fn judge(
    rules: &Rules,
    inside: &[Event],
    span: &Span,
    clock_us: i64,
    way: &Way,
    starts: &[i64],
) -> Said {
    let times_us = &way.times_us;
    let window = i128::from(rules.window_us());
    let is_over = |start_us: i64| {
        span.watermark_us
            .is_some_and(|watermark_us| since(watermark_us, start_us) >= window)
    };
    let converted = times_us.last().unwrap().is_some();
    let matured = is_over(*starts.iter().min().unwrap());
    let state = match (converted, is_over(*starts.iter().max().unwrap())) {
        (true, _) => State::Converted,
        (false, true) => State::Dropped,
        (false, false) => State::Open,
    };
    let happened = |outcome: &usize| inside.iter().any(|e| e.row.outcomes >> outcome & 1 == 1);
    let outcome = (0..rules.outcomes()).find(happened).filter(|_| !converted);
    let &furthest = rules
        .required()
        .iter()
        .rfind(|&&step| times_us[step].is_some())
        .unwrap();
    let stopped_us = times_us[furthest].unwrap();
    let says = |row: &Row| {
        let takes_it = row.at_us == stopped_us && row.steps >> furthest & 1 == 1;
        row.is_reason && row.at_us >= stopped_us && !takes_it
    };
    let reasons = inside.iter().map(|e| e.row).filter(says);
    let reason_us = reasons.map(|row| row.at_us).max().filter(|_| !converted);
    Said {
        clock_us,
        discarded: discards(rules, inside, way),
        times_us: times_us.clone(),
        state,
        matured,
        outcome,
        reason_us,
    }
}

fn discards(rules: &Rules, inside: &[Event], way: &Way) -> bool {
    let times_us = &way.times_us;
    let spec = rules.spec();
    spec.on_exclude == OnExclude::DiscardSubject
        && spec.exclusions.iter().enumerate().any(|(i, exclusion)| {
            let Some(after_us) = times_us[exclusion.after] else {
                return false;
            };
            let before_us = times_us[exclusion.before].map_or(i128::MAX, i128::from);
            inside.iter().any(|event| {
                event.row.exclusions >> i & 1 == 1
                    && join(&event.held, &way.held).is_some()
                    && after_us < event.row.at_us
                    && i128::from(event.row.at_us) < before_us
            })
        })
}
