//! Success rates over HTTP: attributions, what is controllable, surfaces, never succeeded; and funnels in SQL.

use serde_json::{Value, json};

use super::world::{World, event_at, range, steps};

const RANGE: &str = "from=2026-11-20&to=2026-11-21";

/// An event of a journey with more fields.
fn told(id: usize, name: &str, journey: &str, second: usize, fields: &Value) -> Value {
    let at = format!("2026-11-20T09:00:{second:02}Z");
    let mut event = event_at(&format!("e{id}"), name, journey, &at);
    for (field, value) in fields.as_object().unwrap() {
        event[field] = value.clone();
    }
    event
}

/// Embedded: one of two links. By link: none of two, both failed at the same bank, which no other chose.
async fn four_journeys() -> World {
    let world = World::new().await;
    let xero = json!({"integration": {"key": "xero"}});
    let bank = json!({"integration": {"key": "bank"}});
    let failed = json!({"integration": {"key": "bank"}, "reason": {"class": "technical", "code": "institution_error", "attribution": "institution"}});
    let embedded = json!({"surface": "embedded_sdk"});
    let portal = json!({"surface": "portal_link"});
    let none = json!({});
    let mut events = Vec::new();
    for (name, journey, fields) in [
        ("journey.started", "j-1", &embedded),
        ("provider.selected", "j-1", &xero),
        ("handoff.started", "j-1", &none),
        ("connection.linked", "j-1", &xero),
        ("journey.started", "j-2", &embedded),
        ("journey.started", "j-3", &portal),
        ("provider.selected", "j-3", &bank),
        ("attempt.failed", "j-3", &failed),
        ("journey.started", "j-4", &portal),
        ("provider.selected", "j-4", &bank),
        ("attempt.failed", "j-4", &failed),
    ] {
        events.push(told(events.len(), name, journey, events.len(), fields));
    }
    let reply = world
        .post("/api/v1/events", &json!(events).to_string())
        .await
        .json();
    assert_eq!(reply["accepted"], 11, "{reply}");
    world.wait_for("events", 11).await;
    world
}

