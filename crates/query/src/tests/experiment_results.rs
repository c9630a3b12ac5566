//! Experiments: who counts in which variant from when, and what is told of them.

use std::collections::BTreeMap;

use linkfunnel_model::{Event, Experiment, ExperimentContent, Mistake};
use serde_json::json;

use super::{DAY, World, event, merge, short};
use crate::{Engine, ExperimentAnswer, ExperimentQuestion, NamedExperiment};

/// Journeys in two variants from 1 September on, by the funnel [`short`].
pub(super) fn definition(fields: serde_json::Value) -> serde_json::Value {
    let mut definition = json!({
        "unit": "journey",
        "variants": [{"name": "old", "weight": 0.5}, {"name": "new", "weight": 0.5}],
        "start": "2026-09-01",
        "funnel": short(),
        "primary": [{"name": "Linked"}],
    });
    merge(&mut definition, fields);
    definition
}

pub(super) fn asked() -> ExperimentQuestion {
    ExperimentQuestion {
        id: "consent".to_owned(),
        include_open: false,
        as_of: None,
    }
}

fn named(definition: serde_json::Value) -> Result<NamedExperiment, Mistake> {
    let content = json!({"name": "Shorter consent", "definition": definition});
    let content: ExperimentContent = serde_json::from_value(content).unwrap();
    Ok(NamedExperiment {
        checked: content.check()?,
        content,
        version: 1,
        changes: Vec::new(),
    })
}

pub(super) async fn try_results(
    engine: &Engine,
    question: &ExperimentQuestion,
    definition: serde_json::Value,
) -> crate::Result<ExperimentAnswer> {
    engine
        .results_of("default", question, named(definition)?)
        .await
}

