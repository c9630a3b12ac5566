//! Limits are named and checked; one greedy query fails alone.

use serde_json::json;

use super::{World, question, question_json, short_with};
use crate::{Engine, EngineOptions, SqlQuestion};

async fn refusal(world: &World, fields: serde_json::Value) -> (u16, &'static str, String) {
    let err = world.try_ask(fields).await.unwrap_err();
    (err.status(), err.code(), err.pointer().to_owned())
}

#[tokio::test]
async fn mistakes_in_a_question_carry_status_code_and_pointer() {
    let world = World::of("").await;
    let step = |i: usize| json!({"name": format!("S{i}"), "event": "attempt.opened"});
    let steps: Vec<_> = (0..65).map(step).collect();
    for (fields, status, code, pointer) in [
        (
            json!({"funnel": short_with(json!({"steps": steps}))}),
            422,
            "limit_exceeded",
            "/funnel/steps",
        ),
        (json!({"funnel": "nope"}), 422, "unknown_funnel", "/funnel"),
        (
            json!({"range": {"from": "2026-10-01", "to": "2026-09-01"}}),
            422,
            "empty_range",
            "/range/from",
        ),
        (
            json!({"range": {"from": "2026-13-01", "to": "2026-09-01"}}),
            400,
            "bad_time",
            "/range/from",
        ),
        (
            json!({"range": {"from": "2026-09-01", "to": "2026-09-02", "timezone": "Mars"}}),
            400,
            "unknown_timezone",
            "/range/timezone",
        ),
        (
            json!({"filters": [{"field": "surfase", "op": "eq", "value": "x"}]}),
            422,
            "unknown_field",
            "/filters/0/field",
        ),
        (
            json!({"breakdown": {"by": ["event_id"]}}),
            422,
            "not_a_dimension",
            "/breakdown/by/0",
        ),
        (
            json!({"breakdown": {"by": ["surface"], "limit": 10_001}}),
            422,
            "limit_exceeded",
            "/breakdown/limit",
        ),
        (
            json!({"interval": "hour", "range": {"from": "2000-01-01", "to": "2026-01-01"}}),
            422,
            "too_many_intervals",
            "/interval",
        ),
    ] {
        assert_eq!(
            refusal(&world, fields.clone()).await,
            (status, code, pointer.to_owned()),
            "{fields}"
        );
    }
    let unknown = question_json(json!({"breakdwn": {}}));
    assert!(serde_json::from_value::<linkfunnel_model::FunnelQuestion>(unknown).is_err());
}

#[tokio::test]
async fn sixty_four_steps_are_answered() {
    let steps: Vec<_> = (0..64)
        .map(|i| json!({"name": format!("S{i}"), "event": "attempt.opened"}))
        .collect();
    let lines: Vec<String> = (0..64).map(|i| format!("{i} j1 opened")).collect();
    let world = World::of(&lines.join("\n")).await;
    let total = world
        .ask(json!({"funnel": short_with(json!({"steps": steps}))}))
        .await
        .total;
    assert_eq!((total.converted, total.steps.len()), (1, 64));
}

#[tokio::test]
async fn more_segments_than_the_limit_are_an_error_that_names_it() {
    let mut events = Vec::new();
    for i in 0..=crate::MAX_SEGMENTS {
        events.push(super::event(
            &format!("{i} j{i} opened attrs.code=v{i}x"),
            i,
        ));
    }
    let mut world = World::of("").await;
    world.publish(0, &events[1..]);
    let by = json!({"breakdown": {"by": ["attrs.code"], "limit": 3}});
    let groups = world.ask(by.clone()).await.groups;
    assert_eq!(groups.iter().map(|g| g.entered).sum::<u64>(), 10_000);
    world.publish(0, &events[..1]);
    assert_eq!(
        refusal(&world, by).await,
        (422, "too_many_segments", "/breakdown".to_owned())
    );
}

#[tokio::test]
async fn a_query_over_its_memory_fails_clearly_and_the_engine_lives() {
    let mut world = World::of("").await;
    let events: Vec<_> = (0..20_000)
        .map(|i| super::event(&format!("{i} j1 opened attrs.code=v{i}x"), i))
        .collect();
    world.publish(0, &events);
    let options = EngineOptions {
        query_memory_bytes: 256 << 10,
        ..EngineOptions::default()
    };
    let small = Engine::new(world.store.clone(), options, std::sync::Arc::new(|| 0)).unwrap();
    let asked = question(json!({"breakdown": {"by": ["attrs.code"]}}));
    let err = small.funnel("default", asked).await.unwrap_err();
    assert_eq!(
        (err.status(), err.code()),
        (422, "query_too_large"),
        "{err}"
    );
    let sql = "SELECT array_agg(event_id) FROM events".to_owned();
    let sql = SqlQuestion {
        sql,
        limit: None,
        timeout_ms: None,
        as_of: None,
    };
    let err = small.sql("default", sql).await.unwrap_err();
    assert_eq!(err.code(), "query_too_large", "{err}");
    assert!(
        small
            .sql(
                "default",
                SqlQuestion {
                    sql: "SELECT 1".into(),
                    limit: None,
                    timeout_ms: None,
                    as_of: None
                }
            )
            .await
            .is_ok()
    );
    assert_eq!(world.ask(json!({})).await.total.entered, 1);
}

#[tokio::test]
async fn work_that_takes_too_long_times_out_and_says_the_limit() {
    let world = World::of("0 j1 opened").await;
    let err = world
        .engine
        .within(5, std::future::pending::<crate::Result<()>>())
        .await
        .unwrap_err();
    assert_eq!((err.status(), err.code()), (503, "query_timeout"));
    assert!(err.to_string().contains("5 ms"), "{err}");
    assert_eq!(world.ask(json!({})).await.total.entered, 1);
}
