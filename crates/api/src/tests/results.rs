//! Results of named funnels: the numbers of the question, and a 304 only while they hold.

use serde_json::{Value, json};

use super::world::{Reply, World, event_at, steps};

const RESULT: &str = "/api/v1/funnels/my/result?from=2026-11-01&to=2026-12-01";
const HOUR_US: i64 = 3_600_000_000;

/// One journey that links and one that is open until the day after at 11.
async fn two_journeys() -> World {
    let world = World::new().await;
    let definition = json!({"steps": steps(), "window": "PT24H", "subject": "journey"});
    let content = json!({"name": "Mine", "definition": definition});
    assert_eq!(world.put("/api/v1/funnels/my", &content).await.status, 201);
    world
        .send_events(&[
            event_at("1", "journey.started", "j-1", "2026-11-20T09:00:00Z"),
            event_at("2", "provider.selected", "j-1", "2026-11-20T09:01:00Z"),
            event_at("3", "connection.linked", "j-1", "2026-11-20T09:02:00Z"),
            event_at("4", "journey.started", "j-2", "2026-11-22T11:00:00Z"),
        ])
        .await;
    world.wait_for("events", 4).await;
    world
}

impl World {
    async fn send_events(&self, events: &[Value]) {
        let reply = self
            .post("/api/v1/events", &json!(events).to_string())
            .await;
        assert_eq!(reply.json()["accepted"], events.len(), "{}", reply.text());
    }

