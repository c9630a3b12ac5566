//! Planning an experiment through the door.

use serde_json::{Value, json};

use super::world::{World, event_at, key, range, steps};
use crate::keys::Scope;

const PLAN: &str = "/api/v1/experiments/plan";

#[tokio::test]
async fn twelve_percent_and_a_tenth_more_needs_the_published_units() {
    let world = World::new().await;
    let question =
        json!({"baseline": {"rate": 0.12}, "effect": {"relative": 0.1}, "daily_units": 43});
    let reply = world.post(PLAN, &question.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let fixed = &answer["methods"][0];
    let exact = fixed["control"]["exact"].as_f64().unwrap();
    assert!((exact - 12_003.68).abs() < 5e-3, "{exact}");
    assert_eq!(
        (
            &fixed["control"]["units"],
            &fixed["total_units"],
            &fixed["days"]
        ),
        (&json!(12_004), &json!(24_008), &json!(559))
    );
    assert_eq!(answer["methods"].as_array().unwrap().len(), 3);
    assert_eq!(fixed["after"].as_array().unwrap().len(), 5);
    assert_eq!(answer["meta"], Value::Null);
    assert!(!answer["words"].as_array().unwrap().is_empty());
    let text = answer.to_string();
    assert!(!text.contains("observed_power"), "{text}");
}

#[tokio::test]
async fn a_baseline_is_measured_with_the_funnel_of_the_question() {
    let world = World::new().await;
    let mut events = Vec::new();
    for n in 0..20 {
        let at = format!("2026-11-{:02}T09:00:00Z", 1 + n / 2);
        let journey = format!("j-{n}");
        events.push(event_at(&format!("o{n}"), "journey.started", &journey, &at));
        if n % 2 == 0 {
            events.push(event_at(
                &format!("c{n}"),
                "provider.selected",
                &journey,
                &at,
            ));
        }
        if n % 4 == 0 {
            events.push(event_at(
                &format!("l{n}"),
                "connection.linked",
                &journey,
                &at,
            ));
        }
    }
    let sent = events.len();
    world
        .post("/api/v1/events", &json!(events).to_string())
        .await;
    world.wait_for("events", sent as u64).await;
    let funnel = json!({"steps": steps(), "window": "PT24H", "subject": "journey"});
    let question = json!({
        "baseline": {"funnel": funnel, "range": {"from": "2026-11-01", "to": "2026-11-11"}},
        "effect": {"absolute": 0.1}, "method": "fixed",
    });
    let reply = world.post(PLAN, &question.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    assert_eq!(answer["baseline"]["rate"]["value"], 0.25, "{answer}");
    assert_eq!(answer["traffic"]["daily_units"], 2.0, "{answer}");
    assert!(answer["meta"]["snapshot"].is_string());
    // The tenant next door has nobody.
    let request = World::json("POST", PLAN).header("linkfunnel-tenant", "other");
    let reply = world.send(request, &question.to_string()).await;
    assert_eq!(reply.problem(422, "no_baseline")["pointer"], "/baseline");
}

#[tokio::test]
async fn what_cannot_be_planned_is_a_problem_with_its_place() {
    let world = World::new().await;
    let good = json!({"baseline": {"rate": 0.12}, "effect": {"relative": 0.1}});
    for (name, value, code, pointer) in [
        ("powr", json!(0.8), "unknown_field", "/powr"),
        ("power", json!("high"), "wrong_type", "/power"),
        ("power", json!(2), "out_of_range", "/power"),
        ("method", json!("bayes"), "unknown_value", "/method"),
        (
            "method",
            json!({"sequential": {}}),
            "missing_field",
            "/method/looks",
        ),
        (
            "baseline",
            json!({"rate": 0.1, "ratio": 1}),
            "unknown_field",
            "/baseline/ratio",
        ),
        (
            "baseline",
            json!({"funnel": "lnking", "range": range()}),
            "unknown_funnel",
            "/baseline/funnel",
        ),
        (
            "effect",
            json!({"relative": -2}),
            "out_of_range",
            "/effect/relative",
        ),
        ("variants", json!(-1), "invalid_value", "/variants"),
        ("after_days", json!([0]), "out_of_range", "/after_days/0"),
    ] {
        let mut question = good.clone();
        question[name] = value;
        let problem = world.post(PLAN, &question.to_string()).await.any_problem();
        assert_eq!(
            (&problem["status"], &problem["code"], &problem["pointer"]),
            (&json!(422), &json!(code), &json!(pointer)),
            "{question}"
        );
    }
    world.post(PLAN, "{").await.problem(400, "not_json");
    world.get(PLAN).await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_plan_takes_a_key_that_may_read() {
    let world = World::with_keys(&[
        key("reads", "reading", "t", &[Scope::Read]),
        key("sends", "sending", "t", &[Scope::Ingest]),
    ])
    .await;
    let question =
        json!({"baseline": {"rate": 0.12}, "effect": {"relative": 0.1}, "method": "fixed"});
    let question = question.to_string();
    for (secret, status) in [("reading", 200), ("sending", 403)] {
        let reply = world
            .send(World::keyed("POST", PLAN, secret), &question)
            .await;
        assert_eq!(reply.status, status, "{secret}: {}", reply.text());
    }
    assert_eq!(
        world.post(PLAN, &question).await.any_problem()["status"],
        401
    );
}
