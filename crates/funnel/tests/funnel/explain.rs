//! Explanations: scenarios a person can read, and that each agrees with what exhaustive search says of the same events under
//! the change of rules that it names.
//!
//! The tables are read as [`crate::table`] says; expected is, for each entry: the steps reached with their time, `*` if it
//! speaks, its state (`until n`, last instant, if open), then what it waits for and why each event that takes it was refused.

use linkfunnel_funnel::{
    Entries, Events, Explained, Explanation, MAX_ENTRIES, MAX_REFUSED, NO_VALUE, Order, Refused,
    Row, Rules, Scratch, Span, Spec, State, StepRule, Ties, Why, explain, speak_all,
};
use proptest::prelude::*;

use crate::laws::{ANY, PLAIN, UNORDERED, cases, events, few, held, rules, span};
use crate::oracle;
use crate::table::{Funnel, check, line};

fn tell<'e>(rules: &Rules, events: impl Into<Events<'e>>, span: &Span) -> Explanation {
    explain(rules, events, span, &mut Scratch::default()).unwrap()
}

fn in_words(funnel: &Funnel, text: &str) -> Vec<String> {
    let line = line(funnel, text);
    let rules = funnel.rules.as_ref().unwrap();
    let told = tell(rules, line.events(), &funnel.span);
    assert_eq!(told.left_out, 0);
    told.entries
        .iter()
        .map(|entry| entry_text(funnel, &line.rows, entry))
        .collect()
}

fn entry_text(funnel: &Funnel, rows: &[Row], entry: &Explained) -> String {
    let mut words: Vec<String> = vec![];
    for (name, row) in funnel.names.iter().zip(&entry.rows) {
        words.extend(row.map(|row| format!("{name}@{}", rows[row].at_us)));
    }
    words.extend(entry.speaks.then(|| "*".to_owned()));
    words.push(format!("{:?}", entry.state).to_lowercase());
    if let Some(until_us) = entry.open_until_us {
        words.push(format!("until {until_us} last @{}", rows[entry.last].at_us));
    }
    if let Some((row, exclusion)) = entry.discarded_by {
        let name = funnel.exclusions.chars().nth(exclusion).unwrap();
        words.push(format!("discarded by {name}@{}", rows[row].at_us));
    }
    if !entry.waits_for.is_empty() {
        let waits: String = entry.waits_for.iter().map(|&s| funnel.names[s]).collect();
        let refused = entry.refused.iter().map(|refused| {
            let why: Vec<String> = refused
                .why
                .iter()
                .map(|why| why_text(funnel, rows, why))
                .collect();
            format!("@{} {}", rows[refused.row].at_us, why.join(" and "))
        });
        let refused: Vec<String> = refused.collect();
        let refused = if refused.is_empty() {
            "none came".to_owned()
        } else {
            refused.join(", ")
        };
        words.push(format!("waits {waits}: {refused}"));
    }
    words.join(" ")
}

fn why_text(funnel: &Funnel, rows: &[Row], why: &Why) -> String {
    match why {
        Why::AfterWindow { by_us } => format!("after window by {by_us}"),
        Why::TooLate { by_us } => format!("too late by {by_us}"),
        Why::TooEarly { by_us } => format!("too early by {by_us}"),
        Why::SameInstant => "same instant".to_owned(),
        Why::Used => "used".to_owned(),
        Why::Before { by_us } => format!("before by {by_us}"),
        Why::OtherValue { fields } => format!("other value of {fields:?}"),
        Why::Blocked { by } => {
            let block = by.iter().map(|block| {
                let at_us = rows[block.row].at_us;
                match block.exclusion {
                    Some(i) => format!("{}@{at_us}", funnel.exclusions.chars().nth(i).unwrap()),
                    None => format!("strict@{at_us}"),
                }
            });
            format!("blocked by {}", block.collect::<Vec<_>>().join(" "))
        }
    }
}