pub(super) async fn results(world: &World, fields: serde_json::Value) -> ExperimentAnswer {
    try_results(&world.engine, &asked(), definition(fields))
        .await
        .unwrap()
}
/// [`event`] with `exp=VARIANT` for an exposure and `assigned=VARIANT` for an assignment.
pub(super) fn told(line: &str, number: usize, unit: &'static str) -> Event<'static> {
    let is_told = |word: &&str| word.starts_with("exp=") || word.starts_with("assigned=");
    let plain: Vec<&str> = line
        .split_whitespace()
        .filter(|word| !is_told(word))
        .collect();
    let mut event = event(&plain.join(" "), number);
    for word in line.split_whitespace().filter(is_told) {
        let (key, variant) = word.split_once('=').unwrap();
        event = event.with_experiment(Experiment {
            id: "consent".into(),
            variant: variant.to_owned().into(),
            unit,
            exposed: key == "exp",
        });
    }
    event
}

pub(super) async fn world(unit: &'static str, lines: &str) -> World {
    let mut world = World::new().await;
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    let events: Vec<Event<'_>> = lines
        .enumerate()
        .map(|(i, line)| told(line, i, unit))
        .collect();
    world.publish(0, &events);
    world.watermark(40 * DAY);
    world
}

/// By variant `name: units, matured, reached of each step`.
fn counts(answer: &ExperimentAnswer) -> Vec<String> {
    let of = |(i, variant): (usize, &crate::VariantTold)| {
        let reached: Vec<String> = answer
            .steps
            .iter()
            .map(|step| {
                step.arms[i]
                    .reached
                    .map_or("-".to_owned(), |n| n.to_string())
            })
            .collect();
        format!(
            "{}: {}, {}, {}",
            variant.name,
            variant.units,
            variant.matured,
            reached.join(" ")
        )
    };
    answer.variants.iter().enumerate().map(of).collect()
}

#[tokio::test]
async fn the_event_that_exposes_may_take_the_first_step() {
    let world = world(
        "journey",
        "0 a opened exp=old
         1 a chose
         2 a linked
         0 b opened exp=new
         1 b chose",
    )
    .await;
    let answer = results(&world, json!({})).await;
    assert_eq!(counts(&answer), ["old: 1, 1, 1 1 1", "new: 1, 1, 1 1 0"]);
    assert_eq!(answer.entry, "exposed");
    // also where each next step needs a later instant
    let mut funnel = short();
    funnel["ties"] = json!("strict_increase");
    let answer = results(&world, json!({"funnel": funnel})).await;
    assert_eq!(counts(&answer), ["old: 1, 1, 1 1 1", "new: 1, 1, 1 1 0"]);
}

#[tokio::test]
async fn only_what_follows_exposure_counts_and_the_window_runs_from_it() {
    let world = world(
        "journey",
        "0 early opened
         1 early chose
         2 early linked
         3 early chose exp=old
         0 late attempt.opened exp=new
         23h late chose
         24h late linked
         0 later attempt.opened exp=new
         23h later chose
         24h+5us later linked",
    )
    .await;
    let answer = results(&world, json!({})).await;
    assert_eq!(counts(&answer), ["old: 1, 1, 0 0 0", "new: 2, 2, 2 2 1"]);
    assert_eq!(answer.health.outcome_before_exposure, Some(1));
    let found: Vec<&str> = answer
        .health
        .findings
        .iter()
        .map(|f| f.code.as_str())
        .collect();
    assert_eq!(found, ["outcome_before_exposure"]);
}

#[tokio::test]
async fn a_unit_in_two_variants_counts_in_none_or_in_its_first() {
    let lines = "0 a opened exp=old
         1 a chose exp=new
         2 a linked
         0 b opened exp=new
         0 c opened exp=other
         0 d opened exp=old";
    let world = world("journey", lines).await;
    let answer = results(&world, json!({})).await;
    assert_eq!(counts(&answer), ["old: 1, 1, 1 0 0", "new: 1, 1, 1 0 0"]);
    let health = &answer.health;
    assert_eq!(
        (
            health.units_seen,
            health.in_two_variants,
            health.unknown_variant
        ),
        (4, 1, 1)
    );
    assert_eq!(answer.verdict.decision, "broken: units in two variants");
    let question = ExperimentQuestion {
        id: "saved_elsewhere".to_owned(),
        ..asked()
    };
    let told_as = definition(json!({"told_as": "consent"}));
    let same = try_results(&world.engine, &question, told_as)
        .await
        .unwrap();
    assert_eq!(counts(&same), counts(&answer));
    let answer = results(&world, json!({"in_two_variants": "first_seen"})).await;
    assert_eq!(counts(&answer), ["old: 2, 2, 2 1 1", "new: 1, 1, 1 0 0"]);
}

#[tokio::test]
async fn assignments_count_where_nobody_says_who_was_exposed() {
    let world = world(
        "journey",
        "0 a opened assigned=old
         1 a linked assigned=old
         5 b experiment.assigned assigned=new
         6 b opened",
    )
    .await;
    let answer = results(&world, json!({})).await;
    assert_eq!(answer.entry, "assigned");
    assert_eq!(counts(&answer), ["old: 1, 1, 1 0 0", "new: 1, 1, 1 0 0"]);
}

#[tokio::test]
async fn an_exposure_without_an_assignment_is_told_where_assignments_are() {
    let world = world(
        "journey",
        "0 a experiment.assigned assigned=old
         1 a opened exp=old
         1 b experiment.exposed assigned=new",
    )
    .await;
    let answer = results(&world, json!({})).await;
    assert_eq!(answer.entry, "exposed");
    assert_eq!(counts(&answer), ["old: 1, 1, 1 0 0", "new: 1, 1, 0 0 0"]);
    assert_eq!(answer.health.without_assignment, Some(1));
}

#[tokio::test]
async fn who_is_exposed_to_another_variant_than_assigned_counts_where_it_was_exposed_and_is_told() {
    let world = world(
        "journey",
        "0 a opened assigned=old
         1 a chose exp=new
         0 b opened assigned=new
         1 b chose exp=new",
    )
    .await;
    let answer = results(&world, json!({})).await;
    assert_eq!(counts(&answer), ["old: 0, 0, 0 0 0", "new: 2, 2, 0 0 0"]);
    assert_eq!(answer.health.exposed_elsewhere, Some(1));
    let codes: Vec<&str> = answer
        .health
        .findings
        .iter()
        .map(|f| f.code.as_str())
        .collect();
    assert_eq!(codes, ["exposed_elsewhere"]);
}

#[tokio::test]
async fn journeys_taken_out_by_an_excluded_event_are_told_where_a_company_is_assigned() {
    let mut funnel = short();
    funnel["exclude"] = json!([{"event": "file.uploaded", "after": 1, "before": 3}]);
    funnel["on_exclude"] = json!("discard_subject");
    let world = world(
        "company",
        "0 - experiment.exposed exp=old company_id=c
         1 a opened company_id=c
         2 a file.uploaded company_id=c
         1 b opened company_id=c
         2 b chose company_id=c",
    )
    .await;
    let answer = results(&world, json!({"unit": "company", "funnel": funnel})).await;
    assert_eq!(answer.health.discarded, 1);
    assert_eq!(answer.variants[0].subjects, Some(1));
    let finding = &answer.health.findings[0];
    assert!(
        finding.detail.starts_with(
            "an excluded event, which a variant may bring about, took out 1 of the journeys"
        ),
        "{finding:?}"
    );
}

#[tokio::test]
async fn an_experiment_without_traffic_says_so() {
    let world = world("journey", "0 a opened").await;
    let answer = results(&world, json!({})).await;
    assert_eq!(counts(&answer), ["old: 0, 0, 0 0 0", "new: 0, 0, 0 0 0"]);
    assert_eq!(answer.verdict.decision, "no traffic");
    let comparison = &answer.primary[0].comparisons[0];
    assert_eq!(comparison.p, None);
    assert_eq!(comparison.code.as_deref(), Some("no_units"));
    assert_eq!(answer.health.sample_ratio.code.as_deref(), Some("no_units"));
    let empty = World::new().await;
    let answer = results(&empty, json!({})).await;
    assert_eq!(answer.verdict.decision, "no traffic");
}

#[tokio::test]
async fn open_units_are_left_out_unless_asked_for() {
    let young = world(
        "journey",
        "0 a opened exp=old
         39d+23h b opened exp=old
         39d+23h+1 b chose
         39d+23h+2 b linked",
    )
    .await;
    let answer = results(&young, json!({})).await;
    assert_eq!(counts(&answer), ["old: 2, 1, 1 0 0", "new: 0, 0, 0 0 0"]);
    assert_eq!(answer.verdict.decision, "too early");
    let question = ExperimentQuestion {
        include_open: true,
        ..asked()
    };
    let answer = try_results(&young.engine, &question, definition(json!({})))
        .await
        .unwrap();
    assert_eq!(counts(&answer), ["old: 2, 1, 2 1 1", "new: 0, 0, 0 0 0"]);
}

#[tokio::test]
async fn journeys_of_an_assigned_company_are_added_up_by_company() {
    let world = world(
        "company",
        "0 - experiment.exposed exp=old company_id=c1
         1 a opened company_id=c1
         2 a chose company_id=c1
         3 a linked company_id=c1
         4 b opened company_id=c1
         0 x opened company_id=c2
         1 x linked company_id=c2
         5 - experiment.exposed exp=new company_id=c2
         6 y opened company_id=c2
         7 y chose company_id=c2
         8 y linked company_id=c2
         0 - experiment.exposed exp=new company_id=c3",
    )
    .await;
    let answer = results(&world, json!({"unit": "company"})).await;
    let variants: Vec<_> = answer
        .variants
        .iter()
        .map(|v| (v.units, v.subjects.unwrap(), v.matured_subjects.unwrap()))
        .collect();
    assert_eq!(variants, [(1, 2, 2), (2, 1, 1)]);
    let linked = &answer.primary[0];
    assert_eq!(linked.measures, "rate_per_unit");
    assert_eq!(linked.arms[1].value, Some(1.0));
    assert_eq!(linked.arms[1].of, 1);
    // one company says nothing about how companies vary
    assert_eq!(linked.arms[0].value, Some(0.5));
    assert_eq!(linked.arms[0].code.as_deref(), Some("no_variance"));
    assert_eq!(linked.comparisons[0].p, None);
}

#[tokio::test]
async fn a_segment_is_frozen_at_the_first_exposure() {
    let world = world(
        "journey",
        "0 a opened exp=old surface=hosted_page
         1 a linked exp=old surface=embedded_sdk
         0 b opened exp=new
         0 c opened exp=new surface=hosted_page
         1 c chose
         2 c linked",
    )
    .await;
    let answer = results(&world, json!({"segments": ["surface"]})).await;
    let segments: BTreeMap<&str, Vec<u64>> = answer.segments[0]
        .values
        .iter()
        .map(|value| {
            (
                value.value.as_str(),
                value.arms.iter().map(|arm| arm.of).collect(),
            )
        })
        .collect();
    let expected = BTreeMap::from([("hosted_page", vec![1, 1]), ("(none)", vec![0, 1])]);
    assert_eq!(segments, expected);
}

#[tokio::test]
async fn journeys_of_companies_are_compared_segment_by_segment_with_an_interval() {
    let mut lines = String::new();
    for company in 0..24 {
        let (is_new, is_large) = (company % 2 == 0, company % 4 < 2);
        let variant = if is_new { "new" } else { "old" };
        let surface = if is_large {
            "hosted_page"
        } else {
            "embedded_sdk"
        };
        lines += &format!(
            "0 - experiment.exposed exp={variant} company_id=c{company} surface={surface}\n"
        );
        for journey in 0..if is_large { 4 } else { 1 } {
            let id = format!("j{company}-{journey}");
            lines += &format!(
                "1 {id} opened company_id=c{company}\n 2 {id} chose company_id=c{company}\n"
            );
            if company % 3 == 0 || is_new && journey == 0 {
                lines += &format!("3 {id} linked company_id=c{company}\n");
            }
        }
    }
    let answer = results(
        &world("company", &lines).await,
        json!({"unit": "company", "segments": ["surface"]}),
    )
    .await;
    let by_surface = &answer.segments[0];
    let rates: Vec<Option<f64>> = by_surface
        .values
        .iter()
        .flat_map(|v| v.arms.iter().map(|arm| arm.value))
        .collect();
    // 6 companies each: 2 of them link all of their journeys; of the others' the new variant links one
    assert_eq!(
        rates,
        [Some(1.0 / 3.0), Some(1.0), Some(1.0 / 3.0), Some(0.5)]
    );
    let told = &by_surface.stratified[0];
    // weights n1·n0/(n1 + n0) of 24 and 24 journeys, and of 6 and 6
    let weighted = (12.0 / 6.0 + 3.0 * 2.0 / 3.0) / 15.0;
    assert!(
        (told.stratified.value.unwrap() - weighted).abs() < 1e-12,
        "{told:?}"
    );
    let (low, high) = (told.stratified.low.unwrap(), told.stratified.high.unwrap());
    assert!(low < weighted && weighted < high && told.p.is_some());
}

#[tokio::test]
async fn of_exposures_at_one_instant_the_one_with_the_lowest_number_is_first() {
    for [first, second] in [["xero", "sage"], ["sage", "xero"]] {
        for (unit, who) in [("journey", "a"), ("company", "-")] {
            let lines = format!(
                "0 {who} experiment.exposed company_id=c seq=2 integration={second} exp=new
                 0 {who} experiment.exposed company_id=c seq=1 integration={first} exp=old
                 1 a opened company_id=c"
            );
            let fields =
                json!({"unit": unit, "segments": ["integration"], "in_two_variants": "first_seen"});
            let answer = results(&world(unit, &lines).await, fields).await;
            let units: Vec<u64> = answer.variants.iter().map(|v| v.units).collect();
            assert_eq!(units, [1, 0], "{unit}");
            let values: Vec<&str> = answer.segments[0]
                .values
                .iter()
                .map(|v| v.value.as_str())
                .collect();
            assert_eq!(values, [first], "{unit}");
        }
    }
}

#[tokio::test]
async fn values_are_added_up_within_the_window_and_before_exposure() {
    let world = world(
        "company",
        "0 - payment.settled company_id=c1 payment.amount_minor=700
         1d - experiment.exposed exp=old company_id=c1
         1d+1 - payment.settled company_id=c1 payment.amount_minor=100
         1d+2 - payment.settled company_id=c1 payment.amount_minor=50
         2d+1 - payment.settled company_id=c1 payment.amount_minor=5000
         1d - experiment.exposed exp=old company_id=c2
         1d - experiment.exposed exp=new company_id=c3
         1d+1 - payment.settled company_id=c3 payment.amount_minor=30
         1d - experiment.exposed exp=new company_id=c4
         1d+1 - payment.settled company_id=c4 payment.amount_minor=10",
    )
    .await;
    let amount = json!({"event": "payment.settled", "sum": "payment.amount_minor"});
    let answer = results(
        &world,
        json!({
            "unit": "company",
            "funnel": super::short_with(json!({"subject": "company"})),
            "primary": [
                {"name": "Paid", "mean": amount},
                {"name": "A payment", "ratio": {"numerator": amount, "denominator": {"event": "payment.settled"}}},
            ],
        }),
    )
    .await;
    let values = |metric: usize| -> Vec<Option<f64>> {
        answer.primary[metric]
            .arms
            .iter()
            .map(|arm| arm.value)
            .collect()
    };
    assert_eq!(values(0), [Some(75.0), Some(20.0)]);
    assert_eq!(values(1), [Some(75.0), Some(20.0)]);
    assert_eq!(answer.primary[0].explained, None);
    let looked = |window: &str| {
        json!({
            "unit": "company",
            "funnel": super::short_with(json!({"subject": "company"})),
            "covariate_window": window,
            "primary": [{"name": "Paid", "mean": amount}],
        })
    };
    let answer = results(&world, looked("P2D")).await;
    assert!(
        answer.primary[0].explained.is_some(),
        "before exposure c1 paid 700"
    );
    let answer = results(&world, looked("PT1H")).await;
    assert_eq!(answer.primary[0].explained, None);
}

#[tokio::test]
async fn mistakes_point_at_the_culprit() {
    let world = world("journey", "0 a opened exp=old").await;
    let company = super::short_with(json!({"subject": "company"}));
    for (fields, code, pointer) in [
        (
            json!({"primary": [{"name": "L", "step": 9}]}),
            "unknown_step",
            "/definition/primary/0/step",
        ),
        (
            json!({"funnel": "lnking"}),
            "unknown_funnel",
            "/definition/funnel",
        ),
        (
            json!({"primary": [{"name": "L", "funnel": "nope"}]}),
            "unknown_funnel",
            "/definition/primary/0/funnel",
        ),
        (
            json!({"funnel": company}),
            "coarser_subject",
            "/definition/funnel/subject",
        ),
        (
            json!({"unit": "company", "method": {"sequential": {"looks": 3}}, "planned_units": 9}),
            "finer_subject",
            "/definition/method",
        ),
        (
            json!({"unit": "company", "planned_units": 9}),
            "finer_subject",
            "/definition/planned_units",
        ),
        (
            json!({"unit": "company", "primary": [{"name": "L", "time_to_step": 3}]}),
            "finer_subject",
            "/definition/primary/0/time_to_step",
        ),
        (
            json!({"variants": [{"name": "old", "weight": 0.5}, {"name": "new", "weight": 0.4}]}),
            "weights_do_not_sum",
            "/definition/variants",
        ),
    ] {
        let error = try_results(&world.engine, &asked(), definition(fields.clone()))
            .await
            .unwrap_err();
        let crate::Error::Invalid {
            code: told,
            pointer: at,
            ..
        } = error
        else {
            panic!("{fields}: {error:?}");
        };
        assert_eq!((told, at.as_str()), (code, pointer), "{fields}");
    }
}

pub(super) fn without_meta(answer: &ExperimentAnswer) -> String {
    let mut json = serde_json::to_value(answer).unwrap();
    json.as_object_mut().unwrap().remove("meta");
    json.to_string()
}

#[tokio::test]
async fn the_time_to_the_step_is_from_exposure() {
    let world = world(
        "journey",
        "0 a opened exp=old
         1 a chose
         10 a linked
         0 b opened exp=new
         1 b chose
         4 b linked
         0 c opened exp=new
         1 c chose
         6 c linked",
    )
    .await;
    let answer = results(
        &world,
        json!({"primary": [{"name": "Linked"}, {"name": "Time", "time_to_step": 3}]}),
    )
    .await;
    let time = answer.time.unwrap();
    assert_eq!(time.arms[0].median_ms, Some(10_000.0));
    assert_eq!(time.arms[1].restricted_mean_ms, Some(5_000.0));
    assert_eq!(time.comparisons[0].difference_ms.value, Some(-5_000.0));
    let shares: Vec<f64> = time.arms[1].curve.iter().map(|point| point.share).collect();
    assert_eq!(shares, [0.5, 1.0]);
    assert_eq!(answer.primary[1].measures, "time");
    assert_eq!(answer.primary[1].arms[1].value, Some(5_000.0));
}
