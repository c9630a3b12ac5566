//! What the table looks like, as text.

use chrono::Utc;

use linkfunnel_query::{
    Compared, Comparison, Decomposition, DecompositionPart, Difference, Group, Matured,
    OutcomeCount, Rate, ReasonCount, StepAnswer, Times, TrendBucket, Warning,
};
use std::collections::BTreeMap;

use super::segments::rate_cell;
use super::*;
use crate::grid::Cell;

const PLAIN: Screen = Screen {
    width: 110,
    colour: false,
    terminal: false,
};

fn rate(value: f64, half: f64) -> Rate {
    Rate {
        value: Some(value),
        low: Some(value - half),
        high: Some(value + half),
        code: None,
    }
}

fn times(p50: f64) -> Times {
    Times {
        p50: Some(p50),
        p75: None,
        p90: None,
        p95: None,
        code: None,
    }
}

fn group(key: Option<&str>, entered: u64, rates: [f64; 3], median_ms: f64) -> Group {
    let names = ["Opened", "Chose provider", "Linked"];
    let steps = names.iter().zip(rates).map(|(name, value)| StepAnswer {
        name: (*name).into(),
        optional: false,
        reached: entered,
        bypassed: 0,
        dropped: 0,
        open: 0,
        matured_reached: entered,
        rate_from_entry: rate(value, 0.007),
        rate_from_previous: rate(value, 0.007),
        time_from_entry_ms: times(median_ms),
        time_from_previous_ms: times(median_ms),
        reasons: Vec::new(),
    });
    let steps: Vec<StepAnswer> = steps.collect();
    Group {
        key: key
            .map(|v| BTreeMap::from([("category".to_owned(), v.to_owned())]))
            .unwrap_or_default(),
        entered,
        converted: entered / 2,
        dropped: entered / 2 - 3,
        open: 3,
        discarded: 0,
        outcomes: vec![
            OutcomeCount {
                name: "Uploaded a file".into(),
                count: entered / 50,
            },
            OutcomeCount {
                name: "Never".into(),
                count: 0,
            },
        ],
        matured: Matured {
            entered: 1_000,
            converted: 500,
        },
        rate: rate(rates[2], 0.007),
        rate_so_far: rate(rates[2], 0.007),
        rate_expected: rate(rates[2], 0.007),
        steps,
        time_to_convert: None,
        trend: Vec::new(),
    }
}

fn answer(groups: Vec<Group>) -> FunnelAnswer {
    FunnelAnswer {
        query: serde_json::json!({
            "funnel": {"subject": "journey", "window": "PT24H"},
            "range": {"from": "2026-11-15T08:00:00Z", "to": "2026-11-22T08:15:00Z", "timezone": "Europe/Paris"},
            "filters": [{"field": "surface", "op": "in", "value": ["hosted_page", "embedded_sdk"]}],
        }),
        groups,
        total: group(None, 14_402, [1.0, 0.889, 0.714], 72_000.0),
        trend: Vec::new(),
        compare: None,
        meta: Meta {
            snapshot: "t".into(),
            watermark: None,
            complete_until: Some("2026-11-22T08:14:20Z".into()),
            events_scanned: 1,
            elapsed_ms: 1.0,
            without_subject: 0,
            split_ids: 0,
            without_entry: 1,
            filtered_by_default: 1_204,
            warnings: vec![Warning {
                code: "x".into(),
                detail: "Segments may exceed the total.".into(),
            }],
            query_id: "q".into(),
        },
    }
}

fn shown(answer: &FunnelAnswer, screen: Screen) -> String {
    shown_with(answer, screen, false)
}

fn shown_with(answer: &FunnelAnswer, screen: Screen, why: bool) -> String {
    let now_us = "2026-11-22T08:15:00Z"
        .parse::<DateTime<Utc>>()
        .unwrap()
        .timestamp_micros();
    render(
        answer,
        &Frame {
            title: "linking",
            interval: Some("day"),
            why,
            now_us,
            screen,
        },
    )
}

fn check(shown: &str, expected: &str) {
    let expected = expected.strip_prefix('\n').unwrap();
    assert!(shown == expected, "expected:\n{expected}\nshown:\n{shown}");
}

