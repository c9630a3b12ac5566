//! The views and the table function of SQL against the answers of the API.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{World, event, question_json, short_with};
use crate::{Error, MAX_FUNNEL_CALLS, SqlQuestion};

impl World {
    /// The rows of a statement as JSON objects, nulls written out.
    async fn rows(&self, sql: &str) -> Result<Vec<Value>, Error> {
        let question = SqlQuestion {
            sql: sql.to_owned(),
            limit: None,
            timeout_ms: None,
            as_of: None,
        };
        let answer = self.engine.sql(&self.tenant, question).await?;
        let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, arrow::json::writer::JsonArray>(Vec::new());
        writer
            .write_batches(&answer.batches.iter().collect::<Vec<_>>())
            .unwrap();
        writer.finish().unwrap();
        Ok(serde_json::from_slice(&writer.into_inner()).unwrap_or_default())
    }

    async fn must(&self, sql: &str) -> Vec<Value> {
        self.rows(sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
    }
}

/// `SELECT … FROM funnel('question')`.
fn call(select: &str, question: &Value) -> String {
    format!(
        "SELECT {select} FROM funnel('{}')",
        question.to_string().replace('\'', "''")
    )
}

/// The rows that `funnel()` owes for an answer, read off its wire form.
fn owed(answer: &Value, dimensions: &[(&str, &str)]) -> Vec<Value> {
    let total = [answer["total"].clone()];
    let groups = match dimensions.is_empty() {
        true => &total[..],
        false => answer["groups"].as_array().unwrap(),
    };
    let mut rows = Vec::new();
    for group in groups {
        for (i, step) in group["steps"].as_array().unwrap().iter().enumerate() {
            let mut row = json!({
                "step": i + 1, "step_name": step["name"], "optional": step["optional"],
                "entered": group["entered"], "converted": group["converted"],
                "group_dropped": group["dropped"], "group_open": group["open"],
                "discarded": group.get("discarded").cloned().unwrap_or(json!(0)),
                "matured": group["matured"]["entered"],
                "matured_converted": group["matured"]["converted"],
            });
            for (column, name) in dimensions {
                row[*column] = group["key"][*name].clone();
            }
            for name in ["reached", "bypassed", "dropped", "open", "matured_reached"] {
                row[name] = step[name].clone();
            }
            for (of, names) in [
                (group, &["rate", "rate_so_far", "rate_expected"][..]),
                (step, &["rate_from_entry", "rate_from_previous"][..]),
            ] {
                for name in names {
                    row[*name] = of[*name]["value"].clone();
                    for part in ["low", "high", "code"] {
                        row[format!("{name}_{part}")] = of[*name][part].clone();
                    }
                }
            }
            for time in ["time_from_entry", "time_from_previous"] {
                for percent in ["p50", "p75", "p90", "p95"] {
                    row[format!("{time}_{percent}_ms")] =
                        step[format!("{time}_ms")][percent].clone();
                }
            }
            rows.push(row);
        }
    }
    rows
}

/// Every number of `funnel()` is that of the API's answer to the same question.
async fn same(world: &World, fields: Value, dimensions: &[(&str, &str)]) -> usize {
    // Both go over the wire as text, so that floats are read back alike.
    let answer = serde_json::to_string(&world.ask(fields.clone()).await).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let expect = owed(&answer, dimensions);
    let found = world.must(&call("*", &question_json(fields.clone()))).await;
    assert_eq!(found, expect, "{fields}");
    found.len()
}

const JOURNEYS: &str = "0 j1 opened category=banking surface=hosted_page company_id=c1 \n 60 j1 chose integration=xero company_id=c1
     70 j1 chose integration=sage company_id=c1 \n 90 j1 linked integration=sage company_id=c1
     1h j2 opened category=banking \n 1h+5 j2 chose integration=xero \n 1h+6 j2 attempt.exited reason.code=cancelled
     2h j3 opened category=accounting surface=portal_link \n 2h+9 j3 uploaded
     1d j4 opened \n 1d+10 j4 chose integration=it's \n 1d+20 j4 linked
     29d j5 opened category=banking";

#[tokio::test]
async fn every_number_of_funnel_in_sql_is_that_of_the_api() {
    let mut world = World::new().await;
    world.add(JOURNEYS);
    world.watermark(29 * super::DAY + super::SECOND);
    assert_eq!(same(&world, json!({}), &[]).await, 3);
    let by = |names: Value| json!({"breakdown": {"by": names}, "include": ["time_to_convert"]});
    let category = [("category", "category")];
    assert_eq!(same(&world, by(json!(["category"])), &category).await, 9);
    let integration = [("integration", "integration"), ("by_step", "step")];
    assert!(same(&world, by(json!(["integration", "step"])), &integration).await >= 12);
    let limited = json!({"breakdown": {"by": ["surface"], "limit": 1}});
    same(&world, limited, &[("surface", "surface")]).await;
    let filtered = json!({"filters": [{"field": "integration", "op": "eq", "value": "it's"}]});
    same(&world, filtered, &[]).await;
    let attributed = json!({"breakdown": {"by": ["integration.key"], "attribution": {"integration.key": "last"}}});
    same(
        &world,
        attributed,
        &[("integration_key", "integration.key")],
    )
    .await;
    let best = json!({"funnel": short_with(json!({"entries": "best"}))});
    same(&world, best, &[]).await;
    let built_in = json!({"funnel": "linking"});
    assert_eq!(same(&world, built_in, &[]).await, 6);
    let nobody = World::of("").await;
    assert_eq!(same(&nobody, json!({}), &[]).await, 3);
    assert_eq!(same(&nobody, by(json!(["category"])), &category).await, 0);
}

#[tokio::test]
async fn a_saved_funnel_is_asked_for_by_its_id_by_its_own_tenant() {
    let mut world = World::of(JOURNEYS).await;
    let content = json!({"name": "mine", "definition": super::short()});
    let content = serde_json::from_value(content).unwrap();
    let saved = world
        .engine
        .save_funnel("default", "mine", "ann", &content, &|_| true)
        .await;
    assert!(saved.is_ok());
    assert_eq!(same(&world, json!({"funnel": "mine"}), &[]).await, 3);
    world.tenant = "other".to_owned();
    let foreign = world
        .rows(&call("*", &question_json(json!({"funnel": "mine"}))))
        .await
        .unwrap_err();
    assert_eq!(
        (foreign.code(), foreign.pointer()),
        ("unknown_funnel", "/funnel")
    );
}

#[tokio::test]
async fn funnel_can_be_joined_filtered_and_called_twice() {
    let world = World::of(JOURNEYS).await;
    let by = |name: &str| question_json(json!({"breakdown": {"by": [name]}}));
    let one = world
        .must(&(call("entered", &by("category")) + " WHERE category = 'banking' AND step = 1"))
        .await;
    assert_eq!(one, [json!({"entered": 3})]);
    let sql = format!(
        "SELECT f.category, f.reached, count(j.journey_id) AS n FROM funnel('{}') f
         JOIN journeys j ON j.category = f.category
         WHERE f.step_name = 'Opened' GROUP BY f.category, f.reached ORDER BY f.category",
        by("category")
    );
    assert_eq!(
        world.must(&sql).await,
        [
            json!({"category": "accounting", "reached": 1, "n": 1}),
            json!({"category": "banking", "reached": 3, "n": 3})
        ]
    );
    let twice = format!(
        "SELECT count(*) AS n FROM funnel('{}') a CROSS JOIN funnel('{}') b",
        by("category"),
        by("surface")
    );
    assert_eq!(world.must(&twice).await, [json!({"n": 81})]);
    let limited = world
        .must(&(call("step", &by("category")) + " LIMIT 2"))
        .await;
    assert_eq!(limited.len(), 2);
}

#[tokio::test]
async fn a_bad_argument_is_refused_with_the_codes_and_pointers_of_a_funnel_question() {
    let world = World::of("").await;
    for (fields, status, code, pointer) in [
        (json!({"funnel": "nope"}), 422, "unknown_funnel", "/funnel"),
        (
            json!({"funnel": short_with(json!({"steps": [{"name": "A", "event": "journey.started"}, {"name": "B", "event": "nope"}]}))}),
            422,
            "unknown_event",
            "/funnel/steps/1/event",
        ),
        (
            json!({"breakdown": {"by": ["categry"]}}),
            422,
            "unknown_field",
            "/breakdown/by/0",
        ),
        (json!({"brakdown": {}}), 422, "unknown_field", "/brakdown"),
        (
            json!({"breakdown": {"by": 7}}),
            422,
            "wrong_type",
            "/breakdown/by",
        ),
        (
            json!({"range": {"from": "yesterday", "to": "2026-09-01"}}),
            400,
            "bad_time",
            "/range/from",
        ),
        (
            json!({"interval": "day"}),
            422,
            "unknown_field",
            "/interval",
        ),
        (json!({"as_of": "x"}), 422, "unknown_field", "/as_of"),
        (
            json!({"include": ["reasons"]}),
            422,
            "unknown_value",
            "/include",
        ),
    ] {
        let error = world
            .rows(&call("*", &question_json(fields.clone())))
            .await
            .unwrap_err();
        assert_eq!(
            (error.status(), error.code(), error.pointer()),
            (status, code, pointer),
            "{fields}: {error}"
        );
        assert!(error.to_string().contains("funnel()"), "{error}");
    }
    for (sql, status, code) in [
        ("SELECT * FROM funnel('{')", 400, "not_json"),
        ("SELECT * FROM funnel('')", 400, "empty"),
        ("SELECT * FROM funnel('[]')", 422, "wrong_type"),
        ("SELECT * FROM funnel()", 422, "wrong_argument"),
        ("SELECT * FROM funnel(7)", 422, "wrong_argument"),
        ("SELECT * FROM funnel(NULL)", 422, "wrong_argument"),
        ("SELECT * FROM funnel('{}', '{}')", 422, "wrong_argument"),
    ] {
        let error = world.rows(sql).await.expect_err(sql);
        assert_eq!(
            (error.status(), error.code()),
            (status, code),
            "{sql}: {error}"
        );
    }
}

#[tokio::test]
async fn a_statement_calls_funnel_so_often_and_not_once_more() {
    let world = World::of("0 j1 opened").await;
    let union = |calls: usize| {
        let one = call("step", &question_json(json!({})));
        vec![one; calls].join(" UNION ALL ")
    };
    assert_eq!(
        world.must(&union(MAX_FUNNEL_CALLS)).await.len(),
        3 * MAX_FUNNEL_CALLS
    );
    let error = world.rows(&union(MAX_FUNNEL_CALLS + 1)).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (422, "limit_exceeded"));
}