    /// Asks until the watermark of the answers is this.
    async fn wait_for_watermark(&self, watermark: &str) -> Reply {
        for _ in 0..1_000 {
            let reply = self.get(RESULT).await;
            if reply.json()["meta"]["watermark"] == watermark {
                return reply;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the watermark never came to {watermark}");
    }
}

/// Without what differs between two runs.
fn numbers(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut json = reply.json();
    let meta = json["meta"].as_object_mut().unwrap();
    for name in ["query_id", "elapsed_ms"] {
        meta.remove(name);
    }
    json
}

#[tokio::test]
async fn a_result_is_the_answer_to_the_question_it_stands_for() {
    let world = two_journeys().await;
    world.wait_for_watermark("2026-11-22T12:00:00Z").await;
    let filters = json!([{"field": "category", "op": "eq", "value": "accounting"}]);
    let question = json!({
        "funnel": "my",
        "range": {"from": "2026-11-20", "to": "2026-11-23", "timezone": "Europe/Paris"},
        "breakdown": {"by": ["category", "surface"], "limit": 5},
        "interval": "day",
        "include": ["time_to_convert"],
        "filters": filters,
    });
    let asked = world
        .post("/api/v1/funnels/query", &question.to_string())
        .await;
    let path = "/api/v1/funnels/my/result?from=2026-11-20&to=2026-11-23&timezone=Europe/Paris\
        &by=category,surface&limit=5&interval=day&include=time_to_convert\
        &filters=%5B%7B%22field%22:%22category%22,%22op%22:%22eq%22,%22value%22:%22accounting%22%7D%5D";
    let result = world.get(path).await;
    assert_eq!(numbers(&result), numbers(&asked));
    assert_eq!(result.json()["total"]["entered"], 2);
    assert_eq!(result.json()["query"]["funnel_version"], 1);
    assert!(
        result.header("etag").starts_with("W/\""),
        "{}",
        result.header("etag")
    );
    assert_eq!(result.header("cache-control"), "private, no-cache");
    let built_in = world
        .get("/api/v1/funnels/linking/result?from=2026-11-01&to=2026-12-01")
        .await;
    assert_eq!(built_in.json()["query"]["funnel_id"], "linking");
}

#[tokio::test]
async fn a_304_holds_until_an_event_comes() {
    let world = two_journeys().await;
    let first = world.wait_for_watermark("2026-11-22T12:00:00Z").await;
    let tag = first.header("etag").to_owned();
    let same = world.get_unless(RESULT, &tag).await;
    assert_eq!(
        (same.status, same.body.len(), same.header("etag")),
        (304, 0, &*tag)
    );
    assert_eq!(
        world
            .get_unless(RESULT, &format!("\"x\", {tag}"))
            .await
            .status,
        304
    );
    assert_eq!(world.get_unless(RESULT, "*").await.status, 304);
    world
        .send_events(&[
            event_at("5", "provider.selected", "j-2", "2026-11-22T11:01:00Z"),
            event_at("6", "connection.linked", "j-2", "2026-11-22T11:02:00Z"),
        ])
        .await;
    world.wait_for("events", 6).await;
    let after = world.get_unless(RESULT, &tag).await;
    assert_eq!(after.status, 200);
    assert_eq!(after.json()["total"]["converted"], 2, "{}", after.text());
    assert_ne!(after.header("etag"), tag);
}

#[tokio::test]
async fn a_304_ends_when_only_time_passes_and_a_window_with_it() {
    let world = two_journeys().await;
    let first = world.wait_for_watermark("2026-11-22T12:00:00Z").await;
    assert_eq!(
        (
            &first.json()["total"]["open"],
            &first.json()["total"]["dropped"]
        ),
        (&json!(1), &json!(0))
    );
    let open = first.header("etag").to_owned();
    assert_eq!(world.get_unless(RESULT, &open).await.status, 304);
    world.pass(23 * HOUR_US);
    world.wait_for_watermark("2026-11-23T11:00:00Z").await;
    let after = world.get_unless(RESULT, &open).await;
    assert_eq!(after.status, 200);
    assert_eq!(
        (
            &after.json()["total"]["open"],
            &after.json()["total"]["dropped"]
        ),
        (&json!(0), &json!(1))
    );
    let settled = after.header("etag").to_owned();
    world.pass(HOUR_US);
    world.wait_for_watermark("2026-11-23T12:00:00Z").await;
    assert_eq!(
        world.get_unless(RESULT, &settled).await.status,
        304,
        "nothing can change any more"
    );
    assert_eq!(world.get_unless(RESULT, &open).await.status, 200);
}

#[tokio::test]
async fn a_304_ends_when_the_definition_changes_or_goes() {
    let world = two_journeys().await;
    let tag = world
        .wait_for_watermark("2026-11-22T12:00:00Z")
        .await
        .header("etag")
        .to_owned();
    let definition = json!({"steps": steps(), "window": "PT30S", "subject": "journey"});
    world
        .put(
            "/api/v1/funnels/my",
            &json!({"name": "Mine", "definition": definition}),
        )
        .await;
    let after = world.get_unless(RESULT, &tag).await;
    assert_eq!(
        (after.status, &after.json()["total"]["converted"]),
        (200, &json!(0))
    );
    world.delete("/api/v1/funnels/my").await;
    world
        .get_unless(RESULT, after.header("etag"))
        .await
        .problem(404, "funnel_deleted");
}

#[tokio::test]
async fn without_a_range_a_result_is_of_the_last_thirty_days() {
    let world = two_journeys().await;
    let result = world
        .get("/api/v1/funnels/my/result?timezone=Europe/Paris")
        .await;
    let range = json!({"from": "2026-10-24", "to": "2026-11-23", "timezone": "Europe/Paris"});
    assert_eq!(result.json()["query"]["range"], range);
    assert_eq!(result.json()["total"]["entered"], 2);
}

#[tokio::test]
async fn what_a_result_cannot_be_asked_is_refused_at_its_parameter() {
    let world = two_journeys().await;
    for (query, status, code, pointer) in [
        ("from=2026-11-01", 422, "missing_field", "/to"),
        ("to=2026-11-01", 422, "missing_field", "/from"),
        ("from=yesterday&to=2026-11-01", 400, "bad_time", "/from"),
        ("from=2026-11-02&to=2026-11-01", 422, "empty_range", "/from"),
        ("timezone=Mars", 400, "unknown_timezone", "/timezone"),
        (
            "from=2026-11-01&to=2026-11-02&timezone=Mars",
            400,
            "unknown_timezone",
            "/timezone",
        ),
        ("by=category,colour", 422, "unknown_field", "/by/1"),
        ("by=category&limit=0", 422, "out_of_range", "/limit"),
        ("interval=fortnight", 422, "unknown_value", "/interval"),
        ("include=everything", 422, "unknown_value", "/include"),
        ("filters=%5B", 400, "not_json", "/filters"),
        (
            "filters=%5B%7B%22field%22:%22x%22,%22op%22:%22eq%22,%22value%22:1%7D%5D",
            422,
            "unknown_field",
            "/filters/0/field",
        ),
        ("as_of=no-token", 400, "bad_snapshot", "/as_of"),
        ("funnel=other", 422, "unknown_field", "/funnel"),
    ] {
        let path = format!("/api/v1/funnels/my/result?{query}");
        let problem = world.get(&path).await.problem(status, code);
        assert_eq!(problem["pointer"], pointer, "{query}");
    }
    let problem = world
        .get("/api/v1/funnels/mi/result")
        .await
        .problem(404, "unknown_funnel");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean my?"),
        "{problem}"
    );
    world
        .get_unless(RESULT, "no quotes")
        .await
        .problem(400, "bad_precondition");
}
