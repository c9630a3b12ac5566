//! What follows from an experiment: looks, guardrails, several variants, and when there is no verdict.

use serde_json::json;

use super::experiment_results::{asked, definition, results, try_results, world};
use super::merge;
use crate::{ExperimentAnswer, ExperimentQuestion};

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
async fn a_last_look_that_would_see_nothing_more_is_passed() {
    let lines = some("old", 0, 200, 2) + &some("new", 0, 200, 2);
    let world = world("journey", &lines).await;
    let looks = |planned: u64| json!({"method": {"sequential": {"looks": 5}}, "planned_units": planned, "end": "2026-09-05"});
    let answer = results(&world, looks(1_000)).await;
    assert_eq!(answer.method.looks[1].units, Some(400));
    assert_eq!(answer.method.looks[4].units, None);
    assert_eq!(
        answer.verdict.decision, "no difference shown",
        "{:?}",
        answer.verdict
    );
    // nor does an end with hardly any units wait for ever
    let answer = results(&world, looks(1_000_000)).await;
    assert_eq!(
        answer.verdict.decision, "no difference shown",
        "{:?}",
        answer.verdict
    );
}

#[tokio::test]
async fn units_on_their_way_are_not_waited_for_twice() {
    // all 400 are exposed on the last day, and their windows of thirty days run
    let lines: String = ["old", "new"]
        .map(|variant| some(variant, 39, 200, 2))
        .concat();
    let funnel = super::short_with(json!({"window": "P30D"}));
    let fields = json!({"funnel": funnel, "method": {"sequential": {"looks": 2}}, "planned_units": 800, "start": "2026-10-01"});
    let early: String = ["old", "new"]
        .map(|variant| some(variant, 31, 10, 2))
        .concat();
    let world = world("journey", &(early + &lines)).await;
    let mut fields = fields;
    let soon = json!({"funnel": super::short_with(json!({"window": "P8D"}))});
    merge(&mut fields, soon);
    let answer = results(&world, fields).await;
    assert_eq!(answer.verdict.decision, "too early");
    // look 1 is at 400 units, and 420 are exposed: only the window is left
    assert!(
        answer
            .verdict
            .sentence
            .contains("planned look 1 is in about 8 days"),
        "{:?}",
        answer.verdict
    );
}

#[tokio::test]
async fn a_variant_without_weight_and_units_is_not_waited_for_where_the_others_are_worse() {
    let lines = some("old", 0, 200, 2) + &some("new", 0, 200, 10);
    let world = world("journey", &lines).await;
    let variants = json!([{"name": "old", "weight": 0.5}, {"name": "new", "weight": 0.5}, {"name": "later", "weight": 0}]);
    for more in [
        json!({"end": "2026-09-05"}),
        json!({"method": {"sequential": {"looks": 2}}, "planned_units": 800}),
    ] {
        let mut fields = json!({"variants": variants});
        merge(&mut fields, more);
        let answer = results(&world, fields).await;
        assert_eq!(
            answer.verdict.variant.as_deref(),
            Some("old"),
            "{:?}",
            answer.verdict
        );
    }
}

#[tokio::test]
async fn what_is_undecided_at_an_early_look_is_not_called_the_end() {
    let lines = some("old", 0, 200, 10) + &some("new", 0, 200, 2);
    let world = world("journey", &lines).await;
    let fields = json!({
        "method": {"sequential": {"looks": 4}}, "planned_units": 1_600,
        "guardrails": [{"name": "Opened", "step": 3, "relative_margin": 0.01, "better": "lower"}]
    });
    let answer = results(&world, fields).await;
    assert!(
        !answer.verdict.sentence.contains("planned end"),
        "{:?}",
        answer.verdict
    );
}

#[tokio::test]
async fn that_no_journey_of_any_company_did_something_can_be_told() {
    let mut lines = String::new();
    for company in 0..80 {
        let variant = if company % 2 == 0 { "new" } else { "old" };
        lines += &format!("0 - experiment.exposed exp={variant} company_id=c{company}\n");
        for journey in 0..3 {
            lines += &format!("1 j{company}x{journey} opened company_id=c{company}\n");
        }
    }
    let world = world("company", &lines).await;
    let fields = |margin: f64| {
        json!({
            "unit": "company", "end": "2026-09-05",
            "guardrails": [{"name": "Chose", "step": 2, "margin": margin, "better": "lower"}]
        })
    };
    let verdict = |answer: &ExperimentAnswer| answer.guardrails[0].verdicts[0].verdict.clone();
    assert_eq!(verdict(&results(&world, fields(0.1)).await), "pass");
    assert_eq!(verdict(&results(&world, fields(0.01)).await), "undecided");
}

#[tokio::test]
async fn of_variants_that_crossed_at_different_looks_the_best_as_of_now_wins_and_a_turn_is_told() {
    let day = |day: usize, [old, early, late]: [usize; 3]| {
        [
            some("old", day, 200, old),
            some("early", day, 200, early),
            some("late", day, 200, late),
        ]
        .concat()
    };
    let variants: Vec<_> = ["old", "early", "late"]
        .map(|name| json!({"name": name, "weight": 0.333}))
        .to_vec();
    let looks = json!({"variants": variants, "method": {"sequential": {"looks": 4}}, "planned_units": 2_400});
    // early is far better on the first day only, late on each later one
    let lines =
        day(0, [10, 2, 10]) + &day(1, [10, 9, 1]) + &day(2, [10, 9, 1]) + &day(3, [10, 9, 1]);
    let answer = results(&world("journey", &lines).await, looks.clone()).await;
    assert_eq!(
        answer.verdict.variant.as_deref(),
        Some("late"),
        "{:?}",
        answer.verdict
    );
    assert!(
        answer.verdict.sentence.contains("At look 1 early had"),
        "{:?}",
        answer.verdict
    );
    // what wins at the first look may turn
    let lines = day(0, [10, 2, 10]) + &day(1, [1, 10, 10]) + &day(2, [1, 10, 10]);
    let answer = results(&world("journey", &lines).await, looks).await;
    assert_eq!(
        answer.verdict.variant.as_deref(),
        Some("early"),
        "{:?}",
        answer.verdict
    );
    assert!(
        answer.verdict.sentence.contains("points the other way"),
        "{:?}",
        answer.verdict
    );
}