#[tokio::test]
async fn views_and_funnel_keep_to_the_memory_and_the_limits_of_a_statement() {
    let mut world = World::of("").await;
    let events: Vec<_> = (0..20_000)
        .map(|i| event(&format!("{i} j1 opened attrs.code=v{i}x"), i))
        .collect();
    world.publish(0, &events);
    let options = crate::EngineOptions {
        query_memory_bytes: 256 << 10,
        ..crate::EngineOptions::default()
    };
    let small =
        crate::Engine::new(world.store.clone(), options, std::sync::Arc::new(|| 0)).unwrap();
    let big = std::mem::replace(&mut world.engine, small);
    let question = question_json(json!({"breakdown": {"by": ["attrs.code"]}}));
    for sql in [call("*", &question), "SELECT * FROM journeys".to_owned()] {
        let error = world.rows(&sql).await.unwrap_err();
        assert_eq!(
            (error.status(), error.code()),
            (422, "query_too_large"),
            "{sql}: {error}"
        );
    }
    world.engine = big;
    assert_eq!(
        world.must("SELECT count(*) AS n FROM journeys").await,
        [json!({"n": 1})]
    );
    let mut events = Vec::new();
    for i in 0..=crate::MAX_SEGMENTS {
        events.push(event(
            &format!("{i} k{i} opened attrs.code=w{i}x"),
            i + 30_000,
        ));
    }
    world.publish(0, &events);
    let error = world.rows(&call("*", &question)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.pointer()),
        ("too_many_segments", "/breakdown")
    );
}

