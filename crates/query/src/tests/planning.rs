//! A plan whose baseline and traffic are measured: counted by hand.

use serde_json::{Value as Json, json};

use super::{DAY, T0, World, merge, short, short_with};
use crate::ExperimentPlanQuestion;

/// Of forty journeys, two a day from 1 September on, thirty chose and ten linked; the watermark stands at day 40.
async fn forty() -> World {
    let mut lines = String::new();
    for n in 0..40 {
        let day = n / 2;
        lines += &format!("{day}d+{n}m j{n} opened category=accounting\n");
        if n % 4 != 0 {
            lines += &format!("{day}d+{n}m+30 j{n} chose\n");
        }
        if n % 4 == 1 {
            lines += &format!("{day}d+{n}m+60 j{n} linked\n");
        }
    }
    World::of(&lines).await
}

fn question(fields: Json) -> ExperimentPlanQuestion {
    let mut question = json!({
        "baseline": {"funnel": short(), "range": {"from": "2026-09-01", "to": "2026-09-21"}},
        "effect": {"absolute": 0.05},
    });
    merge(&mut question, fields);
    serde_json::from_value(question).unwrap()
}

fn baseline(fields: Json) -> Json {
    let mut baseline =
        json!({"funnel": short(), "range": {"from": "2026-09-01", "to": "2026-09-21"}});
    merge(&mut baseline, fields);
    json!({ "baseline": baseline })
}

#[tokio::test]
async fn the_rate_and_the_traffic_are_those_that_the_funnel_counts() {
    let world = forty().await;
    let plan = |fields| {
        let engine = world.engine.clone();
        async move {
            engine
                .plan_experiment("default", question(fields))
                .await
                .unwrap()
        }
    };
    let answer = plan(json!({})).await;
    let measured = answer.baseline.measured.clone().unwrap();
    assert_eq!(answer.baseline.rate.value, Some(0.25));
    // Wilson, 10 of 40: 0.1419 to 0.4019 (Brown, Cai and DasGupta's form by hand).
    let (low, high) = (
        answer.baseline.rate.low.unwrap(),
        answer.baseline.rate.high.unwrap(),
    );
    assert!(
        (low - 0.141_868).abs() < 1e-5 && (high - 0.401_939).abs() < 1e-5,
        "{low} {high}"
    );
    assert_eq!(
        (
            measured.subject.as_str(),
            measured.step,
            measured.step_name.as_str(),
            measured.window.as_str()
        ),
        ("journey", 3, "Linked", "P1D")
    );
    assert_eq!((measured.matured, measured.entered), (40, 40));
    assert!((measured.days - 20.0).abs() < 1e-12);
    assert_eq!(measured.first_day.as_deref(), Some("2026-09-01T00:00:00Z"));
    assert_eq!(answer.traffic.daily_units, Some(2.0));
    assert_eq!(answer.traffic.weekly_units, Some(14.0));
    let fixed = &answer.methods[0];
    assert_eq!(fixed.days, Some(fixed.total_units.div_ceil(2)));
    assert_eq!(fixed.after[0].units, 14);
    assert!(answer.meta.is_some());
    let said = answer.words.join("\n");
    assert!(
        said.contains("\"Linked\" among the 40 whose window is over (95 %: 14.2 % to 40.2 %); 40 entered in 20 days."),
        "{said}"
    );

    let chose = plan(baseline(json!({"step": 2}))).await;
    assert_eq!(chose.baseline.rate.value, Some(0.75));
    let faster = plan(json!({"daily_units": 50})).await;
    assert_eq!(faster.traffic.daily_units, Some(50.0));
    assert_eq!(faster.baseline.rate.value, Some(0.25));
    // The same as from the rate itself, and asked again of the same view.
    let given = crate::plan_at_rate(
        serde_json::from_value(
            json!({"baseline": {"rate": 0.25}, "effect": {"absolute": 0.05}, "daily_units": 2}),
        )
        .unwrap(),
    );
    assert_eq!(given.unwrap().methods, answer.methods);
    let again = plan(json!({"as_of": answer.meta.unwrap().snapshot})).await;
    assert_eq!(again.methods, answer.methods);
}

