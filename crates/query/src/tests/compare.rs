//! Semantics rule 22: the same definition over another range, the difference, and what it came from.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{DAY, World, short_with};
use crate::{Compared, Comparison, FunnelAnswer};

/// Ten whole days; the ten before are the first of the month.
const OWN: (&str, &str) = ("2026-09-11", "2026-09-21");

fn asked(more: Json) -> Json {
    let mut question = json!({"range": {"from": OWN.0, "to": OWN.1}, "compare": "previous_period"});
    super::merge(&mut question, more);
    question
}

fn by_category(limit: usize) -> Json {
    asked(json!({"breakdown": {"by": ["category"], "limit": limit}}))
}

fn compared(answer: &FunnelAnswer) -> &Comparison {
    answer.compare.as_ref().unwrap()
}

/// A journey of one category that enters on a day and converts or not.
type Journey = (i64, usize, bool);
const CATEGORIES: [&str; 4] = ["accounting", "banking", "commerce", "(none)"];

fn lines(journeys: &[Journey]) -> String {
    let mut lines = String::new();
    for (i, (day, category, converts)) in journeys.iter().enumerate() {
        let category = match CATEGORIES[*category] {
            "(none)" => String::new(),
            named => format!(" category={named}"),
        };
        lines += &format!("{day}d+1h j{i} opened{category}\n");
        if *converts {
            lines += &format!("{day}d+2h j{i} chose{category}\n{day}d+3h j{i} linked{category}\n");
        }
    }
    lines
}

async fn world(journeys: &[Journey], watermark_days: i64) -> World {
    let mut world = World::new().await;
    world.add(&lines(journeys));
    world.watermark(watermark_days * DAY);
    world
}

/// entered, converted, matured entered, matured converted; counted from the journeys themselves.
type Truth = [u64; 4];

fn truth(
    journeys: &[Journey],
    days: std::ops::Range<i64>,
    watermark_days: i64,
    of: &dyn Fn(usize) -> bool,
) -> Truth {
    let mut counts = [0; 4];
    for (day, category, converts) in journeys {
        // The clock starts an hour into the day and runs for one.
        let matured = day + 2 <= watermark_days;
        if days.contains(day) && of(*category) {
            for (count, yes) in
                counts
                    .iter_mut()
                    .zip([true, *converts, matured, matured && *converts])
            {
                *count += u64::from(yes);
            }
        }
    }
    counts
}

fn told(side: &Compared) -> Truth {
    [
        side.entered,
        side.converted,
        side.matured.entered,
        side.matured.converted,
    ]
}

