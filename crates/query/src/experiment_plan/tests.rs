//! Plans from a given rate: against published numbers and against the definition, never against the code itself.

use serde_json::{Value as Json, json};

use super::{ExperimentPlanAnswer, ExperimentPlanQuestion, plan_at_rate};
use crate::error::Error;

fn try_plan(question: Json) -> Result<ExperimentPlanAnswer, Error> {
    plan_at_rate(serde_json::from_value::<ExperimentPlanQuestion>(question).unwrap())
}

fn plan(question: Json) -> ExperimentPlanAnswer {
    try_plan(question).unwrap()
}

fn near(got: f64, expected: f64) {
    assert!((got / expected - 1.0).abs() < 1e-9, "{got} for {expected}");
}

/// The sample size of Fleiss, Levin and Paik, once more and for two equal arms at 5 % and 80 % alone.
fn equal_arms(p0: f64, p1: f64) -> f64 {
    let (z_alpha, z_beta) = (1.959_963_984_540_054, 0.841_621_233_572_914_3);
    let mean = f64::midpoint(p0, p1);
    let pooled = (2.0 * mean * (1.0 - mean)).sqrt();
    let apart = (p0 * (1.0 - p0) + p1 * (1.0 - p1)).sqrt();
    ((z_alpha * pooled + z_beta * apart) / (p1 - p0)).powi(2)
}

#[test]
fn three_ways_of_looking_stand_side_by_side_with_the_published_number_first() {
    let answer = plan(json!({"baseline": {"rate": 0.12}, "effect": {"relative": 0.1}}));
    let ways: Vec<Json> = answer
        .methods
        .iter()
        .map(|m| serde_json::to_value(&m.method).unwrap())
        .collect();
    assert_eq!(
        ways,
        [
            json!("fixed"),
            json!({"sequential": {"looks": 5}}),
            json!({"continuous": {"tuned_for": 5_000}})
        ]
    );
    let [fixed, sequential, continuous] = &answer.methods[..] else {
        panic!("{answer:?}")
    };
    assert!((fixed.control.exact - 12_003.68).abs() < 5e-3, "{fixed:?}");
    assert_eq!(
        (fixed.control.units, fixed.variant.units, fixed.total_units),
        (12_004, 12_004, 24_008)
    );
    assert!(
        fixed.control.units < sequential.control.units,
        "{sequential:?}"
    );
    assert!(
        sequential.control.units < continuous.control.units,
        "{continuous:?}"
    );
    near(
        continuous.times_fixed,
        continuous.control.exact / fixed.control.exact,
    );
    assert_eq!(
        (fixed.days, fixed.code.as_deref(), fixed.after.len()),
        (None, Some("no_daily_units"), 0)
    );
    let filled = serde_json::to_value(&answer.query).unwrap();
    assert_eq!(
        filled,
        json!({"baseline": {"rate": 0.12}, "effect": {"relative": 0.1}, "power": 0.8, "alpha": 0.05, "variants": 1,
               "share": 1.0, "after_days": [7, 14, 28, 56, 84]})
    );
}

/// statsmodels 0.15.0, samplesize_proportions_2indep_onetail(0.012, 0.12, 0.8, ratio=3 and 1/9, alpha=0.05).
#[test]
fn unequal_splits_and_several_variants_are_planned_for() {
    let at = |more: Json| {
        let mut question =
            json!({"baseline": {"rate": 0.12}, "effect": {"absolute": 0.012}, "method": "fixed"});
        for (name, value) in more.as_object().unwrap() {
            question[name] = value.clone();
        }
        let mut answer = plan(question);
        assert_eq!(answer.methods.len(), 1);
        answer.methods.remove(0)
    };
    let three = at(json!({"share": 3.0}));
    near(three.control.exact, 8_066.389_977_234_187);
    near(three.variant.exact, 24_199.169_931_702_56);
    let ninth = at(json!({"share": 1.0 / 9.0}));
    near(ninth.control.exact, 59_215.065_037_569_42);
    // Three variants share the level: each is planned at 5 % ÷ 3.
    let several = at(json!({"variants": 3}));
    let one = at(json!({"alpha": 0.05 / 3.0}));
    near(several.control.exact, one.control.exact);
    assert_eq!(several.total_units, 4 * one.control.units);
    let fall = plan(
        json!({"baseline": {"rate": 0.132}, "effect": {"absolute": -0.012}, "method": "fixed"}),
    );
    near(fall.methods[0].control.exact, equal_arms(0.132, 0.12));
}