/// The range goes on beyond what has arrived: the days that are still to come count for nothing.
#[tokio::test]
async fn days_that_have_not_come_do_not_thin_the_traffic() {
    let world = forty().await;
    world.watermark(19 * DAY + DAY / 2);
    let mut late = World::new().await;
    late.add("10d a opened\n10d+1 a chose\n10d+2 a linked\n11d b opened\n");
    late.watermark(20 * DAY);
    let asked = baseline(json!({"range": {"from": "2026-09-01", "to": "2026-12-01"}}));
    let answer = late
        .engine
        .plan_experiment("default", question(asked))
        .await
        .unwrap();
    let measured = answer.baseline.measured.unwrap();
    assert!((measured.days - 20.0).abs() < 1e-9, "{measured:?}");
    assert_eq!(answer.traffic.daily_units, Some(0.1));
    assert_eq!(measured.first_day.as_deref(), Some("2026-09-11T00:00:00Z"));
}

#[tokio::test]
async fn a_baseline_that_cannot_be_measured_is_refused_with_its_place() {
    let world = forty().await;
    let range = |from: &str, to: &str| json!({"range": {"from": from, "to": to}});
    let strict = short_with(json!({"order": "strict"}));
    let young = range("2026-10-10", "2026-10-12");
    for (fields, status, code, pointer) in [
        (
            baseline(json!({"funnel": "lnking"})),
            422,
            "unknown_funnel",
            "/baseline/funnel",
        ),
        (
            baseline(json!({"funnel": short_with(json!({"steps": []}))})),
            422,
            "too_few_steps",
            "/baseline/funnel/steps",
        ),
        (
            baseline(json!({"funnel": strict})),
            422,
            "not_in_experiments",
            "/baseline/funnel/order",
        ),
        (
            baseline(json!({"step": 4})),
            422,
            "unknown_step",
            "/baseline/step",
        ),
        (
            baseline(json!({"step": 1})),
            422,
            "no_baseline",
            "/baseline",
        ),
        (baseline(young), 422, "no_baseline", "/baseline"),
        (
            baseline(range("2026-09-21", "2026-09-01")),
            422,
            "empty_range",
            "/baseline/range/from",
        ),
        (
            baseline(range("1950-01-01", "2026-09-01")),
            422,
            "too_many_intervals",
            "/baseline/range",
        ),
        (
            baseline(range("yesterday", "2026-09-01")),
            400,
            "bad_time",
            "/baseline/range/from",
        ),
        (
            baseline(json!({"filters": [{"field": "categry", "op": "eq", "value": "x"}]})),
            422,
            "unknown_field",
            "/baseline/filters/0/field",
        ),
        (
            json!({"effect": {"absolute": 0.8}}),
            422,
            "out_of_range",
            "/effect/absolute",
        ),
        (json!({"as_of": "nonsense"}), 400, "bad_snapshot", "/as_of"),
    ] {
        let error = world
            .engine
            .plan_experiment("default", question(fields.clone()))
            .await
            .unwrap_err();
        assert_eq!(
            (error.status(), error.code(), error.pointer()),
            (status, code, pointer),
            "{fields}: {error}"
        );
    }
    let mut young = World::new().await;
    young.add("1d a opened\n");
    young.watermark(DAY + DAY / 2);
    assert_eq!(
        young.now.load(std::sync::atomic::Ordering::Relaxed),
        T0 + 30 * DAY
    );
    let error = young
        .engine
        .plan_experiment("default", question(json!({})))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.pointer()),
        ("no_baseline", "/baseline")
    );
    assert!(error.to_string().contains("not_matured"), "{error}");
}
