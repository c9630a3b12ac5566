//! Questions with answers: funnels, subjects, success rates, SQL in every format, dead letters.

use serde_json::{Value, json};

use super::world::{DEAD_LETTERS, World, event, event_at, range, steps};

/// Three journeys: one links, one stops after the choice, one only opens.
async fn three_journeys() -> World {
    let world = World::new().await;
    let events = json!([
        event_at("1", "journey.started", "j-1", "2026-11-20T09:00:00Z"),
        event_at("2", "provider.selected", "j-1", "2026-11-20T09:01:00Z"),
        event_at("2b", "handoff.started", "j-1", "2026-11-20T09:01:30Z"),
        event_at("3", "connection.linked", "j-1", "2026-11-20T09:02:00Z"),
        event_at("4", "journey.started", "j-2", "2026-11-20T09:00:00Z"),
        event_at("5", "provider.selected", "j-2", "2026-11-20T09:01:00Z"),
        event_at("6", "journey.started", "j-3", "2026-11-20T09:00:00Z"),
    ]);
    let reply = world
        .post("/api/v1/events", &events.to_string())
        .await
        .json();
    assert_eq!(reply["accepted"], 7, "{reply}");
    world.wait_for("events", 7).await;
    world
}

fn funnel() -> Value {
    json!({"steps": steps(), "window": "PT24H", "subject": "journey"})
}