fn explained(table: &str) {
    check(table, in_words);
}

#[test]
fn why_an_entry_ended() {
    explained(
        "
        converted, nothing refused         | A B within 9                    | A@0 B@3                 | A@0 B@3 * converted
        nothing came at all                | A B C within 9                  | A@0 B@3                 | A@0 B@3 * dropped waits C: none came
        nobody entered                     | A B within 9                    | B@3                     | no entry
        only after the window              | A B within 9                    | A@0 B@12                | A@0 * dropped waits B: @12 after window by 3
        one µs after                       | A B within 9                    | A@0 B@10                | A@0 * dropped waits B: @10 after window by 1
        before the step it must follow     | A B C within 9                  | A@0 C@1 B@4             | A@0 B@4 * dropped waits C: @1 before by 3
        before the entry                   | A B within 9                    | B@0 A@5                 | A@5 * dropped waits B: @0 before by 5
        after it first, then before        | A B C within 9                  | A@0 C@1 C@2 B@4 C@20    | A@0 B@4 * dropped waits C: @20 after window by 11, @2 before by 2, @1 before by 3
        too late after the step before     | A B[..2] within 9               | A@0 B@5                 | A@0 * dropped waits B: @5 too late by 3
        too early                          | A B[4..] within 9               | A@0 B@1                 | A@0 * dropped waits B: @1 too early by 3
        too late and too early             | A B[2..3] within 9              | A@0 B@1 B@8             | A@0 * dropped waits B: @1 too early by 1, @8 too late by 5
        from the repeat it is nearer       | A B C[..2] within 9             | A@0 B@1 B@3 C@6         | A@0 B@1 * dropped waits C: @6 too late by 1
        late and after the window          | A B[..2] within 5               | A@0 B@9                 | A@0 * dropped waits B: @9 after window by 4 and too late by 7
        an excluded event between          | A B exclude x 1..2 within 9     | A@0 x@1 B@2             | A@0 * dropped waits B: @2 blocked by x@1
        two of them                        | A B exclude x 1..2 within 9     | A@0 x@1 x@2 B@3         | A@0 * dropped waits B: @3 blocked by x@1 x@2
        from the repeat only one           | A B C exclude x 2..3 within 9   | A@0 B@1 x@2 B@3 x@4 C@5 | A@0 B@1 * dropped waits C: @5 blocked by x@4
        another event in a strict funnel   | A B strict scope all within 9   | A@0 -@1 B@2             | A@0 * dropped waits B: @2 blocked by strict@1
        a level jump in a strict funnel    | A B C strict within 9           | A@0 C@1 B@2             | A@0 * dropped waits B: @2 blocked by strict@1
        the same instant                   | A B strict_increase within 9    | A@3 B@3                 | A@3 * dropped waits B: @3 same instant
        used already                       | A B within 9                    | AB@3                    | A@3 * dropped waits B: @3 used
        another value                      | A B hold 1 within 9             | A@0=x B@2=y             | A@0 * dropped waits B: @2 other value of [0]
        another value of the second        | A B hold 2 within 9             | A@0=x,u B@2=x,v         | A@0 * dropped waits B: @2 other value of [1]
        another value and after the window | A B hold 1 within 9             | A@0=x B@12=y            | A@0 * dropped waits B: @12 after window by 3 and other value of [0]
        discarded                          | A B exclude x 1..2 discard within 9 | A@0 x@1 B@2         | A@0 B@2 * converted discarded by x@1
        what it cannot show is not awaited | A B~ C within 9                 | A@0                     | A@0 * dropped waits C: none came
        optional steps are not awaited     | A O? C within 9                 | A@0 O@2                 | A@0 O@2 * dropped waits C: none came
        ",
    );
}