#[tokio::test]
async fn a_rate_is_told_without_failures_of_others_and_under_the_attribution_asked_for() {
    let world = four_journeys().await;
    let path = format!(
        "/api/v1/success-rates?by=integration&attribution=integration:step:2&controllable=true&{RANGE}"
    );
    let reply = world.get(&path).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let total = &answer["total"];
    assert_eq!(
        total["matured"],
        json!({"entered": 4, "converted": 1}),
        "{answer}"
    );
    assert_eq!(total["rate"]["value"], 0.25);
    assert_eq!(total["controllable"]["taken_out"], 2);
    assert_eq!(total["controllable"]["rate"]["value"], 0.5);
    assert!(
        answer["controllable_rule"]
            .as_str()
            .unwrap()
            .contains("institution")
    );
    let keys: Vec<&str> = answer["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["key"]["integration"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["bank", "xero", "(none)"]);

    let natural = world
        .get(&format!("/api/v1/success-rates?by=integration&{RANGE}"))
        .await
        .json();
    let groups = natural["groups"].as_array().unwrap();
    assert_eq!(groups[2]["key"]["integration"], "(before choice)");
    assert_eq!(
        groups[0]["starts_from"],
        "journeys that opened the flow and chose the integration bank"
    );
    for (query, code, pointer) in [
        (
            "by=category&attribution=surface:last",
            "not_a_dimension",
            "/attribution",
        ),
        (
            "by=category&attribution=category:mid",
            "unknown_value",
            "/attribution",
        ),
        (
            "by=category&attribution=category:step:9",
            "unknown_step",
            "/attribution",
        ),
        ("controllable=perhaps", "invalid_value", "/controllable"),
    ] {
        let reply = world.get(&format!("/api/v1/success-rates?{query}")).await;
        assert_eq!(reply.problem(422, code)["pointer"], pointer, "{query}");
    }
}

#[tokio::test]
async fn embedding_is_compared_with_sending_a_link() {
    let world = four_journeys().await;
    let reply = world
        .get(&format!("/api/v1/success-rates/surfaces?{RANGE}"))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    assert_eq!(
        answer["embedded"]["matured"],
        json!({"entered": 2, "converted": 1})
    );
    assert_eq!(
        answer["portal_link"]["matured"],
        json!({"entered": 2, "converted": 0})
    );
    let difference = &answer["difference"];
    assert_eq!(difference["value"], 0.5);
    let (low, high) = (
        difference["low"].as_f64().unwrap(),
        difference["high"].as_f64().unwrap(),
    );
    assert!(low < 0.0 && high > 0.5 && high <= 1.0, "{difference}");
    assert_eq!(answer["surfaces"].as_array().unwrap().len(), 2);
    let reply = world.get("/api/v1/success-rates/surfaces?by=surface").await;
    assert_eq!(reply.problem(422, "unknown_field")["pointer"], "/by");
    let reply = world
        .get("/api/v1/success-rates/surfaces?from=2026-11-20")
        .await;
    assert_eq!(reply.problem(422, "missing_field")["pointer"], "/to");
}

#[tokio::test]
async fn what_never_succeeded_is_listed_page_by_page() {
    let world = four_journeys().await;
    let path = format!("/api/v1/success-rates/never-succeeded?min_choices=2&limit=1&{RANGE}");
    let reply = world.get(&path).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let page = reply.json();
    let bank = &page["never_succeeded"][0];
    assert_eq!(
        (&bank["value"], &bank["matured"]),
        (&json!("bank"), &json!(2)),
        "{page}"
    );
    assert_eq!(bank["reasons"][0]["count"], 2);
    assert_eq!(
        (&page["count"], &page["next_cursor"]),
        (&json!(1), &Value::Null)
    );
    let after = world.get(&format!("{path}&cursor=2.bank")).await.json();
    assert_eq!(
        (&after["count"], &after["never_succeeded"]),
        (&json!(1), &json!([]))
    );
    let default = world
        .get(&format!("/api/v1/success-rates/never-succeeded?{RANGE}"))
        .await
        .json();
    assert_eq!(
        (&default["count"], &default["min_choices"]),
        (&json!(0), &json!(20))
    );
    for (query, status, code, pointer) in [
        ("cursor=x", 400, "bad_cursor", "/cursor"),
        ("limit=0", 422, "bad_limit", "/limit"),
        ("by=surface", 422, "unknown_value", "/by"),
        ("from=x&to=y", 400, "bad_time", "/from"),
    ] {
        let reply = world
            .get(&format!("/api/v1/success-rates/never-succeeded?{query}"))
            .await;
        assert_eq!(reply.problem(status, code)["pointer"], pointer, "{query}");
    }
}

#[tokio::test]
async fn a_funnel_in_sql_has_the_numbers_of_its_answer_in_every_format() {
    let world = four_journeys().await;
    let funnel = json!({"steps": steps(), "window": "PT24H", "subject": "journey"});
    let question = json!({"funnel": funnel, "range": range(), "breakdown": {"by": ["surface"]}});
    let answer = world
        .post("/api/v1/funnels/query", &question.to_string())
        .await
        .json();
    let sql = format!(
        "SELECT surface, step, entered, reached, dropped, rate, rate_from_entry_high FROM funnel('{question}')"
    );
    let asked = json!({ "sql": sql }).to_string();
    let reply = world.post("/api/v1/sql", &asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut expect = Vec::new();
    for group in answer["groups"].as_array().unwrap() {
        for (i, step) in group["steps"].as_array().unwrap().iter().enumerate() {
            expect.push(json!({
                "surface": group["key"]["surface"], "step": i + 1, "entered": group["entered"],
                "reached": step["reached"], "dropped": step["dropped"],
                "rate": group["rate"]["value"], "rate_from_entry_high": step["rate_from_entry"]["high"],
            }));
        }
    }
    assert_eq!(expect.len(), 6);
    assert_eq!(reply.json()["rows"], json!(expect));
    let request = World::json("POST", "/api/v1/sql").header("accept", "text/csv");
    let csv = world.send(request, &asked).await.text();
    assert_eq!(csv.lines().count(), 7, "{csv}");

    let mut bad = question.clone();
    bad["funnel"]["steps"][1]["event"] = json!("provider.chosen");
    let asked = json!({ "sql": format!("SELECT * FROM funnel('{bad}')") }).to_string();
    let problem = world.post("/api/v1/sql", &asked).await;
    let same = world.post("/api/v1/funnels/query", &bad.to_string()).await;
    assert_eq!(
        problem.problem(422, "unknown_event")["pointer"],
        same.problem(422, "unknown_event")["pointer"]
    );
    let journeys = r#"{"sql":"select journey_id, state, integration from journeys order by 1"}"#;
    let rows = world.post("/api/v1/sql", journeys).await.json();
    assert_eq!(
        rows["rows"][2],
        json!({"journey_id": "j-3", "state": "dropped", "integration": "bank"})
    );
}
