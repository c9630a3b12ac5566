//! Read-only SQL: what it answers and what it refuses.

use super::World;
use crate::{Error, SqlQuestion};

impl World {
    async fn sql(&self, sql: &str) -> Result<String, Error> {
        let question = SqlQuestion {
            sql: sql.to_owned(),
            limit: None,
            timeout_ms: None,
            as_of: None,
        };
        let answer = self.engine.sql(&self.tenant, question).await?;
        Ok(arrow::util::pretty::pretty_format_batches(&answer.batches)
            .unwrap()
            .to_string())
    }

    async fn number(&self, sql: &str) -> String {
        let table = self.sql(sql).await.unwrap();
        table
            .lines()
            .nth(3)
            .unwrap()
            .trim_matches(['|', ' '])
            .to_owned()
    }
}

const EVENTS: &str =
    "0 j1 opened id=a category=banking \n 1 j1 chose id=b \n 2 j1 linked id=c tenant_id=other";

#[tokio::test]
async fn views_hold_the_tenants_events_only_each_once() {
    let mut world = World::of(EVENTS).await;
    world.publish(1, &[super::event("0 j1 opened id=a category=banking", 0)]);
    for committed in [false, true] {
        assert_eq!(
            world.number("SELECT count(*) FROM events").await,
            "2",
            "{committed}"
        );
        assert_eq!(world.number("SELECT count(*) FROM events_raw").await, "3");
        assert_eq!(
            world
                .number("SELECT count(*) FROM events WHERE tenant_id = 'other'")
                .await,
            "0"
        );
        assert_eq!(
            world
                .number("SELECT event FROM events WHERE category = 'banking'")
                .await,
            "attempt.opened"
        );
        world.commit().await;
    }
    world.tenant = "other".to_owned();
    assert_eq!(world.number("SELECT count(*) FROM events_raw").await, "1");
}

#[tokio::test]
async fn what_is_not_one_select_is_refused() {
    let world = World::of(EVENTS).await;
    for (sql, status, code) in [
        ("CREATE TABLE x AS SELECT 1", 422, "sql_read_only"),
        (
            "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
            422,
            "sql_read_only",
        ),
        ("DROP TABLE events", 422, "sql_read_only"),
        (
            "INSERT INTO events SELECT * FROM events",
            422,
            "sql_read_only",
        ),
        ("UPDATE events SET event = 'x'", 422, "sql_read_only"),
        ("DELETE FROM events", 422, "sql_read_only"),
        (
            "COPY (SELECT * FROM events) TO '/tmp/x.csv'",
            422,
            "sql_read_only",
        ),
        (
            "EXPLAIN COPY (SELECT 1) TO '/tmp/x.csv'",
            422,
            "sql_read_only",
        ),
        (
            "SET datafusion.execution.batch_size = 1",
            422,
            "sql_read_only",
        ),
        (
            "RESET datafusion.execution.batch_size",
            422,
            "sql_read_only",
        ),
        ("SHOW TABLES", 422, "sql_read_only"),
        ("BEGIN", 422, "sql_read_only"),
        ("PREPARE p AS SELECT 1", 422, "sql_read_only"),
        ("SELECT 1; SELECT 2", 422, "sql_one_statement"),
        ("SELECT 1; DROP TABLE events", 422, "sql_one_statement"),
        ("", 400, "sql_empty"),
        ("SELEC 1", 400, "sql_syntax"),
        ("SELECT * FROM nothing", 422, "sql_invalid"),
        ("SELECT nonsense FROM events", 422, "sql_invalid"),
        ("SELECT * FROM dead_letters", 422, "sql_invalid"),
        ("SELECT * FROM '/etc/passwd'", 422, "sql_invalid"),
        ("SELECT * FROM read_csv('/etc/passwd')", 422, "sql_invalid"),
        ("SELECT * INTO x FROM events", 422, "sql_"),
        ("SELECT 1 / 0", 422, "sql_"),
    ] {
        let err = world.sql(sql).await.expect_err(sql);
        assert_eq!(err.status(), status, "{sql}: {err}");
        assert!(err.code().starts_with(code), "{sql}: {} {err}", err.code());
        assert_eq!(err.pointer(), "/sql");
    }
    assert_eq!(world.number("SELECT count(*) FROM events").await, "2");
}

#[tokio::test]
async fn a_plan_can_be_explained() {
    let world = World::of(EVENTS).await;
    assert!(
        world
            .sql("EXPLAIN SELECT count(*) FROM events")
            .await
            .unwrap()
            .contains("physical_plan")
    );
}

#[tokio::test]
async fn rows_beyond_the_limit_are_cut_and_it_is_said() {
    let world = World::of(EVENTS).await;
    let ask = async |limit| {
        let sql = "SELECT * FROM generate_series(1, 10)".to_owned();
        let question = SqlQuestion {
            sql,
            limit: Some(limit),
            timeout_ms: None,
            as_of: None,
        };
        let answer = world.engine.sql("default", question).await.unwrap();
        (
            answer.batches.iter().map(|b| b.num_rows()).sum::<usize>(),
            answer.truncated,
        )
    };
    assert_eq!(ask(3).await, (3, true));
    assert_eq!(ask(10).await, (10, false));
    assert_eq!(ask(0).await, (0, true));
}

#[tokio::test]
async fn a_query_that_runs_too_long_is_stopped_and_the_engine_lives() {
    let world = World::of(EVENTS).await;
    let question = SqlQuestion {
        sql:
            "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b"
                .to_owned(),
        limit: None,
        timeout_ms: Some(100),
        as_of: None,
    };
    let err = world.engine.sql("default", question).await.unwrap_err();
    assert_eq!((err.status(), err.code()), (503, "query_timeout"));
    assert_eq!(world.number("SELECT count(*) FROM events").await, "2");
}

#[tokio::test]
async fn sql_can_be_asked_of_an_earlier_view() {
    let mut world = World::of(EVENTS).await;
    let token = world.store.view().token().to_string();
    world.add("9 j9 opened id=z");
    world.commit().await;
    let question = SqlQuestion {
        sql: "SELECT count(*) AS n FROM events".to_owned(),
        limit: None,
        timeout_ms: None,
        as_of: Some(token.clone()),
    };
    let answer = world.engine.sql("default", question).await.unwrap();
    assert_eq!(answer.snapshot, token);
    let text = arrow::util::pretty::pretty_format_batches(&answer.batches)
        .unwrap()
        .to_string();
    assert!(text.contains("| 2 |"), "{text}");
}
