//! GET /api/v1/journeys/{id}, over the whole router.

use serde_json::json;

use super::world::{World, event_at, key};
use crate::keys::Scope;

async fn one_journey() -> World {
    let world = World::new().await;
    let at = |second: u32| format!("2026-11-20T09:02:{second:02}.5Z");
    let mut exited = event_at("4", "attempt.exited", "J-1", &at(50));
    exited["reason"] =
        json!({"class": "user_choice", "code": "user_cancelled", "vendor_code": "403"});
    let mut opened = event_at("1", "attempt.opened", "J-1", &at(11));
    opened["surface"] = json!("hosted_page");
    opened["medium"] = json!("email");
    let mut chose = event_at("2", "provider.selected", "J-1", &at(19));
    chose["integration"] = json!({"key": "xero", "name": "Xero"});
    let sent = json!([
        opened,
        chose,
        event_at("3", "handoff.started", "J-1", &at(41)),
        exited
    ]);
    let reply = world.post("/api/v1/events", &sent.to_string()).await.json();
    assert_eq!(reply["accepted"], 4, "{reply}");
    world.wait_for("events", 4).await;
    world
}

#[tokio::test]
async fn a_journey_is_told_with_its_events_and_why_it_is_where_it_is() {
    let world = one_journey().await;
    let reply = world.get("/api/v1/journeys/J-1").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    assert_eq!(answer["id"], "J-1");
    assert_eq!(answer["funnel"]["id"], "linking");
    let under = &answer["subjects"][0];
    assert_eq!(under["category"], "accounting");
    assert_eq!(
        under["integrations"],
        json!([{"key": "xero", "name": "Xero"}])
    );
    assert_eq!(
        (&under["surface"], &under["medium"]),
        (&json!("hosted_page"), &json!("email"))
    );
    let events = under["events"].as_array().unwrap();
    let times: Vec<_> = events
        .iter()
        .map(|event| event["since_previous_ms"].as_f64())
        .collect();
    assert_eq!(times, [None, Some(8_000.0), Some(22_000.0), Some(9_000.0)]);
    assert_eq!(events[3]["reason"]["vendor_code"], "403");
    let entry = &under["explanation"]["entries"][0];
    assert_eq!(
        (&entry["speaks"], &entry["step_name"]),
        (&json!(true), &json!("Handed off"))
    );
    assert_eq!(entry["waits_for"], json!(["Linked"]));
    assert_eq!(entry["last_event"]["event"], "attempt.exited");
    assert_eq!(entry["window_ends_at"], "2026-11-21T09:02:11.500Z");

    let page = world.get("/api/v1/journeys/J-1?limit=3").await.json();
    assert_eq!(page["subjects"][0]["events"].as_array().unwrap().len(), 3);
    let (cursor, snapshot) = (
        page["next_cursor"].as_str().unwrap(),
        page["meta"]["snapshot"].as_str().unwrap(),
    );
    let rest = format!("/api/v1/journeys/J-1?limit=3&cursor={cursor}&as_of={snapshot}");
    let rest = world.get(&rest).await.json();
    assert_eq!(rest["subjects"][0]["events"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next_cursor"], json!(null));
}

#[tokio::test]
async fn a_journey_tells_which_step_its_provider_does_not_show() {
    let world = World::new().await;
    let at = |second: u32| format!("2026-11-20T09:02:{second:02}Z");
    let by_codat = |id: &str, name: &str, second: u32| {
        let mut event = event_at(id, name, "J-1", &at(second));
        event["provider"] = json!("codat");
        event
    };
    let sent = json!([
        event_at("1", "attempt.opened", "J-1", &at(10)),
        by_codat("2", "provider.selected", 20),
        by_codat("3", "connection.linked", 50),
    ]);
    world.post("/api/v1/events", &sent.to_string()).await;
    world.wait_for("events", 3).await;
    let answer = world.get("/api/v1/journeys/J-1").await.json();
    let entry = &answer["subjects"][0]["explanation"]["entries"][0];
    assert_eq!(entry["state"], "converted", "{answer}");
    assert_eq!(
        entry["unseen"],
        json!([{"step": 4, "name": "Handed off", "bypassed": true}])
    );
}

#[tokio::test]
async fn what_is_not_there_or_not_a_question_is_a_problem() {
    let world = one_journey().await;
    for (path, status, code, pointer) in [
        ("J-2", 404, "unknown_subject", None),
        ("J-1?subject=company", 404, "unknown_subject", None),
        ("J-1?funnel=lnking", 422, "unknown_funnel", Some("/funnel")),
        ("J-1?from=2026-11-01", 422, "missing_field", Some("/to")),
        (
            "J-1?from=soon&to=2026-11-02",
            400,
            "bad_time",
            Some("/from"),
        ),
        ("J-1?limit=0", 422, "bad_limit", Some("/limit")),
        ("J-1?cursor=x", 400, "bad_cursor", Some("/cursor")),
        ("J-1?as_of=x", 400, "bad_snapshot", Some("/as_of")),
    ] {
        let reply = world.get(&format!("/api/v1/journeys/{path}")).await;
        let problem = reply.problem(status, code);
        assert_eq!(
            problem.get("pointer").and_then(|at| at.as_str()),
            pointer,
            "{path}"
        );
    }
    let unknown = world
        .get("/api/v1/journeys/J-1?sbject=company")
        .await
        .any_problem();
    assert_eq!(unknown["pointer"], "/sbject", "{unknown}");
}

#[tokio::test]
async fn a_journey_of_another_tenant_is_not_there() {
    let everything: &[Scope] = &[Scope::Ingest, Scope::Read];
    let world = World::with_keys(&[
        key("a", "a-secret", "acme", everything),
        key("b", "b-secret", "bolt", everything),
    ])
    .await;
    let sent = json!([event_at(
        "1",
        "attempt.opened",
        "acme-journey",
        "2026-11-20T09:00:00Z"
    )]);
    let send = World::keyed("POST", "/api/v1/events", "a-secret");
    assert_eq!(
        world.send(send, &sent.to_string()).await.json()["accepted"],
        1
    );
    world.wait_for_as("a-secret", "events", 1).await;
    let ask = |secret| World::keyed("GET", "/api/v1/journeys/acme-journey", secret);
    assert_eq!(world.send(ask("a-secret"), "").await.status, 200);
    world
        .send(ask("b-secret"), "")
        .await
        .problem(404, "unknown_subject");
}