#[tokio::test]
async fn a_journey_is_a_row_with_what_the_funnel_counts_it_as() {
    let mut world = World::new().await;
    world.add(
        "0 j1 opened company_id=c1 category=banking surface=hosted_page medium=email entry_point=main_menu campaign_id=spring
         5 j1 chose integration=xero provider=codat company_id=c1 attempt_id=a1 \n 6 j1 handoff.started company_id=c1 \n 7 j1 chose integration=sage provider=codat company_id=c1
         8 j1 handoff.started integration=sage company_id=c1 \n 9 j1 linked integration=sage company_id=c1
         1h j2 opened category=accounting \n 1h+1 j2 uploaded \n 1h+2 j2 attempt.exited reason.class=value reason.code=satisfied_with_manual reason.attribution=user reason.recoverable=false
         2h j3 opened \n 3d j4 opened attempt_id=a4 \n 3d+1 j4 chose attempt_id=a4 \n 3d j5 chose",
    );
    world.watermark(3 * super::DAY + 60 * super::SECOND);
    let rows = world
        .must("SELECT * FROM journeys ORDER BY journey_id")
        .await;
    assert_eq!(
        rows[0],
        json!({
            "journey_id": "j1", "company_id": "c1", "category": "banking", "integration": "sage",
            "provider": "codat", "surface": "hosted_page", "medium": "email", "entry_point": "main_menu",
            "campaign_id": "spring", "use_case": null, "started_at": "2026-09-01T00:00:00Z", "state": "converted",
            "matured": true, "step": 6, "step_name": "Linked", "linked_at": "2026-09-01T00:00:09Z",
            "ends_at": "2026-09-02T00:00:00Z", "outcome": null, "reason_class": null, "reason_code": null,
            "reason_attribution": null, "reason_recoverable": null,
        })
    );
    let told = |name: &str| -> Vec<Value> { rows.iter().map(|row| row[name].clone()).collect() };
    assert_eq!(told("journey_id"), ["j1", "j2", "j3", "j4"]);
    assert_eq!(told("state"), ["converted", "dropped", "dropped", "open"]);
    assert_eq!(told("matured"), [true, true, true, false]);
    assert_eq!(told("step"), [6, 1, 1, 2]);
    assert_eq!(told("outcome")[1], "Uploaded a file");
    assert_eq!(
        told("reason_code")[1..],
        [
            json!("satisfied_with_manual"),
            json!("timed_out"),
            Value::Null
        ]
    );
    assert_eq!(rows[1]["reason_recoverable"], false);
    let attempts = world
        .must("SELECT attempt_id, journey_id, state, step FROM attempts ORDER BY attempt_id")
        .await;
    assert_eq!(
        attempts,
        [json!({"attempt_id": "a4", "journey_id": "j4", "state": "open", "step": 2})]
    );
}

