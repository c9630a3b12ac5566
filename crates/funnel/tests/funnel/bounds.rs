//! Subjects made to be expensive: a million events of one journey, 64 steps, all at once or one after the other.

use linkfunnel_funnel::{
    Entries, ExclusionRule, MAX_HOLDINGS, Order, Row, Rules, Scratch, Span, Spec, State, StepRule,
    TooManyHoldings, speak,
};

const SPAN: Span = Span {
    from_us: 0,
    to_us: i64::MAX,
    watermark_us: None,
};

fn spec() -> Spec {
    Spec {
        steps: vec![StepRule::required(); 64],
        window_us: 10_000_000,
        ..Spec::default()
    }
}

/// Every kind of rule that has an algorithm of its own.
fn kinds() -> Vec<(&'static str, Spec)> {
    let mut gaps = spec();
    for step in &mut gaps.steps[1..] {
        *step = step.with_gaps(Some(1), Some(1_000));
    }
    let exclusions = vec![ExclusionRule {
        after: 0,
        before: 63,
    }];
    let mut optional = spec();
    optional.steps[1..63].fill(StepRule::optional());
    let best = Entries::Best;
    let unordered = Order::Unordered { first_pinned: true };
    vec![
        ("plain", spec()),
        ("optional", optional),
        (
            "best",
            Spec {
                entries: best,
                ..spec()
            },
        ),
        (
            "gaps best",
            Spec {
                entries: best,
                ..gaps.clone()
            },
        ),
        ("gaps", gaps),
        (
            "strict",
            Spec {
                order: Order::Strict,
                ..spec()
            },
        ),
        (
            "exclusions",
            Spec {
                exclusions,
                ..spec()
            },
        ),
        (
            "unordered",
            Spec {
                order: unordered,
                ..spec()
            },
        ),
        (
            "unordered best",
            Spec {
                order: unordered,
                entries: best,
                ..spec()
            },
        ),
    ]
}

fn any(at_us: i64, steps: u64) -> Row {
    Row {
        steps,
        exclusions: u32::from(steps == 0),
        in_scope: true,
        ..Row::at(at_us)
    }
}

fn state(spec: &Spec, rows: &[Row]) -> State {
    let rules = Rules::new(spec.clone()).unwrap();
    let mut scratch = Scratch::default();
    let entry = speak(&rules, rows, &SPAN, &mut scratch).unwrap();
    entry.unwrap().state
}

#[test]
fn one_instant_of_a_million_events_and_64_steps_is_matched() {
    let rows = vec![any(5, u64::MAX); 1_000_000];
    for (name, spec) in kinds() {
        // A least gap cannot be kept inside an instant.
        let expected = match name.starts_with("gaps") {
            true => State::Open,
            false => State::Converted,
        };
        assert_eq!(state(&spec, &rows), expected, "{name}");
    }
    let short: Vec<Row> = vec![any(5, u64::MAX); 63];
    assert_eq!(state(&spec(), &short), State::Open);
}

#[test]
fn a_million_instants_that_never_convert_are_matched() {
    let all_but_last = u64::MAX >> 1;
    let rows: Vec<Row> = (0..1_000_000)
        .map(|at_us| any(at_us, all_but_last))
        .collect();
    for (name, spec) in kinds() {
        assert_eq!(state(&spec, &rows), State::Open, "{name}");
    }
}

#[test]
fn a_million_entries_each_blocked_are_matched() {
    let turn = [any(0, 1), any(0, 0), any(0, 2)];
    let rows: Vec<Row> = (0..1_000_000_i64)
        .zip(turn.iter().cycle())
        .map(|(at_us, row)| Row { at_us, ..*row })
        .collect();
    for (name, spec) in kinds() {
        assert_eq!(state(&spec, &rows), State::Open, "{name}");
    }
}

#[test]
fn more_values_held_than_the_limit_are_an_error_and_as_many_are_not() {
    let held = |count: usize| -> Result<State, TooManyHoldings> {
        let rules = Rules::new(Spec { held: 1, ..spec() }).unwrap();
        let rows: Vec<Row> = (0..).take(count).map(|at_us| any(at_us, 1)).collect();
        let codes: Vec<u32> = (0..).take(count).collect();
        let events = linkfunnel_funnel::Events {
            rows: &rows,
            held: &codes,
        };
        let mut scratch = Scratch::default();
        Ok(speak(&rules, events, &SPAN, &mut scratch)?.unwrap().state)
    };
    assert_eq!(held(MAX_HOLDINGS), Ok(State::Open));
    assert_eq!(held(MAX_HOLDINGS + 1), Err(TooManyHoldings));
}

#[test]
fn as_many_values_are_no_error_either_where_each_would_excuse_what_stands_in_the_way() {
    let spec = Spec {
        steps: vec![StepRule::required(); 2],
        exclusions: vec![ExclusionRule {
            after: 0,
            before: 1,
        }],
        held: 1,
        window_us: 10_000,
        ..Spec::default()
    };
    let rules = Rules::new(spec).unwrap();
    let excluded = Row {
        exclusions: 1,
        ..Row::at(1)
    };
    let mut rows = vec![Row::step(0, 0), excluded, Row::step(2, 1)];
    rows.extend((3..).take(MAX_HOLDINGS).map(|at_us| Row::step(at_us, 0)));
    let nobody = linkfunnel_funnel::NO_VALUE;
    let mut codes = vec![nobody, u32::MAX - 1, nobody];
    codes.extend((0..).take(MAX_HOLDINGS));
    let events = linkfunnel_funnel::Events {
        rows: &rows,
        held: &codes,
    };
    let mut scratch = Scratch::default();
    let entry = speak(&rules, events, &SPAN, &mut scratch).unwrap().unwrap();
    assert_eq!((entry.furthest, entry.clock.us), (0, 0));
}