#[test]
fn some_hundred_units_a_week_are_told_what_they_show_and_what_not() {
    let answer = plan(
        json!({"baseline": {"rate": 0.12}, "effect": {"relative": 0.1}, "daily_units": 300.0 / 7.0}),
    );
    let fixed = &answer.methods[0];
    // 24 008 units at 300 a week: 80.03 weeks.
    assert_eq!(fixed.days, Some(561));
    let units: Vec<(u32, u64, u64)> = fixed
        .after
        .iter()
        .map(|after| (after.days, after.units, after.control_units))
        .collect();
    assert_eq!(
        units,
        [
            (7, 300, 150),
            (14, 600, 300),
            (28, 1_200, 600),
            (56, 2_400, 1_200),
            (84, 3_600, 1_800)
        ]
    );
    for after in &fixed.after {
        let arm = f64::from(u32::try_from(after.control_units).unwrap());
        near(equal_arms(0.12, after.up.rate.unwrap()), arm);
        near(after.up.absolute.unwrap(), after.up.rate.unwrap() - 0.12);
        near(
            after.up.relative.unwrap(),
            after.up.rate.unwrap() / 0.12 - 1.0,
        );
        match after.down.rate {
            Some(down) => near(equal_arms(0.12, down), arm),
            None => {
                assert_eq!(after.down.code.as_deref(), Some("out_of_reach"));
                assert!(
                    after
                        .down
                        .detail
                        .as_ref()
                        .unwrap()
                        .contains("no fall from 12 %")
                );
                // Not even all of it gone would be found.
                assert!(equal_arms(0.12, 1e-9) > arm, "{after:?}");
            }
        }
    }
    let said = answer.words.join("\n");
    for expected in [
        "To find 13.2 % where the control has 12 % (+1.2 points, +10 % of it) with a chance of 80 %",
        "12 004 in each of the two arms, 24 008 in all, with one look at the end.",
        "1.06 times as many with 5 planned looks, 2.13 times as many looking at any time.",
        "At 300 a week that takes 81 weeks. Few experiments stay undisturbed so long",
        "12 weeks of it (3 600 units) can show a rise to 15.2 % or more (+3.2 points), or a fall to 9.1 % or less",
        "not to find it does not mean that it is not there.",
    ] {
        assert!(said.contains(expected), "{expected}:\n{said}");
    }
    assert!(!said.contains("power"), "{said}");
}

#[test]
fn where_nothing_can_be_shown_it_is_said() {
    let answer = plan(
        json!({"baseline": {"rate": 0.5}, "effect": {"absolute": 0.4}, "daily_units": 0.5,
        "after_days": [7, 14], "method": {"continuous": {}}}),
    );
    let [week, two] = &answer.methods[0].after[..] else {
        panic!("{answer:?}")
    };
    assert_eq!((week.units, two.units, week.control_units), (3, 7, 1));
    for effect in [&week.up, &week.down, &two.up, &two.down] {
        assert_eq!(
            (
                effect.rate,
                effect.absolute,
                effect.relative,
                effect.code.as_deref()
            ),
            (None, None, None, Some("out_of_reach"))
        );
    }
    let said = answer.words.join("\n");
    assert!(
        said.contains("2 weeks of it (7 units) cannot show any difference from 50 %"),
        "{said}"
    );
    assert!(said.contains("At 3.5 a week"), "{said}");
}