#[test]
fn segments_are_columns_while_they_fit() {
    let groups = vec![
        group(Some("accounting"), 7_911, [1.0, 0.912, 0.782], 58_000.0),
        group(Some("banking"), 4_327, [1.0, 0.86, 0.619], 109_000.0),
    ];
    check(
        &shown(&answer(groups), PLAIN),
        "
Linking · journeys entered 15–22 Nov (Europe/Paris) · window 24 h · live, human · surface = hosted_page,
  embedded_sdk
Complete up to 09:14:20.
Rates over the 1 000 whose 24 h are over.

                                           all        accounting           banking
entered                                 14 402             7 911             4 327
Opened                   ████████        100 %             100 %             100 %
Chose provider           ███████▏       88.9 %            91.2 %            86.0 %
Linked                   █████▊         71.4 % ±0.7       78.2 % ±0.7       61.9 % ±0.7
uploaded a file, so far                  2.0 %             2.0 %             2.0 %
still open                                   3                 3                 3
median time to link                 1 min 12 s              58 s        1 min 49 s

\"Open\" can still convert; it is not dropped.
Left out: 1 204 events not live or not human · 1 subject without the first step.
Segments may exceed the total.
",
    );
}

#[test]
fn a_bar_shows_which_part_of_a_step_could_not_be_seen() {
    let mut answer = answer(Vec::new());
    let step = &mut answer.total.steps[1];
    (step.reached, step.bypassed, step.matured_reached) = (7_201, 5_602, 500);
    let text = shown(&answer, PLAIN);
    assert!(
        text.contains("Chose provider           ████░░░░       88.9 %\n"),
        "{text}"
    );
    let remark =
        "Past \"Chose provider\" 5 602 went unseen (░): their provider does not show that step.\n";
    assert!(text.contains(remark), "{text}");
    answer.total.matured = Matured::default();
    let text = shown(&answer, PLAIN);
    assert!(
        text.contains("Chose provider           ████░░░░       12 803\n"),
        "{text}"
    );
}

#[test]
fn segments_are_lines_where_columns_do_not_fit() {
    let names = ["accounting", "banking", "commerce", "payroll_hris"];
    let groups = names
        .iter()
        .map(|name| group(Some(name), 2_000, [1.0, 0.912, 0.782], 58_000.0));
    let text = shown(&answer(groups.collect()), Screen { width: 80, ..PLAIN });
    let lines: Vec<&str> = text.lines().skip(5).take(3).collect();
    check(
        &(lines.join("\n") + "\n"),
        "
                         entered   Linked        open   median time
all           █████▊      14 402   71.4 % ±0.7      3    1 min 12 s
accounting    ██████▎      2 000   78.2 % ±0.7      3          58 s
",
    );
}

#[test]
fn before_a_window_is_over_there_are_counts_and_no_rates() {
    let mut answer = answer(Vec::new());
    answer.total.matured = Matured::default();
    for step in &mut answer.total.steps {
        step.rate_from_entry = Rate::none("not_matured");
    }
    answer.total.steps[2].time_from_entry_ms.p50 = None;
    let text = shown(&answer, PLAIN);
    assert!(
        text.contains("Nobody's 24 h are over yet, so there are no rates: counts so far."),
        "{text}"
    );
    assert!(
        text.contains("Linked                   ████████   14 402\n"),
        "{text}"
    );
    assert!(
        text.contains("median time to link                      –\n"),
        "{text}"
    );
}

#[test]
fn a_range_nobody_entered_says_so() {
    let mut answer = answer(Vec::new());
    answer.total.entered = 0;
    answer.total.open = 0;
    let text = shown(&answer, PLAIN);
    assert!(text.contains("\nNobody entered in this time.\n"), "{text}");
    assert!(!text.contains("Rates over"), "{text}");
}

#[test]
fn a_lopsided_interval_shows_both_ends() {
    let lopsided = Rate {
        value: Some(0.9),
        low: Some(0.6),
        high: Some(0.98),
        code: None,
    };
    assert_eq!(
        rate_cell(&lopsided, true),
        Cell {
            main: "90.0 %".into(),
            after: " 60–98".into()
        }
    );
    assert_eq!(rate_cell(&Rate::none("not_matured"), true), "–".into());
}