fn rate(truth: Truth) -> Option<f64> {
    (truth[2] > 0).then(|| truth[3] as f64 / truth[2] as f64)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

/// The total rate that shares of one side and rates of one side make; a rate that a side lacks is the other's.
fn standardised(sides: &[[Truth; 2]], shares: usize, rates: usize) -> f64 {
    let all: u64 = sides.iter().map(|s| s[shares][2]).sum();
    let term = |s: &[Truth; 2]| {
        let share = s[shares][2] as f64 / all as f64;
        share * rate(s[rates]).or(rate(s[1 - rates])).unwrap_or(0.0)
    };
    sides.iter().map(term).sum()
}

async fn check(journeys: Vec<Journey>, watermark_days: i64, limit: usize) {
    let answer = world(&journeys, watermark_days)
        .await
        .ask(by_category(limit))
        .await;
    let comparison = compared(&answer);
    let side = |days: std::ops::Range<i64>, of: &dyn Fn(usize) -> bool| {
        truth(&journeys, days, watermark_days, of)
    };
    let everybody = |_| true;
    let (own, other) = (side(10..20, &everybody), side(0..10, &everybody));
    assert_eq!(told(&comparison.total), other);
    let difference = rate(own).zip(rate(other)).map(|(a, b)| a - b);
    assert_eq!(
        comparison.total.difference.value.is_some(),
        difference.is_some()
    );

    let named: BTreeSet<&str> = comparison
        .groups
        .iter()
        .map(|g| g.key["category"].as_str())
        .collect();
    assert_eq!(named.len(), comparison.groups.len(), "each segment once");
    let shown = named.iter().filter(|name| !name.starts_with('(')).count();
    assert!(shown <= limit);
    let mut sides = Vec::new();
    for group in &comparison.groups {
        let of = |c: usize| match group.key["category"].as_str() {
            "(other)" => !named.contains(CATEGORIES[c]),
            name => CATEGORIES[c] == name,
        };
        let pair = [side(10..20, &of), side(0..10, &of)];
        assert_eq!(told(group), pair[1], "{:?}", group.key);
        assert!(
            pair[0][0] + pair[1][0] > 0,
            "nobody anywhere: {:?}",
            group.key
        );
        match (rate(pair[0]).zip(rate(pair[1])), group.difference.value) {
            (Some((a, b)), Some(value)) => assert!(close(a - b, value)),
            (None, None) => assert!(group.difference.code.is_some()),
            (expected, told) => panic!("{expected:?} {told:?}"),
        }
        sides.push(pair);
    }
    for i in 0..4 {
        assert_eq!(sides.iter().map(|s| s[1][i]).sum::<u64>(), other[i]);
        assert_eq!(sides.iter().map(|s| s[0][i]).sum::<u64>(), own[i]);
    }
    let split = &comparison.decomposition;
    let Some(difference) = difference else {
        assert!(split.mix.is_none() && split.rate.is_none() && split.code.is_some());
        return;
    };
    let (mix, inside) = (split.mix.unwrap(), split.rate.unwrap());
    assert!(
        close(mix + inside, difference),
        "{mix} + {inside} for {difference}"
    );
    let at = |shares, rates| standardised(&sides, shares, rates);
    let expected = f64::midpoint(at(0, 1) - at(1, 1), at(0, 0) - at(1, 0));
    assert!(close(mix, expected), "{mix} for {expected}");
    let parts: Vec<_> = comparison.groups.iter().map(|g| g.part.unwrap()).collect();
    assert!(close(parts.iter().map(|p| p.mix).sum(), mix));
    assert!(close(parts.iter().map(|p| p.rate).sum(), inside));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn sides_are_counted_right_and_the_parts_add_up_to_the_difference(
        journeys in prop::collection::vec((0..22_i64, 0..4_usize, any::<bool>()), 0..60),
        watermark_days in 5..24_i64,
        limit in 1..5_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(journeys, watermark_days, limit));
    }
}

#[tokio::test]
async fn the_other_side_is_what_asking_of_its_range_answers() {
    let journeys: Vec<Journey> = (0..40)
        .zip((0..3).cycle())
        .map(|(i, category)| (i / 2, category, i % 5 < 2))
        .collect();
    let world = world(&journeys, 40).await;
    let answer = world.ask(by_category(20)).await;
    let comparison = compared(&answer);
    assert_eq!(
        (comparison.from.as_str(), comparison.to.as_str()),
        ("2026-09-01T00:00:00Z", "2026-09-11T00:00:00Z")
    );
    let range = json!({"from": comparison.from, "to": comparison.to});
    let alone = world.ask(json!({"range": range, "breakdown": {"by": ["category"]}, "as_of": answer.meta.snapshot})).await;
    assert_eq!(comparison.total.rate, alone.total.rate);
    let by_key: BTreeMap<_, _> = alone.groups.iter().map(|g| (&g.key, g)).collect();
    assert_eq!(by_key.len(), comparison.groups.len());
    for group in &comparison.groups {
        let same = by_key[&group.key];
        assert_eq!(
            (group.entered, group.converted, group.matured),
            (same.entered, same.converted, same.matured)
        );
        assert_eq!(group.rate, same.rate);
    }
    // The explicit range is the same question, and a comparison changes nothing of the answer's own side.
    let mut explicit = by_category(20);
    explicit["compare"] = range;
    let explicit = world.ask(explicit).await;
    assert_eq!(explicit.compare, answer.compare);
    let mut own = by_category(20);
    own.as_object_mut().unwrap().remove("compare");
    let own = world.ask(own).await;
    assert_eq!(
        (own.compare, own.total, own.groups),
        (None, answer.total.clone(), answer.groups.clone())
    );
}

