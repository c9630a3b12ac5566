//! Results of an experiment over HTTP: events in, a definition, what it shows.

use serde_json::{Value, json};

use super::world::{World, event_at, steps};

const MY: &str = "/api/v1/experiments/consent";

/// Ten journeys a variant; all new ones link, one in five of the old.
async fn twenty_journeys() -> World {
    let world = World::new().await;
    let mut events = Vec::new();
    for i in 0..20 {
        let journey = format!("j-{i}");
        let variant = if i % 2 == 0 { "old" } else { "new" };
        let exposed =
            json!([{"id": "consent", "variant": variant, "unit": "journey", "exposed": true}]);
        let mut one = |name: &str, second: usize| {
            let at = format!("2026-11-20T09:{i:02}:{second:02}Z");
            let mut event = event_at(&format!("e{}", events.len()), name, &journey, &at);
            event["experiments"] = exposed.clone();
            events.push(event);
        };
        one("journey.started", 0);
        if variant == "new" || i % 5 == 0 {
            one("provider.selected", 1);
            one("handoff.started", 2);
            one("connection.linked", 3);
        }
    }
    let count = events.len();
    let reply = world
        .post("/api/v1/events", &json!(events).to_string())
        .await;
    assert_eq!(reply.json()["accepted"], count, "{}", reply.text());
    world.wait_for("events", count as u64).await;
    world
}

fn content(end: Option<&str>) -> Value {
    json!({
        "name": "Shorter consent",
        "definition": {
            "unit": "journey",
            "variants": [{"name": "old", "weight": 0.5}, {"name": "new", "weight": 0.5}],
            "start": "2026-11-20", "end": end,
            "funnel": {"steps": steps(), "window": "PT1H", "subject": "journey"},
            "primary": [{"name": "Linked"}],
            "guardrails": [{"name": "Started", "step": 1, "margin": 0.3}]
        }
    })
}

#[tokio::test]
async fn an_experiment_is_told_with_its_verdict_and_how_it_was_reached() {
    let world = twenty_journeys().await;
    assert_eq!(
        world.put(MY, &content(Some("2026-11-21"))).await.status,
        201
    );
    let reply = world.get(&format!("{MY}/results")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = reply.json();
    assert_eq!(told["version"], 1);
    assert_eq!(told["entry"], "exposed");
    let units = |i: usize| &told["variants"][i]["units"];
    assert_eq!((units(0), units(1)), (&json!(10), &json!(10)), "{told}");
    let linked = &told["primary"][0]["comparisons"][0];
    assert!(
        linked["difference"]["value"].as_f64().unwrap() > 0.7,
        "{linked}"
    );
    assert_eq!(
        told["verdict"]["decision"], "variant",
        "{}",
        told["verdict"]
    );
    assert_eq!(told["verdict"]["variant"], "new");
    assert_eq!(told["guardrails"][0]["verdicts"][0]["verdict"], "pass");
    assert_eq!(told["health"]["status"], "ok");
    // the definition is changed after the start: that is shown, and what is read before the end is no verdict
    assert_eq!(world.put(MY, &content(None)).await.status, 200);
    let told = world
        .get(&format!("{MY}/results?include_open=true"))
        .await
        .json();
    assert_eq!(told["version"], 2);
    assert_eq!(
        told["changes"][0]["fields"],
        json!(["end"]),
        "{}",
        told["changes"]
    );
    assert_eq!(told["verdict"]["decision"], "too early");
}

#[tokio::test]
async fn what_cannot_be_told_is_refused_with_the_reason() {
    let world = World::new().await;
    world
        .get(&format!("{MY}/results"))
        .await
        .problem(404, "unknown_experiment");
    assert_eq!(world.put(MY, &content(None)).await.status, 201);
    let told = world.get(&format!("{MY}/results")).await.json();
    assert_eq!(told["verdict"]["decision"], "no traffic");
    let reply = world.get(&format!("{MY}/results?include_opn=true")).await;
    assert_eq!(
        reply.any_problem()["status"].as_u64().unwrap(),
        u64::from(reply.status)
    );
    world
        .get(&format!("{MY}/results?as_of=x"))
        .await
        .problem(400, "bad_snapshot");
    assert_eq!(world.delete(MY).await.status, 200);
    world
        .get(&format!("{MY}/results"))
        .await
        .problem(404, "experiment_deleted");
}