#[tokio::test]
async fn a_funnel_question_is_answered_with_every_part_of_the_contract() {
    let world = three_journeys().await;
    let question = json!({"funnel": funnel(), "range": range(), "include": ["time_to_convert"]});
    let answer = world
        .post("/api/v1/funnels/query", &question.to_string())
        .await
        .json();
    let total = &answer["total"];
    assert_eq!(total["entered"], 3, "{answer}");
    assert_eq!(total["converted"], 1);
    let sum = ["converted", "dropped", "open"]
        .map(|n| total[n].as_u64().unwrap())
        .iter()
        .sum::<u64>();
    assert_eq!(sum, 3);
    let reached: Vec<u64> = total["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["reached"].as_u64().unwrap())
        .collect();
    assert_eq!(reached, [3, 2, 1]);
    for part in ["query", "groups", "total", "trend", "meta"] {
        assert!(answer.get(part).is_some(), "{part}");
    }
    assert!(answer["meta"]["snapshot"].is_string());
}

#[tokio::test]
async fn the_list_behind_a_number_is_as_long_as_the_number() {
    let world = three_journeys().await;
    let question = json!({"funnel": funnel(), "range": range()});
    let answer = world
        .post("/api/v1/funnels/query", &question.to_string())
        .await
        .json();
    let mut list = question.clone();
    list["as_of"] = answer["meta"]["snapshot"].clone();
    list["limit"] = json!(2);
    let mut ids = Vec::new();
    loop {
        let page = world
            .post("/api/v1/funnels/subjects", &list.to_string())
            .await
            .json();
        assert_eq!(page["count"], 3, "{page}");
        let subjects = page["subjects"].as_array().unwrap();
        ids.extend(
            subjects
                .iter()
                .map(|s| s["id"].as_str().unwrap().to_owned()),
        );
        if page["next_cursor"].is_null() {
            break;
        }
        list["cursor"] = page["next_cursor"].clone();
    }
    ids.sort();
    assert_eq!(ids, ["j-1", "j-2", "j-3"]);
}

#[tokio::test]
async fn built_in_funnels_are_listed_and_can_be_asked_for() {
    let world = World::new().await;
    let list = world.get("/api/v1/funnels").await.json();
    let ids: Vec<&str> = list["funnels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["id"].as_str().unwrap())
        .collect();
    assert!(
        ids.contains(&"linking") && ids.contains(&"first_link"),
        "{ids:?}"
    );
    for id in ids {
        let one = world.get(&format!("/api/v1/funnels/{id}")).await.json();
        assert_eq!(one["id"], id);
        let question = json!({"funnel": id, "range": range()});
        let answer = world
            .post("/api/v1/funnels/query", &question.to_string())
            .await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        assert_eq!(answer.json()["total"]["entered"], 0);
        let question = json!({"funnel": one["definition"], "range": range()});
        let answer = world
            .post("/api/v1/funnels/query", &question.to_string())
            .await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
    }
}

#[tokio::test]
async fn success_rates_come_by_dimension_and_interval() {
    let world = three_journeys().await;
    let path = "/api/v1/success-rates?by=category&interval=day&from=2026-11-20&to=2026-11-22&timezone=Europe/Paris";
    let reply = world.get(path).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    assert_eq!(answer["total"]["started"], 3, "{answer}");
    assert_eq!(answer["total"]["linked"], 1);
    assert_eq!(answer["groups"][0]["key"]["category"], "accounting");
    assert_eq!(answer["total"]["trend"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn sql_answers_in_the_format_the_client_accepts() {
    let world = three_journeys().await;
    let question = json!({"sql": "select event, count(*) as n from events group by event order by n desc, event"}).to_string();
    let answer = world.post("/api/v1/sql", &question).await.json();
    assert_eq!(answer["columns"][1], json!({"name": "n", "type": "Int64"}));
    assert_eq!(
        answer["rows"][0],
        json!({"event": "journey.started", "n": 3})
    );
    assert_eq!(
        (&answer["row_count"], &answer["truncated"]),
        (&json!(4), &json!(false))
    );

    let ask = async |accept: &str| {
        let request = World::json("POST", "/api/v1/sql").header("accept", accept);
        let reply = world.send(request, &question).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply
    };
    let csv = ask("text/csv").await;
    assert_eq!(
        csv.text(),
        "event,n\r\njourney.started,3\r\nprovider.selected,2\r\nconnection.linked,1\r\nhandoff.started,1\r\n"
    );
    assert!(csv.header("content-type").starts_with("text/csv"));
    let lines = ask("application/x-ndjson").await;
    assert_eq!(
        lines.text().lines().next(),
        Some(r#"{"event":"journey.started","n":3}"#)
    );
    let stream = ask("application/vnd.apache.arrow.stream").await;
    let reader = arrow::ipc::reader::StreamReader::try_new(&stream.body[..], None).unwrap();
    assert_eq!(
        reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(),
        4
    );
    let request = World::json("POST", "/api/v1/sql").header("accept", "image/png");
    world
        .send(request, &question)
        .await
        .problem(406, "not_acceptable");
}

#[tokio::test]
async fn sql_says_when_there_were_more_rows_and_keeps_to_its_snapshot() {
    let world = three_journeys().await;
    let question = json!({"sql": "select event_id from events order by event_id", "limit": 2});
    let reply = world.post("/api/v1/sql", &question.to_string()).await;
    let answer = reply.json();
    assert_eq!(
        (&answer["row_count"], &answer["truncated"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(reply.header("linkfunnel-truncated"), "true");
    assert_eq!(
        reply.header("linkfunnel-snapshot"),
        answer["meta"]["snapshot"].as_str().unwrap()
    );

    let more = event("7", "journey.started", "j-4").to_string();
    assert_eq!(
        world.post("/api/v1/events", &more).await.json()["accepted"],
        1
    );
    world.wait_for("events", 8).await;
    let then =
        json!({"sql": "select count(*) as n from events", "as_of": answer["meta"]["snapshot"]});
    let answer = world.post("/api/v1/sql", &then.to_string()).await.json();
    assert_eq!(answer["rows"][0]["n"], 7, "{answer}");
}

#[tokio::test]
async fn csv_of_stored_text_is_safe_in_a_spreadsheet() {
    let world = World::new().await;
    let sent = event("e", "attempt.opened", "=HYPERLINK(\"http://evil\")").to_string();
    assert_eq!(
        world.post("/api/v1/events", &sent).await.json()["accepted"],
        1
    );
    world.wait_for("events", 1).await;
    let request = World::json("POST", "/api/v1/sql").header("accept", "text/csv");
    let sql = r#"{"sql":"select journey_id, -1 as n from events"}"#;
    let reply = world.send(request, sql).await;
    assert_eq!(
        reply.text(),
        "journey_id,n\r\n\"'=HYPERLINK(\"\"http://evil\"\")\",-1\r\n"
    );
}

#[tokio::test]
async fn dead_letters_are_shown_redacted_page_by_page_and_replayed() {
    let world = World::new().await;
    let lines: String = (0..3)
        .map(|i| format!("{{\"event_id\":\"bad-{i}\",\"event\":\"no.such\",\"access_token\":\"tok-secret-{i}\"}}\n"))
        .collect();
    let request =
        World::request("POST", "/api/v1/events").header("content-type", "application/x-ndjson");
    let reply = world.send(request, &lines).await.json();
    assert_eq!(reply["rejected"], 3, "{reply}");
    world.wait_for(DEAD_LETTERS, 3).await;
    let mut seen = Vec::new();
    let mut path = "/api/v1/dead-letters?limit=2".to_owned();
    loop {
        let reply = world.get(&path).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(!reply.text().contains("tok-secret"), "{}", reply.text());
        let page = reply.json();
        assert_eq!(page["count"], 3);
        for letter in page["dead_letters"].as_array().unwrap() {
            assert_eq!(letter["code"], "unknown_event", "{letter}");
            assert!(
                letter["message"].as_str().unwrap().contains("no.such"),
                "{letter}"
            );
            seen.push(letter["id"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        let snapshot = page["snapshot"].as_str().unwrap();
        path = format!("/api/v1/dead-letters?limit=2&cursor={cursor}&as_of={snapshot}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let report = world.post("/api/v1/dead-letters/replay", "{}").await;
    assert_eq!(report.status, 200, "{}", report.text());
    assert_eq!(report.json()["read"], 3, "{}", report.text());
}
