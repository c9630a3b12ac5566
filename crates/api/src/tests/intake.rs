//! Events through POST /api/v1/events into the table, and those that cannot be taken.

use serde_json::json;

use super::world::{World, event};

#[tokio::test]
async fn the_events_of_the_first_ten_minutes_get_the_answers_shown_there() {
    let world = World::new().await;
    let sent = json!([event("e-1", "attempt.opened", "mine-1")]).to_string();
    let reply = world.post("/api/v1/events", &sent).await;
    assert_eq!(
        reply.text(),
        r#"{"accepted":1,"duplicates":0,"rejected":0,"results":[{"index":0,"status":"accepted"}]}"#
    );
    let again = world.post("/api/v1/events", &sent).await.json();
    assert_eq!(again["duplicates"], 1);
    assert_eq!(again["accepted"], 0);
    assert_eq!(again["results"][0]["status"], "duplicate");

    let mut wrong = event("e-2", "attempt.opened", "mine-1");
    let when = wrong
        .as_object_mut()
        .unwrap()
        .remove("occurred_at")
        .unwrap();
    wrong["occured_at"] = when;
    let reply = world
        .post("/api/v1/events", &json!([wrong]).to_string())
        .await
        .json();
    assert_eq!(reply["rejected"], 1);
    let result = &reply["results"][0];
    assert_eq!(result["status"], "rejected");
    assert_eq!(result["code"], "unknown_field");
    assert_eq!(result["pointer"], "/0/occured_at");
    assert_eq!(result["detail"], "unknown field; did you mean occurred_at?");
    world.wait_for("events", 1).await;
}

#[tokio::test]
async fn one_object_an_array_and_lines_are_all_taken() {
    let world = World::new().await;
    let one = event("e-1", "attempt.opened", "j").to_string();
    let reply = world.post("/api/v1/events", &one).await.json();
    assert_eq!(reply["accepted"], 1);
    let two = json!([
        event("e-2", "attempt.opened", "j"),
        event("e-3", "attempt.opened", "j")
    ]);
    let reply = world.post("/api/v1/events", &two.to_string()).await.json();
    assert_eq!(reply["accepted"], 2);
    let lines = format!(
        "{}\n\nnot json\r\n{}\n",
        event("e-4", "attempt.opened", "j"),
        event("e-4", "attempt.opened", "j")
    );
    let request = World::request("POST", "/api/v1/events")
        .header("content-type", "application/x-ndjson; charset=utf-8");
    let reply = world.send(request, &lines).await.json();
    assert_eq!(
        (&reply["accepted"], &reply["duplicates"], &reply["rejected"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(reply["results"][1]["code"], "not_json");
    assert_eq!(reply["results"][1]["pointer"], "/1");
    assert_eq!(reply["results"][2]["status"], "duplicate");
    world.wait_for("events", 4).await;
}

#[tokio::test]
async fn each_bad_event_says_why_and_the_good_ones_beside_it_are_taken() {
    let world = World::new().await;
    let good = event("e-1", "attempt.opened", "j");
    let with = |field: &str, value: serde_json::Value| {
        let mut event = good.clone();
        event[field] = value;
        event
    };
    let without = |field: &str| {
        let mut event = good.clone();
        event.as_object_mut().unwrap().remove(field);
        event
    };
    let sent = json!([
        good,
        7,
        with("event", json!("attempt.opend")),
        with("occurred_at", json!("1970-01-01T00:00:00Z")),
        with("occurred_at", json!("2100-01-01T00:00:00Z")),
        with("occurred_at", json!(7)),
        without("event_id"),
        without("journey_id"),
        with("privacy", json!({"analytics_consent": "denied"})),
    ]);
    let reply = world.post("/api/v1/events", &sent.to_string()).await.json();
    let found: Vec<(&str, &str, &str)> = reply["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            let text = |name: &str| r[name].as_str().unwrap_or_default();
            (text("status"), text("code"), text("pointer"))
        })
        .collect();
    assert_eq!(found[0], ("accepted", "", ""));
    assert_eq!(found[1], ("rejected", "not_an_object", "/1"));
    assert_eq!(found[2], ("rejected", "unknown_event", "/2/event"));
    assert_eq!(found[3], ("rejected", "bad_time", "/3/occurred_at"));
    assert_eq!(found[4], ("rejected", "bad_time", "/4/occurred_at"));
    assert_eq!((found[5].0, found[5].2), ("rejected", "/5/occurred_at"));
    assert_eq!(found[6], ("rejected", "missing_field", "/6/event_id"));
    assert_eq!((found[7].0, found[7].1), ("rejected", "no_id"));
    assert_eq!((found[8].0, found[8].1), ("suppressed", "consent_denied"));
    assert_eq!(
        (&reply["accepted"], &reply["rejected"], &reply["suppressed"]),
        (&json!(1), &json!(7), &json!(1))
    );
    world.wait_for("events", 1).await;
}

#[tokio::test]
async fn a_body_that_cannot_be_cut_takes_nothing_in() {
    let world = World::with(|app| app.limits.events_per_request = 2).await;
    world.post("/api/v1/events", "").await.problem(400, "empty");
    let broken = format!("[{},", event("e-1", "attempt.opened", "j"));
    world
        .post("/api/v1/events", &broken)
        .await
        .problem(400, "not_json");
    world
        .post("/api/v1/events", "\"text\"")
        .await
        .problem(400, "not_json");
    world
        .post("/api/v1/events", "[1,2,3]")
        .await
        .problem(413, "too_many_events");
    let reply = world.post("/api/v1/events", "[]").await.json();
    assert_eq!(reply["accepted"], 0);
    assert_eq!(world.count("events").await, 0);
}

#[tokio::test]
async fn a_server_without_intake_says_so() {
    let world = World::with(|app| app.intake = None).await;
    let sent = event("e-1", "attempt.opened", "j").to_string();
    world
        .post("/api/v1/events", &sent)
        .await
        .problem(503, "no_intake");
}
