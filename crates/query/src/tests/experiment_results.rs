//! Experiments: who counts in which variant from when, plain cases and a recount by hand of random ones.

use std::collections::{BTreeMap, BTreeSet};

use linkfunnel_model::{Event, Experiment, ExperimentContent, Mistake};
use proptest::prelude::*;
use serde_json::json;

use linkfunnel_testkit::generate::Ids;

use super::generated::{events, generate};
use super::{DAY, World, event, merge, short};
use crate::{Engine, ExperimentAnswer, ExperimentQuestion, NamedExperiment};

/// Journeys in two variants from 1 September on, by the funnel [`short`].
fn definition(fields: serde_json::Value) -> serde_json::Value {
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

fn asked() -> ExperimentQuestion {
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

async fn try_results(
    engine: &Engine,
    question: &ExperimentQuestion,
    definition: serde_json::Value,
) -> crate::Result<ExperimentAnswer> {
    engine
        .results_of("default", question, named(definition)?)
        .await
}

async fn results(world: &World, fields: serde_json::Value) -> ExperimentAnswer {
    try_results(&world.engine, &asked(), definition(fields))
        .await
        .unwrap()
}
/// [`event`] with `exp=VARIANT` for an exposure and `assigned=VARIANT` for an assignment.
fn told(line: &str, number: usize, unit: &'static str) -> Event<'static> {
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

async fn world(unit: &'static str, lines: &str) -> World {
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

/// A random event: time (s), journey, company, what it does, variant told and whether as exposure.
type Dealt = (i64, u8, u8, u8, Option<(bool, bool)>);

fn line((at, journey, company, what, told): &Dealt) -> String {
    let what = ["opened", "chose", "linked", "sync.initial_completed"][usize::from(*what)];
    let told = told.map_or(String::new(), |(is_new, exposes)| {
        let variant = if is_new { "new" } else { "old" };
        let key = if exposes { "exp" } else { "assigned" };
        format!("{key}={variant}")
    });
    format!("{at} j{journey} {what} company_id=c{company} {told}")
}

/// What a unit's events say, recounted by hand: its variant and how many steps it got to within `window` after its first
/// exposure.
fn recount(events: &[Dealt], window: i64) -> (Option<bool>, bool, usize) {
    let exposures: Vec<(i64, bool)> = events
        .iter()
        .filter_map(|(at, _, _, _, told)| told.filter(|told| told.1).map(|told| (*at, told.0)))
        .collect();
    let Some(first) = exposures.iter().map(|(at, _)| *at).min() else {
        return (None, false, 0);
    };
    let variants: BTreeSet<bool> = exposures.iter().map(|(_, variant)| *variant).collect();
    let is_in_two = variants.len() > 1;
    // the furthest chain of later or equal times, by trying all
    let mut ends: Vec<Option<i64>> = vec![Some(first); 4];
    for step in 0..3_usize {
        let from = if step == 0 { Some(first) } else { ends[step] };
        ends[step + 1] = from.and_then(|from| {
            let takes = |(at, _, _, what, _): &&Dealt| {
                usize::from(*what) == step && *at >= from && *at <= first + window
            };
            events.iter().filter(takes).map(|(at, ..)| *at).min()
        });
    }
    let got = (1..4).take_while(|step| ends[*step].is_some()).count();
    (variants.first().copied(), is_in_two, got)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn random_experiments_are_counted_as_by_hand(
        dealt in prop::collection::vec(
            (0..200_i64, 0..12_u8, Just(0_u8), 0..4_u8, prop::option::weighted(0.4, (any::<bool>(), prop::bool::weighted(0.7)))),
            1..120,
        ),
        window in 1..150_i64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // a journey stays with its company
        let dealt: Vec<Dealt> = dealt.into_iter().map(|(at, j, _, w, t)| (at, j, j / 3, w, t)).collect();
        let mut expected: BTreeMap<&str, Vec<u64>> = BTreeMap::from([("old", vec![0; 4]), ("new", vec![0; 4])]);
        let (mut two, mut seen) = (0, 0);
        for journey in 0..12 {
            let own: Vec<Dealt> = dealt.iter().filter(|event| event.1 == journey).copied().collect();
            let (variant, is_in_two, got) = recount(&own, window);
            let Some(is_new) = variant else { continue };
            seen += 1;
            two += u64::from(is_in_two);
            if is_in_two { continue }
            let counts = expected.get_mut(if is_new { "new" } else { "old" }).unwrap();
            counts[..=got].iter_mut().for_each(|count| *count += 1);
        }
        runtime.block_on(async {
            let mut world = World::new().await;
            let events: Vec<Event<'_>> = dealt.iter().enumerate().map(|(i, d)| told(&line(d), i, "journey")).collect();
            world.publish(0, &events);
            world.watermark(40 * DAY);
            let funnel = super::short_with(json!({"window": format!("PT{window}S")}));
            let definition = definition(json!({"funnel": funnel}));
            let first = try_results(&world.engine, &asked(), definition.clone()).await.unwrap();
            if seen == 0 { return }
            for (i, variant) in first.variants.iter().enumerate() {
                let mut told = vec![variant.units];
                told.extend(first.steps.iter().map(|step| step.arms[i].reached.unwrap()));
                assert_eq!(&told, &expected[variant.name.as_str()], "{dealt:?}");
            }
            assert_eq!((first.health.units_seen, first.health.in_two_variants), (seen, two));
            world.commit().await;
            world.compact().await;
            for threads in [1, 3] {
                let again = try_results(&world.engine(threads), &asked(), definition.clone()).await.unwrap();
                assert_eq!(without_meta(&again), without_meta(&first));
            }
        });
    }
}

fn without_meta(answer: &ExperimentAnswer) -> String {
    let mut json = serde_json::to_value(answer).unwrap();
    json.as_object_mut().unwrap().remove("meta");
    json.to_string()
}

#[tokio::test]
async fn planned_looks_are_made_by_day_and_stop_once() {
    // ten journeys of each variant a day; every new one links, half of the old ones do
    let mut lines = String::new();
    for day in 0..6 {
        for i in 0..10 {
            for variant in ["old", "new"] {
                let journey = format!("{variant}{day}x{i}");
                lines += &format!(
                    "{day}d+{i} {journey} opened exp={variant}\n{day}d+{i} {journey} chose\n"
                );
                if variant == "new" || i % 2 == 0 {
                    lines += &format!("{day}d+{} {journey} linked\n", i + 1);
                }
            }
        }
    }
    let world = world("journey", &lines).await;
    let method =
        |planned: u64| json!({"method": {"sequential": {"looks": 4}}, "planned_units": planned});
    let answer = results(&world, method(160)).await;
    let looks: Vec<_> = answer
        .method
        .looks
        .iter()
        .map(|look| (look.units, look.day.as_deref().map(|day| &day[8..])))
        .collect();
    let expected =
        [(40, "02"), (80, "04"), (120, "06")].map(|(units, day)| (Some(units), Some(day)));
    assert_eq!(looks[..3], expected);
    assert_eq!(looks[3], (None, None));
    assert_eq!(answer.verdict.decision, "variant", "{:?}", answer.verdict);
    assert_eq!(answer.verdict.variant.as_deref(), Some("new"));
    // between looks there is no verdict
    let answer = results(&world, method(4_000)).await;
    assert_eq!(answer.verdict.decision, "too early");
    assert!(
        answer.verdict.sentence.contains("planned look 1"),
        "{:?}",
        answer.verdict
    );
    // what is to be read once is not read before
    let answer = results(&world, json!({"end": "2026-12-01"})).await;
    assert_eq!(answer.verdict.decision, "too early");
    let answer = results(&world, json!({"end": "2026-09-20"})).await;
    assert_eq!(answer.verdict.decision, "variant");
    let answer = results(&world, json!({"method": {"continuous": {}}})).await;
    assert_eq!(answer.verdict.decision, "variant", "{:?}", answer.verdict);
}

#[tokio::test]
async fn a_failing_guardrail_or_a_lost_split_is_no_winner() {
    let mut lines = String::new();
    for i in 0..200 {
        for variant in ["old", "new"] {
            lines += &format!("{i} {variant}{i} opened exp={variant}\n");
            if variant == "old" || i % 4 == 0 {
                lines += &format!("{i} {variant}{i} chose\n{i} {variant}{i} file.uploaded\n");
            }
            if (variant == "new" && i % 4 == 0) || i % 20 == 0 {
                lines += &format!("{} {variant}{i} linked\n", i + 1);
            }
        }
    }
    let world = world("journey", &lines).await;
    let ended = |more: serde_json::Value| {
        let mut fields = json!({"end": "2026-09-20"});
        merge(&mut fields, more);
        fields
    };
    let answer = results(&world, ended(json!({}))).await;
    assert_eq!(answer.verdict.decision, "variant", "{:?}", answer.verdict);
    let guardrail = json!({"guardrails": [{"name": "Chose", "step": 2, "margin": 0.05}]});
    let answer = results(&world, ended(guardrail)).await;
    assert_eq!(answer.guardrails[0].verdicts[0].verdict, "fail");
    assert_eq!(answer.verdict.decision, "do not ship: guardrail");
    let weights =
        json!({"variants": [{"name": "old", "weight": 0.3}, {"name": "new", "weight": 0.7}]});
    let answer = results(&world, ended(weights)).await;
    assert_eq!(answer.verdict.decision, "broken: sample ratio");
    assert_eq!(answer.health.status, "fail");
}

#[tokio::test]
async fn three_variants_share_the_level() {
    let mut lines = String::new();
    for i in 0..60 {
        for (variant, every) in [("old", 3), ("new", 2), ("third", 3)] {
            lines += &format!("{i} {variant}{i} opened exp={variant}\n{i} {variant}{i} chose\n");
            if i % every == 0 {
                lines += &format!("{} {variant}{i} linked\n", i + 1);
            }
        }
    }
    let world = world("journey", &lines).await;
    let variants: Vec<_> = ["old", "new", "third"]
        .map(|name| json!({"name": name, "weight": 0.333}))
        .to_vec();
    let answer = results(
        &world,
        json!({"variants": variants, "control": "third", "end": "2026-09-20"}),
    )
    .await;
    assert_eq!(answer.method.family, 2);
    let told: Vec<_> = answer.primary[0]
        .comparisons
        .iter()
        .map(|one| {
            (
                one.variant.as_str(),
                one.against.as_str(),
                one.p.unwrap(),
                one.p_corrected.unwrap(),
            )
        })
        .collect();
    assert_eq!((told[0].0, told[0].1), ("old", "third"));
    assert!((told[0].2 - 1.0).abs() < 1e-9);
    assert!((told[1].3 - 2.0 * told[1].2).abs() < 1e-12, "{told:?}");
    assert_eq!(answer.verdict.decision, "no difference shown");
    assert!(
        answer.primary[0]
            .comparisons
            .iter()
            .all(|one| one.simultaneous.is_some())
    );
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_experiment_gives_exactly_the_true_counts() {
    for (seed, ids) in [(1, Ids::Full), (2, Ids::Full), (3, Ids::Sparse)] {
        let (deliveries, truth) = generate(seed, ids, 900);
        let mut world = World::new().await;
        world.watermark(90 * DAY);
        world.publish(0, &events(&deliveries));
        let definition = definition(json!({
            "unit": "company",
            "variants": [{"name": "control", "weight": 0.5}, {"name": "treatment", "weight": 0.5}],
            "funnel": "linking",
        }));
        let question = ExperimentQuestion {
            id: "short_consent".to_owned(),
            ..asked()
        };
        for stage in ["hot", "compacted"] {
            let answer = try_results(&world.engine, &question, definition.clone());
            let answer = answer.await.unwrap();
            let linked = &answer.primary[0];
            for (variant, arm) in answer.variants.iter().zip(&linked.arms) {
                let truth = &truth.linking.by["experiment"][variant.name.as_str()].matured;
                let told = (variant.matured_subjects.unwrap(), arm.of);
                assert_eq!(told, (truth.entered, truth.entered), "seed {seed}, {stage}");
                #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
                let rate = truth.converted as f64 / truth.entered as f64;
                assert!(
                    (arm.value.unwrap() - rate).abs() < 1e-12,
                    "seed {seed}, {stage}"
                );
            }
            assert_eq!(answer.health.in_two_variants, 0);
            assert_eq!(answer.health.unknown_variant, 0);
            world.commit().await;
            world.compact().await;
        }
    }
}

/// `n` journeys of a variant that open and choose, of which one in `every` links; a fresh name each.
fn some(variant: &str, day: usize, n: usize, every: usize) -> String {
    let one = |i: usize| {
        let journey = format!("{variant}{day}x{i}");
        let link = match i % every {
            0 => format!("{day}d+{} {journey} linked\n", i + 2),
            _ => String::new(),
        };
        format!(
            "{day}d+{i} {journey} opened exp={variant}\n{day}d+{} {journey} chose\n{link}",
            i + 1
        )
    };
    (0..n).map(one).collect()
}

#[tokio::test]
async fn where_the_planned_end_comes_before_the_units_the_last_look_is_made_then() {
    let lines = some("old", 0, 200, 10) + &some("new", 0, 200, 2);
    let world = world("journey", &lines).await;
    let fields = json!({"method": {"sequential": {"looks": 2}}, "planned_units": 1_000, "end": "2026-09-02"});
    let answer = results(&world, fields).await;
    assert_eq!(answer.method.looks[0].units, None);
    assert_eq!(answer.method.looks[1].units, Some(400));
    assert_eq!(
        answer.verdict.variant.as_deref(),
        Some("new"),
        "{:?}",
        answer.verdict
    );
    assert!(
        answer
            .verdict
            .sentence
            .starts_with("At look 2 new had z +8."),
        "{:?}",
        answer.verdict
    );
    // what ends with its units ends on the day they are there, whatever comes later
    let answer = results(&world, json!({"planned_units": 400})).await;
    assert_eq!(answer.method.looks.len(), 1);
    assert_eq!(answer.verdict.decision, "variant");
    let answer = results(&world, json!({"planned_units": 500})).await;
    assert_eq!(answer.verdict.decision, "too early");
}

#[tokio::test]
async fn a_worse_variant_ends_nothing_for_the_others() {
    let first = [
        some("old", 0, 100, 2),
        some("bad", 0, 100, 20),
        some("new", 0, 100, 2),
    ]
    .concat();
    let second = [
        some("old", 1, 100, 4),
        some("bad", 1, 100, 20),
        some("new", 1, 100, 1),
    ]
    .concat();
    let world_of_first = self::world("journey", &first).await;
    let world = self::world("journey", &(first + &second)).await;
    let variants: Vec<_> = ["old", "bad", "new"]
        .map(|name| json!({"name": name, "weight": 0.333}))
        .to_vec();
    let looks = |planned: u64| json!({"variants": variants, "method": {"sequential": {"looks": 2}}, "planned_units": planned});
    let early = results(&world_of_first, looks(600)).await;
    assert_eq!(early.method.looks[0].units, Some(300));
    assert_eq!(early.verdict.decision, "too early", "{:?}", early.verdict);
    let answer = results(&world, looks(600)).await;
    assert_eq!(
        answer.verdict.variant.as_deref(),
        Some("new"),
        "{:?}",
        answer.verdict
    );
    let ended = json!({"variants": variants, "end": "2026-09-02"});
    let answer = results(&world, ended).await;
    assert_eq!(answer.verdict.decision, "no difference shown");
    assert!(
        answer.verdict.sentence.contains("bad is worse"),
        "{:?}",
        answer.verdict
    );
}

#[tokio::test]
async fn where_lower_is_better_the_chance_to_win_is_that_of_being_lower() {
    let lines = some("old", 0, 100, 2) + &some("new", 0, 100, 5);
    let world = world("journey", &lines).await;
    let told = |better: &str| json!({"end": "2026-09-20", "primary": [{"name": "Linked", "better": better}]});
    let higher = results(&world, told("higher")).await;
    assert_eq!(higher.verdict.variant.as_deref(), Some("old"));
    let lower = results(&world, told("lower")).await;
    assert_eq!(lower.verdict.variant.as_deref(), Some("new"));
    let (higher, lower) = (
        &higher.primary[0].comparisons[0],
        &lower.primary[0].comparisons[0],
    );
    assert!(lower.chance_to_win.unwrap() > 0.99);
    let sum = higher.chance_to_win.unwrap() + lower.chance_to_win.unwrap();
    assert!((sum - 1.0).abs() < 1e-9);
    assert_eq!(higher.loss_if_variant, lower.loss_if_control);
}

#[tokio::test]
async fn a_relative_margin_under_continuous_is_one_of_the_ratio() {
    let lines = some("old", 0, 2_000, 2) + &some("new", 0, 2_000, 2);
    let world = world("journey", &lines).await;
    let guarded = |margin: f64, step: u32| {
        json!({
            "method": {"continuous": {}},
            "guardrails": [{"name": "Guarded", "step": step, "relative_margin": margin}]
        })
    };
    let verdict = |answer: &ExperimentAnswer| answer.guardrails[0].verdicts[0].clone();
    let wide = verdict(&results(&world, guarded(0.3, 3)).await);
    assert_eq!(wide.verdict, "pass");
    let low = wide.low.unwrap();
    assert!((0.8..1.0).contains(&low), "{low}");
    let narrow = verdict(&results(&world, guarded(0.01, 3)).await);
    assert_eq!(narrow.verdict, "undecided");
    // everybody chose in both: that nobody is lost can be told all the same
    let all = verdict(&results(&world, guarded(0.05, 2)).await);
    assert_eq!(all.verdict, "pass", "{all:?}");
}

#[tokio::test]
async fn no_verdict_is_given_on_rates_so_far_and_a_variant_without_weight_holds_up_nothing() {
    let lines = some("old", 0, 100, 5) + &some("new", 0, 100, 2);
    let world = world("journey", &lines).await;
    let variants = json!([{"name": "old", "weight": 0.5}, {"name": "new", "weight": 0.5}, {"name": "later", "weight": 0}]);
    let fields = json!({"end": "2026-09-20", "variants": variants});
    let answer = results(&world, fields.clone()).await;
    assert_eq!(
        answer.verdict.variant.as_deref(),
        Some("new"),
        "{:?}",
        answer.verdict
    );
    // three tests were planned, and one that has no data yet counts as no evidence
    assert_eq!(answer.method.family, 2);
    let p = &answer.primary[0].comparisons[0];
    assert!((p.p_corrected.unwrap() - 2.0 * p.p.unwrap()).abs() < 1e-12);
    let question = ExperimentQuestion {
        include_open: true,
        ..asked()
    };
    let open = try_results(&world.engine, &question, definition(fields))
        .await
        .unwrap();
    assert_eq!(open.verdict.decision, "too early");
}

#[tokio::test]
async fn what_is_kept_of_a_result_is_what_a_new_one_would_say() {
    let mut world = world(
        "journey",
        "0 a opened exp=old\n0 b opened exp=new\n41d c opened exp=new\n41d+1 c linked",
    )
    .await;
    let at = |world: &World, us: i64| {
        world.watermark(us);
        let fresh = world.engine(1);
        let kept = world.engine.clone();
        async move {
            let kept = try_results(&kept, &asked(), definition(json!({})))
                .await
                .unwrap();
            let fresh = try_results(&fresh, &asked(), definition(json!({})))
                .await
                .unwrap();
            assert_eq!(without_meta(&kept), without_meta(&fresh));
            kept.variants[1].units
        }
    };
    // settled, settled a moment later, then a day begins, an exposure comes up, its window runs and ends
    for (us, units) in [
        (40 * DAY, 1),
        (40 * DAY + 5, 1),
        (41 * DAY - 1, 1),
        (41 * DAY, 2),
        (41 * DAY + 3, 2),
        (41 * DAY + 9, 2),
        (42 * DAY + 9, 2),
    ] {
        assert_eq!(at(&world, us).await, units, "{us}");
    }
    let more = [told("9 d opened exp=new", 99, "journey")];
    world.publish(0, &more);
    assert_eq!(at(&world, 42 * DAY + 10).await, 3);
}