#[test]
fn a_trend_has_a_line_an_interval() {
    let mut answer = answer(Vec::new());
    answer.trend = vec![
        TrendBucket {
            start: "2026-11-14T23:00:00Z".into(),
            end: "2026-11-15T23:00:00Z".into(),
            partial: true,
            is_matured: true,
            entered: 2_104,
            converted: 1,
            dropped: 1,
            open: 0,
            matured: Matured {
                entered: 2,
                converted: 1,
            },
            rate: rate(0.7, 0.02),
            rate_so_far: rate(0.7, 0.02),
        },
        TrendBucket {
            start: "2026-11-15T23:00:00Z".into(),
            end: "2026-11-16T23:00:00Z".into(),
            partial: false,
            is_matured: false,
            entered: 98,
            converted: 1,
            dropped: 1,
            open: 40,
            matured: Matured::default(),
            rate: Rate::none("not_matured"),
            rate_so_far: rate(0.7, 0.02),
        },
    ];
    let text = shown(&answer, PLAIN);
    let lines: Vec<&str> = text.lines().skip(14).take(3).collect();
    check(
        &(lines.join("\n") + "\n"),
        "
                       entered   Linked        open
Sun 15 Nov  █████▋       2 104   70.0 % ±2.0      0   in part
Mon 16 Nov                  98        –          40   not over yet
",
    );
}

fn reason(class: &str, code: &str, count: u64) -> ReasonCount {
    ReasonCount {
        class: class.into(),
        code: code.into(),
        attribution: Some("customer_org".into()),
        recoverable: Some(true),
        count,
    }
}

/// Two segments, with the reasons of 1 604 that dropped after the choice.
fn answer_with_reasons() -> FunnelAnswer {
    let mut answer = answer(vec![
        group(Some("accounting"), 7_911, [1.0, 0.912, 0.782], 58_000.0),
        group(Some("banking"), 4_327, [1.0, 0.86, 0.619], 109_000.0),
    ]);
    let step = &mut answer.total.steps[1];
    step.dropped = 1_604;
    step.reasons = vec![
        reason("unknown", "attempt.exited", 700),
        reason("platform", "not_found", 369),
        reason("user_choice", "cancelled", 280),
        reason("platform", "down", 128),
        reason("unknown", "timed_out", 127),
    ];
    // The same words from another side count together.
    step.reasons[0].attribution = None;
    step.reasons.push(ReasonCount {
        attribution: None,
        ..reason("platform", "down", 0)
    });
    answer.groups[0].steps[1].reasons = vec![reason("platform", "not_found", 369)];
    answer.query["filters"] = serde_json::json!([]);
    answer
}

/// What stands between the counts and what is still open.
fn middle(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with("entered"));
    let lines = lines.take_while(|line| !line.starts_with("still open"));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn under_a_drop_stand_its_reasons() {
    let text = shown(&answer_with_reasons(), PLAIN);
    check(
        &middle(&text),
        "
entered                                 14 402             7 911             4 327
Opened                   ████████        100 %             100 %             100 %
Chose provider           ███████▏       88.9 %            91.2 %            86.0 %
    dropped 1 604: exited 44 % · platform not found 23 % · cancelled 17 % · other 16 %
Linked                   █████▊         71.4 % ±0.7       78.2 % ±0.7       61.9 % ±0.7
uploaded a file, so far                  2.0 %             2.0 %             2.0 %
",
    );
}

#[test]
fn a_narrow_terminal_gets_the_reasons_below_and_no_line_that_is_too_long() {
    let mut answer = answer_with_reasons();
    let names = ["commerce", "payroll_hris", "payments"];
    let more = names.map(|name| group(Some(name), 2_000, [1.0, 0.9, 0.7], 1.0));
    answer.groups.extend(more);
    for width in [46, 60, 80] {
        let text = shown_with(&answer, Screen { width, ..PLAIN }, true);
        let too_long: Vec<&str> = text
            .lines()
            .filter(|l| crate::grid::len(l) > width)
            .collect();
        assert!(too_long.is_empty(), "at {width}: {too_long:?}\n{text}");
        let joined = text.replace('\n', " ");
        let reasons = "1 604 dropped after Chose provider: exited 44 % · platform not found 23 %";
        assert!(joined.contains(reasons), "{text}");
    }
}

#[test]
fn colour_and_bold_are_only_for_screens_that_want_them() {
    let mut answer = answer_with_reasons();
    answer.compare = Some(comparison());
    let plain = shown_with(&answer, PLAIN, true);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let painted = shown_with(
        &answer,
        Screen {
            colour: true,
            ..PLAIN
        },
        true,
    );
    assert!(
        painted.contains("\u{1b}[1mLinking\u{1b}[0m · journeys"),
        "{painted:?}"
    );
    let mut bare = painted;
    for code in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m"] {
        bare = bare.replace(code, "");
    }
    assert_eq!(bare, plain, "colour moves nothing");
}