#[test]
fn open_until_when_and_what_was_last() {
    explained(
        "
        open        | A B within 9 watermark 5                | A@0 -@3          | A@0 * open until 9 last @3 waits B: none came
        open, late  | A B[..2] within 9 watermark 5           | A@0 B@4          | A@0 * open until 9 last @4 waits B: @4 too late by 2
        best        | A B[..2] best within 9 watermark 11     | A@0 A@5 B@9      | A@0 * open until 14 last @9 waits B: @9 too late by 7 / A@5 open until 14 last @9 waits B: @9 too late by 2
        ",
    );
}

#[test]
fn every_entry_is_told_and_the_one_that_speaks_is_marked() {
    explained(
        "
        cohort: the first, as early      | A B within 9          | A@0 A@1 B@2      | A@0 B@2 * converted / A@1 B@2 converted
        cohort: a later one does better  | A B[..2] within 9     | A@0 A@4 B@5      | A@0 dropped waits B: @5 too late by 3 / A@4 B@5 * converted
        cohort: not after the clock      | A B within 9          | A@0 A@12 B@13    | A@0 * dropped waits B: @13 after window by 4
        best: each its own window        | A B best within 9     | A@0 A@12 B@13    | A@0 dropped waits B: @13 after window by 4 / A@12 B@13 * converted
        all: one after the other         | A B all within 9      | A@0 B@1 A@2 A@3  | A@0 B@1 * converted / A@2 * dropped waits B: @1 before by 1
        ",
    );
}

#[test]
fn in_any_order_every_step_that_is_missing_is_awaited() {
    explained(
        "
        one missing            | A B C unordered within 9 | C@0 A@3         | A@0 B@3 * dropped waits B: none came
        after the window       | A B unordered within 2   | B@0 A@3         | A@0 * dropped waits A: @3 after window by 1
        one event, two steps   | A B unordered within 9   | AB@0            | A@0 * dropped waits AB: @0 used
        pinned: before it      | A B pinned within 9      | B@0 A@3         | A@3 * dropped waits B: @0 before by 3
        ",
    );
}

#[test]
fn entries_and_refused_events_beyond_the_limits_are_counted() {
    let spec = Spec {
        steps: vec![
            StepRule::required(),
            StepRule::required().with_gaps(None, Some(1)),
        ],
        window_us: 1_000,
        entries: Entries::Best,
        ..Spec::default()
    };
    let rules = Rules::new(spec).unwrap();
    let span = Span {
        from_us: 0,
        to_us: 1_000,
        watermark_us: Some(9_000),
    };
    let begun = |i| Row::step(i64::from(i) * 10, 0);
    let mut rows: Vec<Row> = (0..40).map(begun).collect();
    rows.push(Row::step(391, 1));
    let told = tell(&rules, &rows, &span);
    assert_eq!(
        (told.entries.len(), told.left_out),
        (MAX_ENTRIES, 40 - MAX_ENTRIES)
    );
    let speaking: Vec<usize> = told
        .entries
        .iter()
        .filter(|e| e.speaks)
        .map(|e| e.clock.row)
        .collect();
    assert_eq!(speaking, [39]);

    let mut rows = vec![Row::step(0, 0)];
    rows.extend((0..20).map(|i| Row::step(2 + i, 1)));
    let told = tell(&rules, &rows, &span);
    let entry = &told.entries[0];
    assert_eq!(
        (entry.refused.len(), entry.refused_left_out),
        (MAX_REFUSED, 20 - MAX_REFUSED)
    );
}

/// An entry by itself, to be asked about under other rules.
#[derive(Clone)]
struct Alone {
    spec: Spec,
    bypassed: u64,
    /// The rows, of which only the entry's own begins one.
    rows: Vec<Row>,
    held: Vec<u32>,
    clock_us: i64,
}

impl Alone {
    fn of(rules: &Rules, events: Events<'_>, entry: &Explained) -> Alone {
        let mut rows = events.rows.to_vec();
        let others = rows.iter_mut().enumerate();
        for (_, row) in others.filter(|(at, _)| !is_free(rules) && Some(*at) != entry.rows[0]) {
            row.steps &= !1;
        }
        Alone {
            spec: rules.spec().clone(),
            bypassed: rules.bypassed(),
            rows,
            held: events.held.to_vec(),
            clock_us: entry.clock.us,
        }
    }

