//! The laws of semantics.md that one subject or a tally can break, each over thousands of random cases.
//! Times are few and masks dense, so that ties, repeats and events of several steps are the rule.

use std::ops::Range;

use linkfunnel_funnel::{
    Entries, Events, ExclusionRule, NO_VALUE, OnExclude, Order, Row, Rules, Scratch, Span, Spec,
    State, StepRule, Tally, Ties, Times, chosen_values, speak, speak_all, speak_holding,
};
use proptest::prelude::*;

use crate::oracle::{self, Said};

pub(crate) fn cases(least: u32) -> ProptestConfig {
    let cases = ProptestConfig::default().cases.max(least);
    ProptestConfig {
        cases,
        ..ProptestConfig::default()
    }
}

/// Which rules a law is about.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    gaps: bool,
    optional: bool,
    exclusions: bool,
    held: usize,
    orders: &'static [Order],
    ties: &'static [Ties],
    entries: &'static [Entries],
}

const FREE: Order = Order::Unordered {
    first_pinned: false,
};
const PINNED: Order = Order::Unordered { first_pinned: true };
const EVERY: &[Entries] = &[Entries::Cohort, Entries::Best, Entries::All];

/// Steps in order, whatever else.
pub(crate) const ANY: Kind = Kind {
    gaps: true,
    optional: true,
    exclusions: true,
    held: 2,
    orders: &[Order::Ordered, Order::Ordered, Order::Strict],
    ties: &[Ties::AnyOrder, Ties::StrictIncrease],
    entries: EVERY,
};
/// Where an earlier step is never worse.
pub(crate) const PLAIN: Kind = Kind {
    gaps: false,
    exclusions: false,
    held: 0,
    orders: &[Order::Ordered],
    ..ANY
};
pub(crate) const UNORDERED: Kind = Kind {
    optional: false,
    orders: &[FREE, PINNED],
    ties: &[Ties::AnyOrder],
    ..PLAIN
};
const COHORT: Kind = Kind {
    entries: &[Entries::Cohort],
    ..ANY
};

fn step(kind: Kind) -> impl Strategy<Value = StepRule> {
    let gap = || prop::option::weighted(0.3, 0..5_i64);
    (prop::bool::weighted(0.35), gap(), gap()).prop_map(move |(optional, min, max)| {
        match (kind.optional && optional, kind.gaps) {
            (true, _) => StepRule::optional(),
            (false, false) => StepRule::required(),
            (false, true) => {
                let min = min.map(|min| max.map_or(min, |max| min.min(max)));
                StepRule::required().with_gaps(min, max)
            }
        }
    })
}

fn exclusions(kind: Kind) -> impl Strategy<Value = Vec<(usize, usize)>> {
    let most = if kind.exclusions { 2 } else { 0 };
    prop::collection::vec((0..4_usize, 1..5_usize), 0..=most)
}

pub(crate) fn rules(kind: Kind) -> impl Strategy<Value = Rules> {
    let middle = prop::collection::vec(step(kind), 0..4);
    let end = step(Kind {
        optional: false,
        ..kind
    });
    let words = (
        prop::sample::select(kind.orders),
        prop::sample::select(kind.ties),
        prop::sample::select(kind.entries),
        prop_oneof![4 => Just(OnExclude::Block), 1 => Just(OnExclude::DiscardSubject)],
    );
    let rest = (0..3_usize, 0..14_i64, 0..=kind.held, 0..32_u64, 0..4_u32);
    (middle, end, exclusions(kind), words, rest).prop_map(
        |(middle, end, exclusions, (order, ties, entries, on_exclude), rest)| {
            let (outcomes, window_us, held, bypassed, bypasses) = rest;
            let steps = [vec![StepRule::required()], middle, vec![end]].concat();
            let mut spec = Spec {
                steps,
                outcomes,
                window_us,
                order,
                ties,
                entries,
                exclusions: vec![],
                on_exclude,
                held,
            };
            for (after, before) in exclusions {
                let mut with = spec.clone();
                with.exclusions.push(ExclusionRule { after, before });
                if Rules::new(with.clone()).is_ok() {
                    spec = with;
                }
            }
            let rules = Rules::new(spec).unwrap();
            match bypasses {
                0 => rules.bypassing(bypassed),
                _ => rules,
            }
        },
    )
}

