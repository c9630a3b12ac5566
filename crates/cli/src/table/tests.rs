//! What the table looks like, as text.

use chrono::Utc;

use linkfunnel_query::{
    Group, Matured, OutcomeCount, Rate, StepAnswer, Times, TrendBucket, Warning,
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
    let now_us = "2026-11-22T08:15:00Z"
        .parse::<DateTime<Utc>>()
        .unwrap()
        .timestamp_micros();
    render(
        answer,
        &Frame {
            title: "linking",
            interval: Some("day"),
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
Linking · journeys entered 15–22 Nov (Europe/Paris) · window 24 h · live, human · surface = hosted_page, embedded_sdk    complete up to 09:14:20
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
fn segments_are_lines_where_columns_do_not_fit() {
    let names = ["accounting", "banking", "commerce", "payroll_hris"];
    let groups = names
        .iter()
        .map(|name| group(Some(name), 2_000, [1.0, 0.912, 0.782], 58_000.0));
    let text = shown(&answer(groups.collect()), Screen { width: 80, ..PLAIN });
    let lines: Vec<&str> = text.lines().skip(3).take(3).collect();
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
    let lines: Vec<&str> = text.lines().skip(12).take(3).collect();
    check(
        &(lines.join("\n") + "\n"),
        "
                       entered   Linked        open
Sun 15 Nov  █████▋       2 104   70.0 % ±2.0      0   in part
Mon 16 Nov                  98        –          40   not over yet
",
    );
}