    /// The furthest required step that exhaustive search finds.
    fn furthest(&self, span: &Span) -> Option<usize> {
        let rules = Rules::new(self.spec.clone())
            .unwrap()
            .bypassing(self.bypassed);
        let events = Events {
            rows: &self.rows,
            held: &self.held,
        };
        let said = oracle::within(&rules, events, span, self.clock_us)?;
        (0..rules.steps().len())
            .filter(|&step| !rules.steps()[step].optional && said.times_us[step].is_some())
            .max()
    }

    /// Lifts one refusal of a row that takes `step`, by exactly as much as it says.
    fn lift(&mut self, step: usize, row: usize, why: &Why) {
        let signed = |us: u64| i64::try_from(us).unwrap();
        let rule = &mut self.spec.steps[step];
        match why {
            Why::AfterWindow { by_us } => self.spec.window_us += signed(*by_us),
            Why::TooLate { by_us } => *rule.max_gap_us.as_mut().unwrap() += signed(*by_us),
            Why::TooEarly { by_us } => *rule.min_gap_us.as_mut().unwrap() -= signed(*by_us),
            Why::SameInstant => self.spec.ties = Ties::AnyOrder,
            Why::Blocked { by } => {
                for block in by {
                    self.rows[block.row] = Row::at(self.rows[block.row].at_us);
                }
            }
            Why::OtherValue { fields } => {
                for field in fields {
                    self.held[row * self.spec.held + field] = NO_VALUE;
                }
            }
            Why::Used => {
                self.rows.push(self.rows[row]);
                let width = self.spec.held;
                self.held.extend_from_within(row * width..(row + 1) * width);
            }
            Why::Before { .. } => panic!("nothing lifts this"),
        }
    }

    fn without(&self, step: usize, row: usize, lifted: &[Why]) -> Alone {
        let mut alone = self.clone();
        lifted.iter().for_each(|why| alone.lift(step, row, why));
        alone
    }
}

fn is_free(rules: &Rules) -> bool {
    matches!(rules.order(), Order::Unordered { .. })
}

/// With all that refused a row lifted the entry goes on with it, with one of them left it does not.
fn check_refusal(
    rules: &Rules,
    events: Events<'_>,
    span: &Span,
    entry: &Explained,
    refused: &Refused,
) {
    let (row, step) = (refused.row, entry.waits_for[0]);
    let mut alone = Alone::of(rules, events, entry);
    if let [Why::Before { by_us }] = refused.why[..] {
        return check_before(rules, alone, span, entry, row, by_us);
    }
    for (at, other) in alone
        .rows
        .iter_mut()
        .enumerate()
        .filter(|(at, _)| *at != row)
    {
        match is_free(rules) {
            false => other.steps &= !(1 << step),
            true if at >= entry.clock.window.end => other.steps = 0,
            true => {}
        }
    }
    let reach = |lifted: &[Why]| alone.without(step, row, lifted).furthest(span);
    assert!(
        reach(&refused.why) > Some(entry.furthest),
        "lifted, it does not go on: {refused:?} of {entry:?}"
    );
    for left in 0..refused.why.len() {
        let mut lifted = refused.why.clone();
        let spared = lifted.remove(left);
        assert!(
            reach(&lifted) <= Some(entry.furthest),
            "{spared:?} refuses nothing: {entry:?}"
        );
        let Why::Blocked { by } = spared else {
            continue;
        };
        for spared in 0..by.len() {
            let mut by = by.clone();
            by.remove(spared);
            let lifted = [&lifted[..], &[Why::Blocked { by }]].concat();
            assert!(
                reach(&lifted) <= Some(entry.furthest),
                "{spared} blocks nothing: {entry:?}"
            );
        }
    }
}