fn row(times: Range<i64>) -> impl Strategy<Value = Row> {
    let sparse = (0..5_u32).prop_map(|bit| 1_u64 << bit);
    let steps = prop_oneof![3 => sparse, 2 => 0..32_u64, 1 => Just(0)];
    let outcomes = prop_oneof![4 => Just(0), 1 => 0..8_u32];
    let exclusions = prop_oneof![4 => Just(0), 1 => 0..4_u32];
    let value = prop_oneof![2 => Just(NO_VALUE), 1 => 0..2_u32];
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.2));
    (times, steps, outcomes, exclusions, value, flags).prop_map(
        |(at_us, steps, outcomes, exclusions, value, (in_scope, is_reason))| Row {
            at_us,
            steps,
            outcomes,
            exclusions,
            value,
            in_scope: in_scope || steps != 0 || exclusions != 0,
            is_reason,
        },
    )
}

fn rows(times: Range<i64>, count: usize) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(row(times), 0..=count).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.at_us);
        rows
    })
}

pub(crate) fn few() -> impl Strategy<Value = Vec<Row>> {
    prop_oneof![
        rows(0..5, 8),
        rows(0..20, 8),
        Just(1).prop_flat_map(|n| rows(0..n, 6))
    ]
}

/// Values of two held fields for as many rows as there may be; those beyond what is asked for are left out.
pub(crate) fn held() -> impl Strategy<Value = Vec<u32>> {
    let code = prop_oneof![2 => Just(NO_VALUE), 3 => 0..2_u32];
    prop::collection::vec(code, 2 * 8)
}

pub(crate) fn events<'a>(rules: &Rules, rows: &'a [Row], held: &'a [u32]) -> Events<'a> {
    let held = &held[..rows.len() * rules.held()];
    Events { rows, held }
}

pub(crate) fn span() -> impl Strategy<Value = Span> {
    (0..4_i64, 1..20_i64, prop::option::weighted(0.9, -1..30_i64)).prop_map(
        |(from_us, to_us, watermark_us)| Span {
            from_us,
            to_us,
            watermark_us,
        },
    )
}

const WIDE: Span = Span {
    from_us: i64::MIN,
    to_us: i64::MAX,
    watermark_us: Some(i64::MAX),
};

fn say<'a>(rules: &Rules, events: impl Into<Events<'a>>, span: &Span) -> Vec<Said> {
    let events = events.into();
    let mut said = vec![];
    let mut scratch = Scratch::default();
    speak_all(rules, events, span, &mut scratch, |entry| {
        said.push(Said::of(rules, events.rows, &entry));
    })
    .unwrap();
    said
}

fn tally(rules: &Rules, subjects: &[Vec<Row>], span: &Span) -> Tally {
    let mut tally = Tally::new(rules, Times::Kept);
    let mut scratch = Scratch::default();
    for rows in subjects {
        speak_all(rules, rows, span, &mut scratch, |entry| {
            tally.update(rules, &entry)
        })
        .unwrap();
    }
    tally
}

const NO_HOLD: Kind = Kind { held: 0, ..ANY };