#[tokio::test]
async fn a_known_case_has_its_known_interval() {
    // Newcombe's example (a): 56 of 70 against 48 of 80.
    let side = |day: i64, n: usize, x: usize| (0..n).map(move |i| (day, 0, i < x));
    let journeys: Vec<Journey> = side(12, 70, 56).chain(side(3, 80, 48)).collect();
    let answer = world(&journeys, 40).await.ask(asked(json!({}))).await;
    let comparison = compared(&answer);
    let difference = &comparison.total.difference;
    let near = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 0.000_05;
    assert!(
        near(difference.value, 0.2)
            && near(difference.low, 0.0524)
            && near(difference.high, 0.3339)
    );
    assert_eq!(
        comparison.decomposition.code.as_deref(),
        Some("no_breakdown")
    );
    assert!(comparison.is_matured && comparison.own_is_matured && comparison.groups.is_empty());
    assert!(
        answer.meta.warnings.is_empty(),
        "{:?}",
        answer.meta.warnings
    );
}

#[tokio::test]
async fn an_empty_other_side_is_null_with_a_code_and_never_a_zero() {
    let answer = world(&[(12, 0, true), (13, 1, false)], 40)
        .await
        .ask(by_category(20))
        .await;
    let comparison = compared(&answer);
    for side in comparison.groups.iter().chain([&comparison.total]) {
        assert_eq!(told(side), [0; 4]);
        let codes = [side.rate.code.as_deref(), side.difference.code.as_deref()];
        assert_eq!(codes, [Some("nobody_entered"); 2], "{side:?}");
        assert_eq!(
            (side.rate.value, side.difference.value, side.part),
            (None, None, None)
        );
    }
    assert_eq!(
        comparison.decomposition.code.as_deref(),
        Some("nobody_entered")
    );
    assert_eq!(comparison.decomposition.mix, None);
}

#[tokio::test]
async fn a_side_whose_windows_still_run_is_said_to() {
    let journeys = [(3, 0, true), (12, 0, true), (19, 0, false)];
    let answer = world(&journeys, 20).await.ask(by_category(20)).await;
    let comparison = compared(&answer);
    assert!(comparison.is_matured && !comparison.own_is_matured);
    let warning = &answer.meta.warnings[0];
    assert_eq!(warning.code, "compare_not_matured");
    assert!(
        warning.detail.contains("in this range"),
        "{}",
        warning.detail
    );
    // Only the matured: 1 of 1 against 1 of 1.
    assert_eq!(comparison.total.difference.value, Some(0.0));
    let early = world(&[(3, 0, true), (12, 0, true)], 12)
        .await
        .ask(asked(json!({})))
        .await;
    assert_eq!(
        compared(&early).total.difference.code.as_deref(),
        Some("not_matured")
    );
}

#[tokio::test]
async fn overlapping_segments_have_differences_and_no_decomposition() {
    let world = World::of(
        "2d j1 opened \n 2d+1 j1 chose integration=xero \n 2d+2 j1 linked integration=xero
         12d j2 opened \n 12d+1 j2 chose integration=xero \n 12d+2 j2 chose integration=sage \n 12d+3 j2 linked integration=sage",
    )
    .await;
    let answer = world
        .ask(asked(json!({"breakdown": {"by": ["integration"]}})))
        .await;
    let comparison = compared(&answer);
    assert_eq!(
        comparison.decomposition.code.as_deref(),
        Some("segments_overlap")
    );
    let difference = |name: &str| {
        let group = comparison
            .groups
            .iter()
            .find(|g| g.key["integration"] == name)
            .unwrap();
        assert_eq!(group.part, None);
        group.difference.value
    };
    assert_eq!((difference("xero"), difference("sage")), (Some(-1.0), None));
    assert_eq!(comparison.total.difference.value, Some(0.0));
}