/// By then the step it must follow could not have been reached, whatever came later.
fn check_before(
    rules: &Rules,
    mut alone: Alone,
    span: &Span,
    entry: &Explained,
    row: usize,
    by_us: u64,
) {
    let at_us = alone.rows[row].at_us;
    let turn_us = match is_free(rules) {
        true => entry.clock.us,
        false => alone.rows[entry.rows[entry.furthest].unwrap()].at_us,
    };
    assert_eq!(
        i128::from(by_us),
        i128::from(turn_us) - i128::from(at_us),
        "{entry:?}"
    );
    for later in alone.rows.iter_mut().filter(|row| row.at_us > at_us) {
        *later = Row::at(later.at_us);
    }
    let reach = alone.furthest(span);
    assert!(
        by_us == 0 || is_free(rules) || reach < Some(entry.furthest),
        "{entry:?}"
    );
}

/// Everything an explanation says, checked against exhaustive search and against the entries the matcher gives.
fn check_explanation(rules: &Rules, events: Events<'_>, span: &Span) {
    let told = tell(rules, events, span);
    let mut speaking = told.entries.iter().filter(|entry| entry.speaks);
    speak_all(rules, events, span, &mut Scratch::default(), |entry| {
        let one = speaking.next().expect("the entry that speaks is told");
        assert_eq!((one.state, one.furthest), (entry.state, entry.furthest));
        assert_eq!(
            (one.clock.us, one.outcome, one.reason),
            (entry.clock.us, entry.outcome, entry.reason)
        );
        assert_eq!(one.discarded_by.is_some(), entry.discarded);
        for step in 0..rules.steps().len() {
            let at_us = one.rows[step].map(|row| events.rows[row].at_us);
            assert_eq!(at_us, entry.time_us(step));
        }
    })
    .unwrap();
    assert_eq!(speaking.next(), None);
    let us = |entry: &Explained| events.rows[entry.rows[0].unwrap_or(entry.clock.row)].at_us;
    assert!(told.entries.is_sorted_by_key(us));
    for entry in &told.entries {
        let has_gone = entry.state == State::Converted;
        assert_eq!(entry.waits_for.is_empty(), has_gone);
        assert!(!has_gone || entry.refused.is_empty());
        assert_eq!(entry.open_until_us.is_some(), entry.state == State::Open);
        assert_eq!(entry.last + 1, entry.clock.window.end);
        let reach = Alone::of(rules, events, entry).furthest(span);
        assert_eq!(reach, Some(entry.furthest), "{entry:?}");
        for refused in &entry.refused {
            check_refusal(rules, events, span, entry, refused);
        }
    }
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn an_explanation_agrees_with_the_entry_and_what_it_lifts_lets_it_go_on(
        rules in prop_oneof![rules(PLAIN), rules(ANY)], rows in few(), held in held(), span in span(),
    ) {
        check_explanation(&rules, events(&rules, &rows, &held), &span);
    }

    #[test]
    fn an_explanation_in_any_order_agrees_with_the_entry(
        rules in rules(UNORDERED), mut rows in few(), span in span(),
    ) {
        rows.truncate(6);
        check_explanation(&rules, Events::from(&rows), &span);
    }

    #[test]
    fn without_a_refusal_nothing_that_takes_the_next_step_came(
        rules in rules(ANY), rows in few(), held in held(), span in span(),
    ) {
        for entry in &tell(&rules, events(&rules, &rows, &held), &span).entries {
            let Some(&step) = entry.waits_for.first() else { continue };
            let furthest_us = rows[entry.rows[entry.furthest].unwrap()].at_us;
            let came = |row: &Row| row.steps >> step & 1 == 1 && row.at_us > furthest_us;
            prop_assert!(entry.refused.is_empty() <= !rows.iter().any(came));
        }
    }
}
