//! Paths, drivers and effort through the door.

use serde_json::{Value, json};

use super::world::{World, event_at, range, steps};

/// Two journeys that chose and then stopped, one that linked.
async fn three_journeys() -> World {
    let world = World::new().await;
    let at = |id: &str, name: &str, journey: &str, minute: u8| {
        event_at(id, name, journey, &format!("2026-11-20T09:{minute:02}:00Z"))
    };
    let events = json!([
        at("1", "journey.started", "j-1", 0),
        at("2", "provider.selected", "j-1", 1),
        at("3", "connection.linked", "j-1", 2),
        at("4", "journey.started", "j-2", 0),
        at("5", "provider.selected", "j-2", 1),
        at("6", "attempt.errored", "j-2", 2),
        at("7", "attempt.exited", "j-2", 3),
        at("8", "journey.started", "j-3", 0),
        at("9", "provider.selected", "j-3", 1),
    ]);
    let reply = world.post("/api/v1/events", &events.to_string()).await;
    assert_eq!(reply.json()["accepted"], 9);
    world.wait_for("events", 9).await;
    world
}

fn question(more: Value) -> String {
    let mut question = json!({
        "funnel": {"steps": steps(), "window": "PT24H", "subject": "journey"},
        "range": range(),
    });
    for (name, value) in more.as_object().unwrap() {
        question[name] = value.clone();
    }
    question.to_string()
}

#[tokio::test]
async fn the_paths_of_a_step_add_up_to_what_the_funnel_says_dropped() {
    let world = three_journeys().await;
    let funnel = world
        .post("/api/v1/funnels/query", &question(json!({})))
        .await
        .json();
    let dropped = funnel["total"]["steps"][1]["dropped"].as_u64().unwrap();
    let reply = world
        .post("/api/v1/funnels/paths", &question(json!({"step": 2})))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    assert_eq!(
        (&answer["step_name"], &answer["dropped"]),
        (&json!("Chose"), &json!(dropped))
    );
    let paths = answer["paths"].as_array().unwrap();
    let sum: u64 = paths
        .iter()
        .map(|path| path["count"].as_u64().unwrap())
        .sum();
    assert_eq!((sum, dropped), (2, 2), "{answer}");
    let last = world
        .post("/api/v1/funnels/paths", &question(json!({"step": 3})))
        .await;
    assert_eq!(last.problem(422, "nobody_drops_there")["pointer"], "/step");
    let none = world
        .post("/api/v1/funnels/paths", &question(json!({})))
        .await;
    none.any_problem();
}

#[tokio::test]
async fn drivers_say_that_they_are_no_causes_and_what_is_too_small_to_test() {
    let world = three_journeys().await;
    let asked = question(json!({"dimensions": ["category", "experiments"], "events": true}));
    let reply = world.post("/api/v1/funnels/drivers", &asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let codes: Vec<&str> = answer["meta"]["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["code"].as_str().unwrap())
        .collect();
    assert!(
        codes.contains(&"association_not_cause") && codes.contains(&"immortal_time"),
        "{codes:?}"
    );
    assert_eq!(answer["total"]["subjects"], 3);
    let rows = answer["rows"].as_array().unwrap();
    assert!(!rows.is_empty(), "{answer}");
    for row in rows {
        assert_eq!(
            (&row["too_small"], &row["code"]),
            (&json!(true), &json!("too_small")),
            "{row}"
        );
        assert_eq!(
            (&row["p"], &row["difference"]["value"]),
            (&Value::Null, &Value::Null)
        );
    }
    let wrong = question(json!({"dimensions": ["surface", "surfase"]}));
    let problem = world.post("/api/v1/funnels/drivers", &wrong).await;
    assert_eq!(
        problem.problem(422, "unknown_field")["pointer"],
        "/dimensions/1"
    );
}

#[tokio::test]
async fn effort_comes_by_dimension_and_refuses_what_it_does_not_know() {
    let world = three_journeys().await;
    let path = "/api/v1/effort?by=category&from=2026-11-20&to=2026-11-22&timezone=Europe/Paris";
    let reply = world.get(path).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let total = &answer["journeys"]["total"];
    assert_eq!(total["matured"]["entered"], 3, "{answer}");
    // Each chose; j-2 pressed the way out too.
    let bars: Vec<(u64, u64)> = total["clicks"]["by_count"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bar| {
            (
                bar["count"].as_u64().unwrap(),
                bar["not_linked"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(bars, [(1, 2), (2, 1)], "{answer}");
    assert_eq!(answer["idle_over_ms"], 300_000.0);
    let problem = world.get("/api/v1/effort?from=2026-11-20").await;
    assert_eq!(problem.problem(422, "missing_field")["pointer"], "/to");
    let problem = world.get("/api/v1/effort?by=categry").await;
    assert_eq!(problem.problem(422, "unknown_field")["pointer"], "/by/0");
    world.get("/api/v1/effort?interval=day").await.any_problem();
}