#[test]
fn that_few_units_are_told_of_by_a_rough_guess_is_said() {
    let says = |daily: f64, share: f64| {
        let answer = plan(
            json!({"baseline": {"rate": 0.3}, "effect": {"absolute": 0.1}, "method": "fixed",
            "share": share, "daily_units": daily, "after_days": [10]}),
        );
        answer
            .words
            .iter()
            .any(|words| words.contains("rough guess"))
    };
    assert!(says(5.8, 1.0) && !says(6.0, 1.0));
    assert!(says(20.0, 0.1) && !says(33.0, 0.1));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let good = json!({"baseline": {"rate": 0.12}, "effect": {"relative": 0.1}});
    let with = |name: &str, value: Json| {
        let mut question = good.clone();
        question[name] = value;
        question
    };
    let range = json!({"from": "2026-09-01", "to": "2026-10-01"});
    for (question, code, pointer) in [
        (with("baseline", json!({})), "missing_baseline", "/baseline"),
        (
            with("baseline", json!({"rate": 0.1, "funnel": "linking"})),
            "two_baselines",
            "/baseline",
        ),
        (
            with("baseline", json!({"funnel": "linking"})),
            "missing_field",
            "/baseline/range",
        ),
        (
            with("baseline", json!({"funnel": "linking", "range": range})),
            "missing_baseline",
            "/baseline/rate",
        ),
        (
            with("baseline", json!({"rate": 0.1, "range": range})),
            "not_with_rate",
            "/baseline/range",
        ),
        (
            with("baseline", json!({"rate": 0.1, "step": 2})),
            "not_with_rate",
            "/baseline/step",
        ),
        (
            with("baseline", json!({"rate": 0.0})),
            "out_of_range",
            "/baseline/rate",
        ),
        (
            with("baseline", json!({"rate": 12})),
            "out_of_range",
            "/baseline/rate",
        ),
        (with("effect", json!({})), "missing_effect", "/effect"),
        (
            with("effect", json!({"absolute": 0.1, "relative": 0.1})),
            "two_effects",
            "/effect",
        ),
        (
            with("effect", json!({"absolute": 0.9})),
            "out_of_range",
            "/effect/absolute",
        ),
        (
            with("effect", json!({"absolute": 0})),
            "out_of_range",
            "/effect/absolute",
        ),
        (
            with("effect", json!({"relative": -1})),
            "out_of_range",
            "/effect/relative",
        ),
        (with("power", json!(1)), "out_of_range", "/power"),
        (with("power", json!(0.2)), "out_of_range", "/power"),
        (with("alpha", json!(0)), "out_of_range", "/alpha"),
        (with("alpha", json!(0.45)), "out_of_range", "/alpha"),
        (with("variants", json!(0)), "out_of_range", "/variants"),
        (with("variants", json!(16)), "out_of_range", "/variants"),
        (with("share", json!(0)), "out_of_range", "/share"),
        (
            with("daily_units", json!(0)),
            "out_of_range",
            "/daily_units",
        ),
        (
            with("daily_units", json!(-3)),
            "out_of_range",
            "/daily_units",
        ),
        (
            with("after_days", json!([7, 0])),
            "out_of_range",
            "/after_days/1",
        ),
        (
            with("after_days", json!([3_651])),
            "out_of_range",
            "/after_days/0",
        ),
        (
            with("after_days", json!(vec![7; 21])),
            "limit_exceeded",
            "/after_days",
        ),
        (
            with("method", json!({"sequential": {"looks": 1}})),
            "out_of_range",
            "/method/sequential/looks",
        ),
        (
            with("method", json!({"sequential": {"looks": 21}})),
            "out_of_range",
            "/method/sequential/looks",
        ),
        (
            with("method", json!({"continuous": {"tuned_for": 0}})),
            "out_of_range",
            "/method/continuous/tuned_for",
        ),
    ] {
        let error = try_plan(question.clone()).unwrap_err();
        assert_eq!(
            (error.status(), error.code(), error.pointer()),
            (422, code, pointer),
            "{question}: {error}"
        );
    }
    for wrong in [
        with("powr", json!(0.8)),
        with("method", json!({"sequential": {}})),
        with("baseline", json!({"rate": 0.1, "rat": 1})),
    ] {
        assert!(
            serde_json::from_value::<ExperimentPlanQuestion>(wrong.clone()).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn the_farthest_limits_give_numbers() {
    for rate in [1e-9, 1.0 - 1e-6] {
        for absolute in [0.4, -1e-7] {
            let question = json!({"baseline": {"rate": rate}, "effect": {"absolute": absolute}, "power": 0.9999,
                "alpha": 1e-9, "variants": 15, "share": 0.001, "daily_units": 1e12, "after_days": [1, 3_650]});
            let Ok(answer) = try_plan(question) else {
                assert!(
                    rate + absolute <= 0.0 || rate + absolute >= 1.0,
                    "{rate} {absolute}"
                );
                continue;
            };
            for method in &answer.methods {
                assert!(
                    method.control.exact.is_finite() && method.total_units > 0,
                    "{method:?}"
                );
                let json = serde_json::to_string(method).unwrap();
                let back: crate::PlannedMethod = serde_json::from_str(&json).unwrap();
                assert_eq!(back.days, method.days);
            }
        }
    }
}
