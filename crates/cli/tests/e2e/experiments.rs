//! Experiments planned on the command line: without data, and from data.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::program::{Running, refused, run, run_well};

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn json_of(args: &[&str]) -> Json {
    serde_json::from_str(&run_well(args)).expect("--json prints JSON")
}

fn plan(args: &[&str]) -> Json {
    json_of(&[&["experiment", "plan", "--json"], args].concat())
}

#[test]
fn a_plan_from_a_rate_needs_no_server_and_no_data() {
    let table = run_well(&["experiment", "plan", "--rate", "12%", "--relative", "10%"]);
    for expected in ["12 004", "24 008", "at 5 planned looks", "at any time"] {
        assert!(table.contains(expected), "{expected}:\n{table}");
    }
    let grid = table.lines().take(4);
    assert!(
        grid.into_iter().all(|line| line.chars().count() <= 80),
        "{table}"
    );
    let answer = plan(&[
        "--rate", "0.12", "--effect", "1.2pt", "--weekly", "300", "--method", "fixed", "--after",
        "2w,10d",
    ]);
    let fixed = &answer["methods"][0];
    let exact = fixed["control"]["exact"].as_f64().unwrap();
    assert!((exact - 12_003.68).abs() < 5e-3, "{exact}");
    assert_eq!(fixed["days"], 561);
    let after: Vec<&Json> = fixed["after"]
        .as_array()
        .unwrap()
        .iter()
        .map(|after| &after["days"])
        .collect();
    assert_eq!(after, [&json!(14), &json!(10)]);

    for (args, expected) in [
        (&["--rate", "12%"][..], "--effect"),
        (&["--relative", "10%"], "--rate"),
        (&["--rate", "12", "--relative", "10%"], "12%"),
        (&["--rate", "12%", "--effect", "3%"], "3pt"),
    ] {
        let said = run(&[&["experiment", "plan"], args].concat());
        assert_eq!(said.status, Some(2), "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
    }
    // What is of a funnel alone is not accepted and ignored.
    for of_a_funnel in [
        &["--step", "2"][..],
        &["--last", "7d"],
        &["--from", "2026-09-01", "--to", "2026-10-01"],
        &["--filter", "category=accounting"],
        &["--url", "http://127.0.0.1:1"],
        &["--data", "nowhere"],
        &["--timezone", "UTC"],
        &["--tenant", "t"],
        &["--as-of", "x"],
    ] {
        let rate = ["experiment", "plan", "--rate", "12%", "--relative", "10%"];
        let said = run(&[&rate, of_a_funnel].concat());
        assert_eq!(said.status, Some(2), "{of_a_funnel:?}: {said:?}");
        assert!(said.err.contains("cannot be used with"), "{said:?}");
    }
    let said = refused(&["experiment", "plan", "--rate", "12%", "--effect", "90pt"]);
    assert!(
        said.contains("at /effect/absolute") && said.contains("102 %"),
        "{said}"
    );
    let said = refused(&[
        "experiment",
        "plan",
        "--rate",
        "12%",
        "--relative",
        "10%",
        "--method",
        "fixed",
        "--looks",
        "3",
    ]);
    assert!(said.contains("--method sequential"), "{said}");
}

/// Twenty journeys on ten days, five of which linked.
fn journeys(folder: &Path) -> String {
    let mut lines = String::new();
    for n in 0..20 {
        let mut line = |name: &str, second: u32| {
            let at = format!("2026-09-{:02}T09:00:{second:02}Z", 1 + n / 2);
            let event = json!({"event_id": format!("{name}-{n}"), "event": name, "occurred_at": at, "journey_id": format!("j-{n}")});
            lines += &format!("{event}\n");
        };
        line("attempt.opened", 0);
        if n % 4 == 0 {
            line("provider.selected", 1);
            line("handoff.started", 2);
            line("connection.linked", 3);
        }
    }
    // Somebody much later, so that all windows are over.
    lines += &format!(
        "{}\n",
        json!({"event_id": "late", "event": "attempt.opened", "occurred_at": "2026-10-20T09:00:00Z", "journey_id": "late"})
    );
    let file = folder.join("events.ndjson");
    fs::write(&file, lines).unwrap();
    text(&file).to_owned()
}

#[test]
fn a_plan_from_a_funnel_says_the_same_of_a_folder_and_of_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = journeys(folder.path());
    let data = text(folder.path()).to_owned() + "/data";
    run_well(&["import", &file, "--data", &data]);
    let asked = [
        "--funnel",
        "linking",
        "--from",
        "2026-09-01",
        "--to",
        "2026-09-11",
        "--timezone",
        "UTC",
        "--effect",
        "10pt",
    ];
    let of_folder = plan(&[&asked[..], &["--data", &data]].concat());
    assert_eq!(of_folder["baseline"]["rate"]["value"], 0.25, "{of_folder}");
    assert_eq!(of_folder["traffic"]["daily_units"], 2.0);
    let (server, url) = Running::serve(&["--data", &data]);
    let of_server = plan(&[&asked[..], &["--url", &url]].concat());
    for member in ["baseline", "traffic", "methods", "words", "query"] {
        assert_eq!(of_server[member], of_folder[member], "{member}");
    }
    let table = run_well(&[&["experiment", "plan", "--url", &url], &asked[..]].concat());
    assert!(table.contains("smallest rise / fall"), "{table}");
    let said = refused(
        &[
            &["experiment", "plan", "--url", &url, "--step", "9"],
            &asked[..],
        ]
        .concat(),
    );
    assert!(said.contains("/baseline/step"), "{said}");
    server.end();
}