#[test]
fn why_shows_every_reason_with_a_column_a_segment() {
    let text = shown_with(&answer_with_reasons(), PLAIN, true);
    let why = text.lines().skip_while(|line| !line.starts_with("Why "));
    let why: Vec<&str> = why.take_while(|line| !line.is_empty()).collect();
    check(
        &(why.join("\n") + "\n"),
        "
Why 1 604 dropped after Chose provider
                           all   share   accounting   banking    put down to   another try
  unknown.attempt.exited   700    44 %            0         0              –    could help
  platform.not_found       369    23 %          369         0   customer org    could help
  user_choice.cancelled    280    17 %            0         0   customer org    could help
  platform.down            128     8 %            0         0   customer org    could help
  unknown.timed_out        127     8 %            0         0   customer org    could help
  platform.down              0     0 %            0         0              –    could help
",
    );
}

fn side(key: Option<&str>, difference: Option<[f64; 3]>, part: Option<(f64, f64)>) -> Compared {
    let [value, low, high] = match difference {
        Some(numbers) => numbers.map(Some),
        None => [None; 3],
    };
    Compared {
        key: key
            .map(|v| BTreeMap::from([("category".to_owned(), v.to_owned())]))
            .unwrap_or_default(),
        entered: 13_005,
        converted: 9_000,
        matured: Matured {
            entered: 12_990,
            converted: 9_000,
        },
        rate: rate(0.693, 0.008),
        difference: Difference {
            value,
            low,
            high,
            code: None,
        },
        part: part.map(|(mix, rate)| DecompositionPart { mix, rate }),
    }
}

fn comparison() -> Comparison {
    Comparison {
        from: "2026-11-08T08:00:00Z".into(),
        to: "2026-11-15T08:00:00Z".into(),
        is_matured: true,
        own_is_matured: false,
        total: side(None, Some([0.021, 0.010, 0.032]), None),
        groups: vec![
            side(
                Some("accounting"),
                Some([-0.02, -0.033, -0.007]),
                Some((0.004, -0.01)),
            ),
            side(
                Some("banking"),
                Some([0.003, -0.04, 0.02]),
                Some((0.0, 0.027)),
            ),
            side(Some("payroll"), None, Some((0.0, 0.0))),
        ],
        decomposition: Decomposition {
            mix: Some(0.004),
            rate: Some(0.017),
            code: None,
        },
    }
}

#[test]
fn a_comparison_is_arrows_with_intervals_and_what_it_came_from() {
    let mut answer = answer_with_reasons();
    answer.compare = Some(comparison());
    let text = shown(&answer, PLAIN);
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("Linked  "));
    check(
        &(lines.take(9).collect::<Vec<_>>().join("\n") + "\n"),
        "
Linked                   █████▊         71.4 % ±0.7       78.2 % ±0.7       61.9 % ±0.7
against 8–15 Nov                        ▲ +2.1 ±1.1       ▼ −2.0 ±1.3       ≈ +0.3 (−4.0 to +2.0)
uploaded a file, so far                  2.0 %             2.0 %             2.0 %
still open                                   3                 3                 3
median time to link                 1 min 12 s              58 s        1 min 49 s

Against 8–15 Nov (69.3 % of 12 990 whose window is over): ▲ +2.1 points, 95 % interval +1.0 to +3.2.
Of this, +0.4 points come from the mix of category and +1.7 from the rates inside.
Entered only then: payroll (13 005).
",
    );
}

#[test]
fn what_cannot_be_compared_says_why() {
    let mut answer = answer(Vec::new());
    let mut empty = comparison();
    empty.groups.clear();
    empty.total = side(None, None, None);
    empty.total.entered = 0;
    empty.total.rate = Rate::none("nobody_entered");
    empty.decomposition = Decomposition {
        mix: None,
        rate: None,
        code: Some("no_breakdown".into()),
    };
    // The same days: a range of hours is named by its length.
    empty.from = "2026-11-15T08:00:00Z".into();
    empty.to = "2026-11-22T08:00:00Z".into();
    answer.compare = Some(empty);
    let text = shown(&answer, PLAIN);
    assert!(
        text.contains(
            "Against the 7 d before: nobody entered then, so there is nothing to compare with.\n"
        ),
        "{text}"
    );
    assert!(!text.contains("mix"), "{text}");
}
