//! The laws of semantics.md that one subject or a tally can break, each over thousands of random cases.
//! Times are few and masks dense, so that ties, repeats and events of several steps are the rule.

use std::ops::Range;

use linkfunnel_funnel::{
    Entries, NO_VALUE, Row, Rules, Scratch, Span, State, StepRule, Tally, Ties, Times,
    chosen_values, speak, speak_all, speak_holding,
};
use proptest::prelude::*;

use crate::oracle::{self, Said};

fn cases(least: u32) -> ProptestConfig {
    let cases = ProptestConfig::default().cases.max(least);
    ProptestConfig {
        cases,
        ..ProptestConfig::default()
    }
}

/// Which rules a law is about.
#[derive(Clone, Copy)]
struct Kind {
    gaps: bool,
    optional: bool,
    ties: &'static [Ties],
    entries: &'static [Entries],
}

const ANY: Kind = Kind {
    gaps: true,
    optional: true,
    ties: &[Ties::AnyOrder, Ties::StrictIncrease],
    entries: &[Entries::Cohort, Entries::All],
};
const NO_GAPS: Kind = Kind { gaps: false, ..ANY };
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

fn rules(kind: Kind) -> impl Strategy<Value = Rules> {
    let middle = prop::collection::vec(step(kind), 0..4);
    let end = step(Kind {
        optional: false,
        ..kind
    });
    let rest = (
        0..3_usize,
        0..14_i64,
        prop::sample::select(kind.ties),
        prop::sample::select(kind.entries),
    );
    (middle, end, rest).prop_map(|(middle, end, (outcomes, window_us, ties, entries))| {
        let steps = [vec![StepRule::required()], middle, vec![end]].concat();
        Rules::new(steps, outcomes, window_us, ties, entries).unwrap()
    })
}

fn row(times: Range<i64>) -> impl Strategy<Value = Row> {
    let sparse = (0..5_u32).prop_map(|bit| 1_u64 << bit);
    let steps = prop_oneof![3 => sparse, 2 => 0..32_u64, 1 => Just(0)];
    let outcomes = prop_oneof![4 => Just(0), 1 => 0..8_u32];
    let value = prop_oneof![2 => Just(NO_VALUE), 1 => 0..2_u32];
    (times, steps, outcomes, value).prop_map(|(at_us, steps, outcomes, value)| Row {
        at_us,
        steps,
        outcomes,
        value,
    })
}

fn rows(times: Range<i64>, count: usize) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(row(times), 0..=count).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.at_us);
        rows
    })
}

fn few() -> impl Strategy<Value = Vec<Row>> {
    prop_oneof![
        rows(0..5, 8),
        rows(0..20, 8),
        Just(1).prop_flat_map(|n| rows(0..n, 6))
    ]
}