#[tokio::test]
async fn a_journey_has_the_company_that_any_of_its_events_names_and_one_without_id_is_derived() {
    let world = World::of(
        "0 j1 opened \n 1 j1 sync.started company_id=c1 \n 2 j1 chose
         0 - opened company_id=c2 category=banking \n 1 - chose company_id=c2 category=banking",
    )
    .await;
    let rows = world
        .must("SELECT company_id, step, journey_id FROM journeys ORDER BY company_id")
        .await;
    let told = |name: &str| -> Vec<Value> { rows.iter().map(|row| row[name].clone()).collect() };
    assert_eq!(told("company_id"), ["c1", "c2"]);
    assert_eq!(told("step"), [2, 2]);
    assert_eq!(rows[0]["journey_id"], "j1");
    let derived = rows[1]["journey_id"].as_str().unwrap();
    assert!(!derived.is_empty() && derived != "j1");
    let total = world.ask(json!({"funnel": "linking"})).await.total;
    assert_eq!(total.entered, 2);
}

#[tokio::test]
async fn tenants_see_their_own_rows_only_through_every_view() {
    let mut world = World::of(
        "0 j1 opened tenant_id=a \n 0 j2 opened tenant_id=b \n 1 j2 chose tenant_id=b \n 0 j3 opened tenant_id=b",
    )
    .await;
    for (tenant, n) in [("a", 1), ("b", 2), ("default", 0)] {
        world.tenant = tenant.to_owned();
        let n = [json!({ "n": n })];
        assert_eq!(world.must("SELECT count(*) AS n FROM journeys").await, n);
        let daily = "SELECT coalesce(sum(entered), 0) AS n FROM funnel_steps_daily WHERE step = 1 AND funnel = 'linking'";
        assert_eq!(world.must(daily).await, n);
        let funnel = call("entered AS n", &question_json(json!({}))) + " WHERE step = 1";
        assert_eq!(world.must(&funnel).await, n);
    }
}