#[tokio::test]
async fn a_subject_that_enters_in_both_ranges_stands_on_both_sides() {
    let world =
        World::of("5d j1 opened \n 15d j1 opened \n 15d+1 j1 chose \n 15d+2 j1 linked").await;
    let answer = world.ask(asked(json!({}))).await;
    assert_eq!((answer.total.entered, answer.total.converted), (1, 1));
    assert_eq!(told(&compared(&answer).total), [1, 0, 1, 0]);
}

#[tokio::test]
async fn months_are_compared_by_the_calendar_of_the_zone() {
    let world = World::of("0 j1 opened").await;
    let range = json!({"from": "2026-10-01", "to": "2026-11-01", "timezone": "Europe/Paris"});
    let answer = world
        .ask(json!({"range": range, "compare": "previous_period"}))
        .await;
    let comparison = compared(&answer);
    assert_eq!(
        (comparison.from.as_str(), comparison.to.as_str()),
        ("2026-09-01T00:00:00+02:00", "2026-10-01T00:00:00+02:00")
    );
    assert_eq!(comparison.total.entered, 1);
    let year = world
        .ask(json!({"range": range, "compare": "previous_year"}))
        .await;
    assert_eq!(compared(&year).to, "2025-11-01T00:00:00+01:00");
}

#[tokio::test]
async fn given_bins_count_exactly_and_hold_every_conversion() {
    let linked_after =
        |i: usize, us: &str| format!("0 j{i} opened \n 0 j{i} chose \n {us} j{i} linked\n");
    let times = ["0", "59+999999us", "60", "60+1us", "299", "300", "1d"];
    let world = World::of(
        &times
            .iter()
            .enumerate()
            .map(|(i, t)| linked_after(i, t))
            .collect::<String>(),
    )
    .await;
    let question = |bins: Json| json!({"include": ["time_to_convert"], "bins": bins});
    let bins = |answer: FunnelAnswer| {
        let bins = answer.total.time_to_convert.unwrap().bins;
        bins.iter()
            .map(|b| (b.from_ms, b.to_ms, b.count))
            .collect::<Vec<_>>()
    };
    let cut = bins(world.ask(question(json!([60_000, 300_000]))).await);
    assert_eq!(
        cut,
        [
            (0.0, 60_000.0, 2),
            (60_000.0, 300_000.0, 3),
            (300_000.0, 86_400_000.0, 2)
        ]
    );
    assert_eq!(
        bins(world.ask(question(json!([]))).await),
        [(0.0, 86_400_000.0, 7)]
    );
    let automatic = bins(world.ask(question(Json::Null)).await);
    assert_eq!(automatic.iter().map(|b| b.2).sum::<u64>(), 7);
    assert!(automatic.windows(2).all(|w| w[0].1 <= w[1].0));
    let refused = world.try_ask(json!({"bins": [60_000]})).await.unwrap_err();
    assert_eq!(refused.pointer(), "/bins");
}

#[tokio::test]
async fn bins_are_of_each_segment_and_under_every_kind_of_entry() {
    let world = World::of(
        "0 j1 opened category=banking \n 1 j1 chose \n 30 j1 linked
         2d j1 opened category=banking \n 2d+1 j1 chose \n 2d+90 j1 linked
         0 j2 opened category=accounting \n 1 j2 chose \n 70 j2 linked",
    )
    .await;
    for (entries, expected) in [("cohort", [1, 1]), ("all", [1, 2]), ("best", [1, 1])] {
        let question = json!({"funnel": short_with(json!({"entries": entries})), "breakdown": {"by": ["category"]},
            "include": ["time_to_convert"], "bins": [60_000]});
        let answer = world.ask(question).await;
        let counts = |times: &Option<crate::TimeToConvert>| {
            times
                .as_ref()
                .unwrap()
                .bins
                .iter()
                .map(|b| b.count)
                .collect::<Vec<_>>()
        };
        assert_eq!(counts(&answer.total.time_to_convert), expected, "{entries}");
        let sum: u64 = answer
            .groups
            .iter()
            .flat_map(|g| counts(&g.time_to_convert))
            .sum();
        assert_eq!(sum, answer.total.converted, "{entries}");
    }
}