proptest! {
    #![proptest_config(cases(50_000))]

    #[test]
    fn the_entry_equals_exhaustive_search(rules in rules(PLAIN), rows in few(), span in span()) {
        let events = Events::from(&rows);
        prop_assert_eq!(say(&rules, events, &span), oracle::all(&rules, events, &span));
    }

    #[test]
    fn the_entry_equals_exhaustive_search_with_every_rule(
        rules in rules(ANY), rows in few(), held in held(), span in span(),
    ) {
        let events = events(&rules, &rows, &held);
        prop_assert_eq!(say(&rules, events, &span), oracle::all(&rules, events, &span));
    }

    #[test]
    fn the_entry_equals_exhaustive_search_in_any_order(
        rules in rules(UNORDERED), mut rows in few(), span in span(),
    ) {
        rows.truncate(6);
        let events = Events::from(&rows);
        prop_assert_eq!(say(&rules, events, &span), oracle::all(&rules, events, &span));
    }
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn gap_matching_with_no_effective_gap_equals_the_walk(
        rules in rules(PLAIN), rows in rows(0..40, 60), span in span(),
    ) {
        let steps = rules.steps().iter().enumerate().map(|(i, step)| match (i, step.optional) {
            (0, _) | (_, true) => *step,
            _ => step.with_gaps(Some(0), Some(i64::MAX)),
        });
        let spec = Spec { steps: steps.collect(), ..rules.spec().clone() };
        let gapped = Rules::new(spec).unwrap().bypassing(rules.bypassed());
        prop_assert_eq!(say(&gapped, &rows, &span), say(&rules, &rows, &span));
    }

    #[test]
    fn a_scratch_used_before_changes_nothing(
        first in rules(ANY), second in rules(ANY), a in few(), b in few(), held in held(), span in span(),
    ) {
        let mut scratch = Scratch::default();
        speak(&first, events(&first, &a, &held), &span, &mut scratch).unwrap();
        let events = events(&second, &b, &held);
        let warm = speak(&second, events, &span, &mut scratch).unwrap();
        let warm = warm.map(|e| Said::of(&second, &b, &e));
        prop_assert_eq!(warm, say(&second, events, &span).into_iter().next());
    }

    #[test]
    fn order_inside_an_instant_changes_nothing(
        (rows, shuffled) in few().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        rules in prop_oneof![rules(NO_HOLD), rules(UNORDERED)], span in span(),
    ) {
        let mut shuffled = shuffled;
        shuffled.sort_by_key(|row| row.at_us);
        prop_assert_eq!(say(&rules, &rows, &span), say(&rules, &shuffled, &span));
    }

    #[test]
    fn unrelated_events_change_nothing(
        rules in prop_oneof![rules(NO_HOLD), rules(UNORDERED)], rows in few(), unrelated in few(), span in span(),
    ) {
        let unrelated = unrelated.iter().map(|row| Row::at(row.at_us));
        let mut more: Vec<Row> = rows.iter().copied().chain(unrelated).collect();
        more.sort_by_key(|row| row.at_us);
        prop_assert_eq!(say(&rules, &more, &span), say(&rules, &rows, &span));
    }

    #[test]
    fn a_wider_window_never_lowers_the_furthest_step(
        rules in prop_oneof![rules(NO_HOLD), rules(UNORDERED)], rows in few(), more_us in 0..9_i64,
    ) {
        let spec = rules.spec().clone();
        let window_us = rules.window_us() + more_us;
        let wider = Rules::new(Spec { window_us, ..spec }).unwrap().bypassing(rules.bypassed());
        let furthest = |rules: &Rules| {
            let mut scratch = Scratch::default();
            let entry = speak(rules, &rows, &WIDE, &mut scratch).unwrap();
            entry.map(|entry| entry.furthest)
        };
        prop_assert!(furthest(&wider) >= furthest(&rules));
    }

    #[test]
    fn a_longer_range_leaves_a_cohort_subject_as_it_was(
        rules in rules(COHORT), rows in few(), held in held(), span in span(), more_us in 0..9_i64,
    ) {
        let events = events(&rules, &rows, &held);
        let before = say(&rules, events, &span);
        let after = say(&rules, events, &Span { to_us: span.to_us + more_us, ..span });
        prop_assert!(before.is_empty() || before == after);
    }

    #[test]
    fn as_the_watermark_grows_open_becomes_dropped_and_nothing_else_moves(
        rules in rules(NO_HOLD), rows in few(), span in span(), more_us in 0..9_i64,
    ) {
        let later = Span { watermark_us: span.watermark_us.map(|w| w + more_us), ..span };
        for (before, after) in say(&rules, &rows, &span).iter().zip(say(&rules, &rows, &later)) {
            prop_assert_eq!(&before.times_us, &after.times_us);
            prop_assert!(before.state == after.state
                || (before.state, after.state) == (State::Open, State::Dropped));
            prop_assert!(after.matured >= before.matured);
        }
    }

    #[test]
    fn under_a_value_the_other_values_do_not_exist(
        rules in rules(ANY), rows in few(), held in held(), span in span(),
    ) {
        let events = events(&rules, &rows, &held);
        let mut scratch = Scratch::default();
        let entry = speak(&rules, events, &span, &mut scratch).unwrap();
        let Some(clock) = entry.map(|entry| entry.clock) else { return Ok(()) };
        let mut values = vec![];
        chosen_values(&rows[clock.window.clone()], &mut values);
        for value in values {
            let fits = |row: usize| [value, NO_VALUE].contains(&rows[row].value);
            let width = rules.held();
            let kept = || (0..rows.len()).filter(|&row| fits(row));
            let kept_rows: Vec<Row> = kept().map(|row| rows[row]).collect();
            let kept_held: Vec<u32> =
                kept().flat_map(|row| events.held[row * width..(row + 1) * width].to_vec()).collect();
            let kept = Events { rows: &kept_rows, held: &kept_held };
            let entry = speak_holding(&rules, events, &span, &clock, fits, &mut scratch).unwrap();
            for step in 0..rules.steps().len() {
                let Some(row) = entry.as_ref().and_then(|entry| entry.row(step)) else { continue };
                prop_assert!(fits(row) && rows[row].steps >> step & 1 == 1);
                prop_assert_eq!(entry.as_ref().and_then(|e| e.time_us(step)), Some(rows[row].at_us));
            }
            let expected = match rules.entries() {
                Entries::Best => oracle::best_of(&rules, kept, &span),
                _ => oracle::within(&rules, kept, &span, clock.us),
            };
            prop_assert_eq!(entry.map(|entry| Said::of(&rules, &rows, &entry)), expected);
        }
    }

    #[test]
    fn the_rows_named_are_distinct_and_serve_their_steps_in_time(
        rules in prop_oneof![rules(ANY), rules(UNORDERED)], rows in few(), held in held(), span in span(),
    ) {
        let is_free = matches!(rules.order(), Order::Unordered { .. });
        let events = events(&rules, &rows, &held);
        speak_all(&rules, events, &span, &mut Scratch::default(), |entry| {
            let mut used: Vec<usize> = vec![];
            for step in 0..rules.steps().len() {
                assert_eq!(entry.row(step).is_some(), entry.reached() >> step & 1 == 1);
                let Some(row) = entry.row(step) else { continue };
                assert!(!used.contains(&row) && (is_free || rows[row].steps >> step & 1 == 1));
                assert_eq!(Some(rows[row].at_us), entry.time_us(step));
                assert!(entry.clock.window.contains(&row));
                let window_us = rules.window_us().unsigned_abs();
                assert!(entry.from_entry_us(step).unwrap() <= window_us);
                assert!(entry.from_previous_us(&rules, step).unwrap_or(0) <= window_us);
                used.push(row);
            }
        })
        .unwrap();
    }

    #[test]
    fn any_split_of_the_subjects_merges_to_the_whole(
        rules in rules(NO_HOLD), subjects in prop::collection::vec(few(), 0..12), span in span(),
        cut in 0..12_usize,
    ) {
        let (left, right) = subjects.split_at(cut.min(subjects.len()));
        let whole = tally(&rules, &subjects, &span);
        let (left, right) = (tally(&rules, left, &span), tally(&rules, right, &span));
        for (a, b) in [(&left, &right), (&right, &left)] {
            let mut merged = a.clone();
            merged.merge(b);
            prop_assert_eq!(&merged, &whole);
        }
    }

    #[test]
    fn sums_add_up_and_reach_never_rises(
        rules in prop_oneof![rules(NO_HOLD), rules(UNORDERED)],
        subjects in prop::collection::vec(few(), 0..12), span in span(),
    ) {
        let t = tally(&rules, &subjects, &span);
        prop_assert_eq!(t.converted + t.dropped + t.open, t.entered);
        prop_assert_eq!(t.steps.iter().map(|s| s.dropped).sum::<u64>(), t.dropped);
        prop_assert_eq!(t.steps.iter().map(|s| s.open).sum::<u64>(), t.open);
        prop_assert_eq!(t.steps[0].reached, t.entered);
        prop_assert_eq!(t.steps[0].matured_reached, t.matured_entered);
        prop_assert_eq!(t.steps.last().unwrap().reached, t.converted);
        prop_assert_eq!(t.steps.last().unwrap().matured_reached, t.matured_converted);
        prop_assert!(t.outcomes.iter().sum::<u64>() <= t.dropped + t.open);
        for pair in rules.required().windows(2) {
            let (before, after) = (&t.steps[pair[0]], &t.steps[pair[1]]);
            prop_assert!(after.reached <= before.reached);
            prop_assert!(after.matured_reached <= before.matured_reached);
            prop_assert_eq!(after.reached + before.dropped + before.open, before.reached);
        }
        for (step, counts) in t.steps.iter().enumerate() {
            prop_assert_eq!(counts.from_entry_us.count(), counts.reached);
            let expected = if step == 0 { 0 } else { counts.reached };
            prop_assert_eq!(counts.from_previous_us.count(), expected);
        }
    }
}