#[tokio::test]
async fn explaining_a_statement_answers_no_funnel() {
    let world = World::of(JOURNEYS).await;
    let plan = world
        .must(&format!("EXPLAIN {}", call("*", &question_json(json!({})))))
        .await;
    assert!(
        plan.iter()
            .any(|p| p["plan"].as_str().unwrap().contains("StreamingTableExec"))
    );
    let none = "SELECT count(*) AS n FROM funnel_steps_daily WHERE funnel = 'nope'";
    assert_eq!(world.must(none).await, [json!({"n": 0})]);
    let plan = world.must(&format!("EXPLAIN {none}")).await;
    let text: String = plan.iter().map(|p| p["plan"].to_string()).collect();
    assert!(!text.contains("StreamingTableExec"), "{text}");
}

/// Seconds, journey, kind of event, category, day.
type Random = (i64, u8, u8, u8, i64);

fn line(number: usize, (at, journey, kind, category, day): Random) -> String {
    let name = [
        "opened",
        "chose",
        "handoff.started",
        "linked",
        "uploaded",
        "sca.passed",
        "attempt.exited",
    ][usize::from(kind)];
    // What would be the last journey names none: it is derived, one or several.
    let id = match journey {
        8 => "-".to_owned(),
        _ => format!("j{journey}"),
    };
    let mut line = format!(
        "{day}d+{at} {id} {name} id=e{number} company_id=c{}",
        journey % 3
    );
    if let Some(category) = ["accounting", "banking"].get(usize::from(category)) {
        line += &format!(" category={category} provider=plaid");
    }
    line
}

/// Sums of the views against the API's answer over all time, by category and day.
async fn views_add_up(events: Vec<Random>) {
    let mut world = World::new().await;
    let lines: Vec<String> = events
        .iter()
        .enumerate()
        .map(|(i, e)| line(i, *e))
        .collect();
    world.add(&lines.join("\n"));
    world.watermark(3 * super::DAY);
    for stage in 0..2 {
        if stage == 1 {
            world.commit().await;
            world.compact().await;
        }
        let asked = json!({
            "funnel": "linking", "breakdown": {"by": ["category"]}, "interval": "day",
            "range": {"from": "2026-08-01", "to": "2026-12-01"},
        });
        let answer = world.ask(asked).await;
        let states = "count(*) AS entered, count(*) FILTER (WHERE state = 'converted') AS converted,
             count(*) FILTER (WHERE state = 'dropped') AS dropped, count(*) FILTER (WHERE state = 'open') AS open,
             count(*) FILTER (WHERE matured) AS matured";
        let of = |group: &crate::Group| {
            json!({"entered": group.entered, "converted": group.converted, "dropped": group.dropped,
                "open": group.open, "matured": group.matured.entered})
        };
        let total = world.must(&format!("SELECT {states} FROM journeys")).await;
        assert_eq!(total, [of(&answer.total)]);
        for group in &answer.groups {
            let category = group.key["category"].as_str();
            let is = match category {
                "(none)" => "category IS NULL".to_owned(),
                word => format!("category = '{word}'"),
            };
            let found = world
                .must(&format!("SELECT {states} FROM journeys WHERE {is}"))
                .await;
            assert_eq!(found, [of(group)], "{category}");
            let sql = format!(
                "SELECT sum(reached) AS reached, sum(bypassed) AS bypassed, sum(dropped) AS dropped, sum(open) AS open,
                 sum(matured_reached) AS matured_reached FROM funnel_steps_daily
                 WHERE funnel = 'linking' AND {is} GROUP BY step ORDER BY step"
            );
            let steps: Vec<Value> = group
                .steps
                .iter()
                .map(|s| {
                    json!({"reached": s.reached, "bypassed": s.bypassed, "dropped": s.dropped,
                    "open": s.open, "matured_reached": s.matured_reached})
                })
                .collect();
            assert_eq!(world.must(&sql).await, steps, "{category}");
            let days: Vec<Value> = group
                .trend
                .iter()
                .filter(|b| b.entered > 0)
                .map(|b| {
                    json!({"day": b.start[..10], "entered": b.entered, "converted": b.converted,
                    "matured": b.matured.entered, "matured_converted": b.matured.converted})
                })
                .collect();
            let sql = format!(
                "SELECT day, entered, converted, matured, matured_converted FROM funnel_steps_daily
                 WHERE funnel = 'linking' AND step = 6 AND {is} ORDER BY day"
            );
            assert_eq!(world.must(&sql).await, days, "{category}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_views_add_up_to_the_answers_of_the_api(
        events in prop::collection::vec((0..4_000_i64, 0..9_u8, 0..7_u8, 0..4_u8, 0..4_i64), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(views_add_up(events));
    }
}
