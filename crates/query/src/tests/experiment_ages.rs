//! A step by days since exposure, and the curve of when it is taken.

use serde_json::json;

use super::experiment_results::{results, world};
use super::short_with;
use crate::ExperimentAnswer;

/// By day `at risk, took it` of both variants.
fn days(answer: &ExperimentAnswer) -> Vec<String> {
    let of = |age: &crate::AgeTold| {
        let arms: Vec<String> = age
            .arms
            .iter()
            .map(|arm| format!("{}, {}", arm.at_risk, arm.converted))
            .collect();
        format!("{}: {}", age.day, arms.join("; "))
    };
    answer.by_day_since_exposure.iter().map(of).collect()
}

#[tokio::test]
async fn each_day_since_exposure_tells_who_took_the_step_of_those_followed_so_long() {
    let world = world(
        "journey",
        "0 a opened exp=old
         1 a chose
         10h a linked
         0 b opened exp=old
         1 b chose
         25h b linked
         0 c opened exp=old
         0 d opened exp=new
         1 d chose
         24h d linked
         0 e opened exp=new
         1 e chose
         60h e linked",
    )
    .await;
    let three_days = json!({"funnel": short_with(json!({"window": "P3D"}))});
    let answer = results(&world, three_days).await;
    assert_eq!(
        days(&answer),
        ["1: 3, 1; 2, 1", "2: 2, 1; 1, 0", "3: 1, 0; 1, 1"]
    );
    let last = &answer.by_day_since_exposure[2];
    let near = |got: Option<f64>, wanted: f64| assert!((got.unwrap() - wanted).abs() < 1e-12);
    near(last.arms[0].value, 2.0 / 3.0);
    near(last.arms[1].value, 1.0);
    near(last.differences[0].value, 1.0 / 3.0);
    assert!(last.differences[0].low.unwrap() < 0.0);
    // the last day's shares are those of the metric, once every window is over
    let rate = |arm: usize| answer.primary[0].arms[arm].value.unwrap();
    near(last.arms[0].value, rate(0));
    near(last.arms[1].value, rate(1));
}

#[tokio::test]
async fn units_whose_window_runs_tell_of_the_days_they_had_whole() {
    // complete up to forty days after the start
    let lines = "0 a opened exp=old
         1 a chose
         30h a linked
         38d b opened exp=old
         38d b chose
         38d b linked
         39d c opened exp=old
         39d+1 d opened exp=new";
    let world = world("journey", lines).await;
    let week = json!({"funnel": short_with(json!({"window": "P7D"}))});
    let answer = results(&world, week).await;
    assert_eq!(answer.primary[0].arms[0].of, 1);
    assert_eq!(days(&answer), ["1: 3, 1; 0, 0", "2: 1, 1; 0, 0"]);
    let age = &answer.by_day_since_exposure[0];
    assert_eq!((age.arms[1].value, age.differences[0].value), (None, None));
    assert_eq!(age.arms[1].code.as_deref(), Some("not_observed_to_window"));
}

#[tokio::test]
async fn a_journey_funnel_under_an_assigned_company_has_no_days() {
    let world = world(
        "company",
        "0 a opened company_id=c exp=old
         1 a chose company_id=c
         2 a linked company_id=c",
    )
    .await;
    let answer = results(&world, json!({"unit": "company"})).await;
    assert!(answer.by_day_since_exposure.is_empty() && answer.time.is_none());
}

#[tokio::test]
async fn a_step_got_past_unseen_is_taken_with_the_next_so_the_curve_ends_at_the_rate() {
    let world = world(
        "journey",
        "0 a opened exp=new
         1 a chose provider=codat
         9 a linked provider=codat
         0 b opened exp=new
         1 b chose provider=plaid
         0 c opened exp=old",
    )
    .await;
    let funnel = json!({
        "steps": [
            {"name": "Chose", "event": "provider.selected"},
            {"name": "Handed off", "event": "handoff.started"},
            {"name": "Linked", "event": "connection.linked"},
        ],
        "window": "PT24H",
        "subject": "journey",
    });
    let primary = json!([{"name": "Handed off", "step": 2}]);
    let answer = results(&world, json!({"funnel": funnel, "primary": primary})).await;
    assert_eq!(answer.primary[0].arms[1].value, Some(0.5));
    let curve = &answer.time.unwrap().arms[1].curve;
    let points: Vec<(f64, f64)> = curve.iter().map(|p| (p.at_ms, p.share)).collect();
    assert_eq!(points, [(9_000.0, 0.5)]);
    let age = &answer.by_day_since_exposure[0].arms[1];
    assert_eq!((age.at_risk, age.converted), (2, 1));
}
