//! A funnel saved over HTTP is asked by its id, of the server and of the folder, and outlives a kill.

use serde_json::{Value as Json, json};

use crate::program::{Running, post, put, refused, run_well, until};

fn definition(window: &str) -> Json {
    json!({
        "steps": [
            {"name": "Opened", "event": "attempt.opened"},
            {"name": "Linked", "event": "connection.linked"},
        ],
        "window": window,
        "subject": "journey",
    })
}

fn event(id: &str, name: &str, at: &str) -> Json {
    json!({"event_id": id, "event": name, "occurred_at": at, "journey_id": "j-1"})
}

/// Converted, and the version asked of.
fn asked(place: &[&str]) -> (u64, Json) {
    let range = ["--from", "2026-10-01", "--to", "2026-11-01", "--json"];
    let args = [&["query", "my_funnel"], place, &range].concat();
    let answer: Json = serde_json::from_str(&run_well(&args)).unwrap();
    let converted = answer["total"]["converted"].as_u64().unwrap();
    (converted, answer["query"]["funnel_version"].clone())
}

#[test]
fn a_saved_funnel_is_asked_by_its_id_and_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let (server, url) = Running::serve(&["--data", data]);
    let unknown = refused(&["query", "my_funnel", "--url", &url]);
    assert!(
        unknown.contains("no funnel is called") && unknown.contains("linking_7d"),
        "{unknown}"
    );
    let funnel = format!("{url}/api/v1/funnels/my_funnel");
    for (window, status) in [("PT1S", 201), ("PT1H", 200)] {
        let content = json!({"name": "Mine", "definition": definition(window)});
        let (answered, body) = put(&funnel, &content);
        assert_eq!(answered, status, "{body}");
    }
    let events = json!([
        event("a", "attempt.opened", "2026-10-02T09:00:00Z"),
        event("b", "connection.linked", "2026-10-02T09:30:00Z"),
    ]);
    post(&format!("{url}/api/v1/events"), &events);
    until("the events are in the answer", || {
        (asked(&["--url", &url]) == (1, json!(2))).then_some(())
    });
    let table = run_well(&["query", "my_funnel", "--url", &url, "--last", "52w"]);
    assert!(table.starts_with("My funnel"), "{table}");
    let near = refused(&["query", "my_funel", "--url", &url]);
    assert!(near.contains("did you mean my_funnel?"), "{near}");

    let (status, ..) = server.signal("KILL");
    assert_eq!(status, None);
    assert_eq!(asked(&["--data", data]).1, 2, "of the folder alone");
    let theirs = refused(&["query", "my_funnel", "--data", data, "--tenant", "other"]);
    assert!(theirs.contains("no funnel is called"), "{theirs}");
    let (_server, url) = Running::serve(&["--data", data]);
    until("the killed server's events are back", || {
        (asked(&["--url", &url]) == (1, json!(2))).then_some(())
    });
}