fn span() -> impl Strategy<Value = Span> {
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

fn say(rules: &Rules, rows: &[Row], span: &Span) -> Vec<Said> {
    let mut said = vec![];
    speak_all(rules, rows, span, &mut Scratch::default(), |entry| {
        said.push(Said::of(rules, &entry));
    });
    said
}

fn tally(rules: &Rules, subjects: &[Vec<Row>], span: &Span) -> Tally {
    let mut tally = Tally::new(rules, Times::Kept);
    let mut scratch = Scratch::default();
    for rows in subjects {
        speak_all(rules, rows, span, &mut scratch, |entry| {
            tally.update(rules, &entry)
        });
    }
    tally
}

proptest! {
    #![proptest_config(cases(50_000))]

    #[test]
    fn the_entry_equals_exhaustive_search(rules in rules(NO_GAPS), rows in few(), span in span()) {
        prop_assert_eq!(say(&rules, &rows, &span), oracle::all(&rules, &rows, &span));
    }

    #[test]
    fn the_entry_equals_exhaustive_search_with_gaps(rules in rules(ANY), rows in few(), span in span()) {
        prop_assert_eq!(say(&rules, &rows, &span), oracle::all(&rules, &rows, &span));
    }
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn gap_matching_with_no_effective_gap_equals_the_walk(
        rules in rules(NO_GAPS), rows in rows(0..40, 60), span in span(),
    ) {
        let steps = rules.steps().iter().enumerate().map(|(i, step)| match (i, step.optional) {
            (0, _) | (_, true) => *step,
            _ => step.with_gaps(Some(0), Some(i64::MAX)),
        });
        let gapped = Rules::new(
            steps.collect(), rules.outcomes(), rules.window_us(), rules.ties(), rules.entries(),
        ).unwrap();
        prop_assert_eq!(say(&gapped, &rows, &span), say(&rules, &rows, &span));
    }

    #[test]
    fn a_scratch_used_before_changes_nothing(
        first in rules(ANY), second in rules(ANY), a in few(), b in few(), span in span(),
    ) {
        let mut scratch = Scratch::default();
        speak(&first, &a, &span, &mut scratch);
        let warm = speak(&second, &b, &span, &mut scratch).map(|e| Said::of(&second, &e));
        prop_assert_eq!(warm, say(&second, &b, &span).into_iter().next());
    }

    #[test]
    fn order_inside_an_instant_changes_nothing(
        (rows, shuffled) in few().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        rules in rules(ANY), span in span(),
    ) {
        let mut shuffled = shuffled;
        shuffled.sort_by_key(|row| row.at_us);
        prop_assert_eq!(say(&rules, &rows, &span), say(&rules, &shuffled, &span));
    }

    #[test]
    fn unrelated_events_change_nothing(
        rules in rules(ANY), rows in few(), unrelated in few(), span in span(),
    ) {
        let unrelated = unrelated.iter().map(|row| Row { steps: 0, outcomes: 0, ..*row });
        let mut more: Vec<Row> = rows.iter().copied().chain(unrelated).collect();
        more.sort_by_key(|row| row.at_us);
        prop_assert_eq!(say(&rules, &more, &span), say(&rules, &rows, &span));
    }

    #[test]
    fn a_wider_window_never_lowers_the_furthest_step(
        rules in rules(COHORT), rows in few(), more_us in 0..9_i64,
    ) {
        let steps = rules.steps().to_vec();
        let window_us = rules.window_us() + more_us;
        let wider = Rules::new(steps, rules.outcomes(), window_us, rules.ties(), rules.entries()).unwrap();
        let furthest = |rules: &Rules| speak(rules, &rows, &WIDE, &mut Scratch::default()).map(|e| e.furthest);
        prop_assert!(furthest(&wider) >= furthest(&rules));
    }

    #[test]
    fn a_longer_range_leaves_a_cohort_subject_as_it_was(
        rules in rules(COHORT), rows in few(), span in span(), more_us in 0..9_i64,
    ) {
        let before = say(&rules, &rows, &span);
        let after = say(&rules, &rows, &Span { to_us: span.to_us + more_us, ..span });
        prop_assert!(before.is_empty() || before == after);
    }

    #[test]
    fn as_the_watermark_grows_open_becomes_dropped_and_nothing_else_moves(
        rules in rules(ANY), rows in few(), span in span(), more_us in 0..9_i64,
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
    fn under_a_value_the_other_values_do_not_exist(rules in rules(COHORT), rows in few(), span in span()) {
        let mut scratch = Scratch::default();
        let clock = speak(&rules, &rows, &span, &mut scratch).map(|entry| entry.clock);
        let Some(clock) = clock else { return Ok(()) };
        let mut values = vec![];
        chosen_values(&rows[clock.window.clone()], &mut values);
        for value in values {
            let fits = |row: &&Row| row.value == value || row.value == NO_VALUE;
            let held: Vec<Row> = rows.iter().filter(fits).copied().collect();
            let entry = speak_holding(&rules, &rows, &span, &clock, value, &mut scratch);
            for step in 0..rules.steps().len() {
                let Some(row) = entry.as_ref().and_then(|entry| entry.row(step)) else { continue };
                prop_assert!(fits(&&rows[row]) && rows[row].steps >> step & 1 == 1);
                prop_assert_eq!(entry.as_ref().and_then(|e| e.time_us(step)), Some(rows[row].at_us));
            }
            let got = entry.map(|entry| Said::of(&rules, &entry));
            prop_assert_eq!(got, oracle::within(&rules, &held, &span, clock.us));
        }
    }

    #[test]
    fn the_rows_named_are_distinct_and_serve_their_steps_in_time(
        rules in rules(ANY), rows in few(), span in span(),
    ) {
        speak_all(&rules, &rows, &span, &mut Scratch::default(), |entry| {
            let mut used: Vec<usize> = vec![];
            for step in 0..rules.steps().len() {
                assert_eq!(entry.row(step).is_some(), entry.reached() >> step & 1 == 1);
                let Some(row) = entry.row(step) else { continue };
                assert!(!used.contains(&row) && rows[row].steps >> step & 1 == 1);
                assert_eq!(Some(rows[row].at_us), entry.time_us(step));
                assert!(entry.clock.window.contains(&row));
                let window_us = rules.window_us().unsigned_abs();
                assert!(entry.from_entry_us(step).unwrap() <= window_us);
                assert!(entry.from_previous_us(&rules, step).unwrap_or(0) <= window_us);
                used.push(row);
            }
        });
    }

    #[test]
    fn any_split_of_the_subjects_merges_to_the_whole(
        rules in rules(ANY), subjects in prop::collection::vec(few(), 0..12), span in span(),
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
        rules in rules(ANY), subjects in prop::collection::vec(few(), 0..12), span in span(),
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
