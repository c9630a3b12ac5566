//! Everything that is refused: as problem+json, with code, pointer and request id, and nothing breaks.

use axum::Router;
use axum::routing::get;
use serde_json::json;

use super::world::{World, range, steps};
use crate::router::surrounded;

#[tokio::test]
async fn an_unknown_route_is_a_problem_with_the_request_id() {
    let world = World::new().await;
    let request = World::request("GET", "/api/v1/nope").header("x-request-id", "abc-1");
    let reply = world.send(request, "").await;
    let problem = reply.problem(404, "no_such_route");
    assert_eq!(reply.header("x-request-id"), "abc-1");
    assert_eq!(problem["request_id"], "abc-1");
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["title"], "Not Found");
    assert_eq!(problem["status"], 404);
}

#[tokio::test]
async fn a_strange_request_id_is_replaced_and_every_answer_has_one() {
    let world = World::new().await;
    let request = World::request("GET", "/healthz").header("x-request-id", "a b");
    let reply = world.send(request, "").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn a_wrong_method_names_the_right_one() {
    let world = World::new().await;
    let reply = world.get("/api/v1/funnels/query").await;
    reply.problem(405, "method_not_allowed");
    assert_eq!(reply.header("allow"), "POST");
    let reply = world.post("/healthz", "{}").await;
    reply.problem(405, "method_not_allowed");
    assert_eq!(reply.header("allow"), "GET,HEAD");
    let reply = world.post("/api/v1/funnels/my", "{}").await;
    reply.problem(405, "method_not_allowed");
    let mut allowed: Vec<&str> = reply.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PUT"]);
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let world = World::new().await;
    for path in [
        "/api/v1/funnels/query",
        "/api/v1/sql",
        "/api/v1/events",
        "/api/v1/dead-letters/replay",
    ] {
        let request = World::request("POST", path).header("content-type", "text/plain");
        world
            .send(request, "{}")
            .await
            .problem(415, "unsupported_media_type");
        world
            .send(World::request("POST", path), "{}")
            .await
            .problem(415, "unsupported_media_type");
        let request = World::json("POST", path).header("content-encoding", "gzip");
        world
            .send(request, "{}")
            .await
            .problem(415, "unsupported_encoding");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let world = World::with(|app| app.limits.body_bytes = 100).await;
    let fits = format!("{:<100}", r#"{"sql":"select 1"}"#);
    assert_eq!(world.post("/api/v1/sql", &fits).await.status, 200);
    let over = format!("{fits} ");
    world
        .post("/api/v1/sql", &over)
        .await
        .problem(413, "body_too_large");
    world
        .post("/api/v1/events", &over)
        .await
        .problem(413, "body_too_large");
}

#[tokio::test]
async fn a_request_over_the_time_limit_is_cut_off() {
    let world =
        World::with(|app| app.limits.request_time = std::time::Duration::from_millis(50)).await;
    let routes = Router::new().route("/slow", get(std::future::pending::<()>));
    let world = world.over(|app| surrounded(routes, app));
    world.get("/slow").await.problem(503, "request_timeout");
}

#[tokio::test]
async fn a_panic_is_a_500_with_an_id_and_the_next_request_lives() {
    async fn broken() {
        panic!("the inside must not be told");
    }
    let routes = Router::new()
        .route("/broken", get(broken))
        .route("/fine", get(async || "fine"));
    let world = World::new().await.over(|app| surrounded(routes, app));
    let reply = world.get("/broken").await;
    let problem = reply.problem(500, "internal");
    assert_eq!(problem["request_id"], reply.header("x-request-id"));
    assert!(!reply.text().contains("inside"), "{}", reply.text());
    assert_eq!(world.get("/fine").await.text(), "fine");
}

#[tokio::test]
async fn one_question_too_many_at_once_is_told_to_come_back() {
    let world = World::with(|app| app.limits.questions_at_once = 0).await;
    let reply = world.post("/api/v1/sql", r#"{"sql":"select 1"}"#).await;
    reply.problem(429, "too_many_questions");
    assert_eq!(reply.header("retry-after"), "1");
}

#[tokio::test]
async fn questions_that_say_something_wrong_get_code_and_pointer() {
    let world = World::new().await;
    let range = range();
    let many: Vec<_> = (0..65)
        .map(|i| json!({"name": format!("S{i}"), "event": "journey.started"}))
        .collect();
    let funnel =
        |steps: serde_json::Value| json!({"steps": steps, "window": "PT24H", "subject": "journey"});
    let bad_range =
        |from: &str, to: &str| json!({"funnel": "linking", "range": {"from": from, "to": to}});
    let mut month_window = funnel(steps());
    month_window["window"] = json!("P1M");
    let mut strange_step = funnel(steps());
    strange_step["steps"][1]["evnt"] = json!("x");
    for (question, status, code, pointer) in [
        (
            json!({"funel": "linking", "range": range}),
            422,
            "unknown_field",
            "/funel",
        ),
        (json!({"funnel": "linking"}), 422, "missing_field", "/range"),
        (
            json!({"funnel": "linkin", "range": range}),
            422,
            "unknown_funnel",
            "/funnel",
        ),
        (
            json!({"funnel": strange_step, "range": range}),
            422,
            "unknown_field",
            "/funnel/steps/1/evnt",
        ),
        (
            json!({"funnel": funnel(json!([{"name":"A","event":"journey.started"},{"name":"B","event":"journey.begun"}])), "range": range}),
            422,
            "unknown_event",
            "/funnel/steps/1/event",
        ),
        (
            json!({"funnel": funnel(json!(many)), "range": range}),
            422,
            "limit_exceeded",
            "/funnel/steps",
        ),
        (
            json!({"funnel": month_window, "range": range}),
            422,
            "invalid_value",
            "/funnel/window",
        ),
        (
            bad_range("2026-13-01", "2026-10-01"),
            400,
            "bad_time",
            "/range/from",
        ),
        (
            bad_range("2026-09-01", "yesterday"),
            400,
            "bad_time",
            "/range/to",
        ),
        (
            bad_range("2026-10-01", "2026-09-01"),
            422,
            "empty_range",
            "/range/from",
        ),
        (
            json!({"funnel": "linking", "range": {"from": "2026-09-01", "to": "2026-10-01", "timezone": "Mars"}}),
            400,
            "unknown_timezone",
            "/range/timezone",
        ),
        (
            json!({"funnel": "linking", "range": range, "breakdown": {"by": ["colour"]}}),
            422,
            "unknown_field",
            "/breakdown/by/0",
        ),
        (
            json!({"funnel": "linking", "range": range, "filters": [{"field": "x", "op": "eq", "value": 1}]}),
            422,
            "unknown_field",
            "/filters/0/field",
        ),
        (
            json!({"funnel": "linking", "range": range, "interval": "fortnight"}),
            422,
            "unknown_value",
            "/interval",
        ),
        (
            json!({"funnel": 7, "range": range}),
            422,
            "wrong_type",
            "/funnel",
        ),
        (
            json!({"funnel": "linking", "range": range, "as_of": "no token"}),
            400,
            "bad_snapshot",
            "/as_of",
        ),
    ] {
        let reply = world
            .post("/api/v1/funnels/query", &question.to_string())
            .await;
        let problem = reply.problem(status, code);
        assert_eq!(problem["pointer"], pointer, "{question}");
    }
    let by_position = json!(["linking", range]).to_string();
    let reply = world.post("/api/v1/funnels/query", &by_position).await;
    reply.problem(422, "wrong_type");
    let trailing = format!("{} {{}}", json!({"funnel": "linking", "range": range}));
    for body in ["", "{", &trailing] {
        let reply = world.post("/api/v1/funnels/query", body).await;
        assert_eq!(reply.status, 400, "{body}");
        reply.any_problem();
    }
}

#[tokio::test]
async fn query_strings_are_read_as_strictly_as_bodies() {
    let world = World::new().await;
    for (path, code, pointer) in [
        (
            "/api/v1/success-rates?bye=category",
            "unknown_field",
            "/bye",
        ),
        (
            "/api/v1/success-rates?interval=fortnight",
            "unknown_value",
            "/interval",
        ),
        (
            "/api/v1/success-rates?interval=day&interval=week",
            "duplicate_field",
            "/interval",
        ),
        ("/api/v1/dead-letters?limit=many", "invalid_value", "/limit"),
        ("/api/v1/dead-letters?page=2", "unknown_field", "/page"),
        ("/api/v1/dead-letters?limit=0", "bad_limit", "/limit"),
    ] {
        let problem = world.get(path).await.problem(422, code);
        assert_eq!(problem["pointer"], pointer, "{path}");
    }
    world
        .get("/api/v1/dead-letters?cursor=x")
        .await
        .problem(400, "bad_cursor");
}

#[tokio::test]
async fn an_unknown_funnel_is_a_404_with_the_nearest_name() {
    let world = World::new().await;
    let problem = world
        .get("/api/v1/funnels/linkin")
        .await
        .problem(404, "unknown_funnel");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean linking?"),
        "{problem}"
    );
}

#[tokio::test]
async fn sql_that_writes_or_reaches_out_is_refused() {
    let world = World::new().await;
    for sql in [
        "insert into events values (1)",
        "delete from events",
        "update events set tenant_id = 'x'",
        "drop table events",
        "create table t as select 1",
        "create external table t stored as csv location '/etc/passwd'",
        "copy events to '/tmp/x.csv'",
        "set datafusion.execution.target_partitions = 1",
        "select 1; select 2",
        "explain analyze delete from events",
    ] {
        let reply = world
            .post("/api/v1/sql", &json!({ "sql": sql }).to_string())
            .await;
        assert!(
            matches!(reply.status, 400 | 422),
            "{sql}: {} {}",
            reply.status,
            reply.text()
        );
        assert_eq!(reply.any_problem()["pointer"], "/sql", "{sql}");
    }
    for sql in [
        "select * from '/etc/passwd'",
        "select * from nowhere",
        "selec 1",
        "",
        "select nope from events",
    ] {
        let reply = world
            .post("/api/v1/sql", &json!({ "sql": sql }).to_string())
            .await;
        assert!(
            matches!(reply.status, 400 | 422),
            "{sql}: {} {}",
            reply.status,
            reply.text()
        );
        reply.any_problem();
    }
    assert_eq!(world.count("events").await, 0);
}

#[tokio::test]
async fn sql_that_runs_too_long_is_stopped_and_the_server_lives() {
    let world = World::new().await;
    let sql = "select count(*) from generate_series(1, 100000000) a, generate_series(1, 100000000) b \
               where a.value * b.value % 7 = 3";
    let question = json!({ "sql": sql, "timeout_ms": 200 }).to_string();
    let problem = world
        .post("/api/v1/sql", &question)
        .await
        .problem(503, "query_timeout");
    assert!(
        problem["detail"].as_str().unwrap().contains("200 ms"),
        "{problem}"
    );
    assert_eq!(
        world
            .post("/api/v1/sql", r#"{"sql":"select 1 as x"}"#)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn sql_that_takes_too_much_memory_is_stopped_and_the_server_lives() {
    let world = World::small_memory().await;
    let sql = "select array_agg(value) from generate_series(1, 50000000)";
    let reply = world
        .post("/api/v1/sql", &json!({ "sql": sql }).to_string())
        .await;
    let problem = reply.problem(422, "query_too_large");
    assert!(
        problem["detail"].as_str().unwrap().contains("memory"),
        "{problem}"
    );
    assert_eq!(
        world
            .post("/api/v1/sql", r#"{"sql":"select 1 as x"}"#)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_server_without_keys_refuses_strange_host_names() {
    let world = World::new().await;
    let request = World::request("GET", "/").header("host", "evil.example");
    world.send(request, "").await.problem(421, "strange_host");
    let request = World::request("GET", "/").header("host", "127.0.0.1:8080");
    assert_eq!(world.send(request, "").await.status, 200);
}
