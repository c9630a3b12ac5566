//! Experiments on the command line: planned without data and from data, and exposures out of other tools' files.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::program::{Running, post, refused, run, run_well};

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
        (
            &["--rate", "12%", "--relative", "10%", "--last", "7d"],
            "--funnel",
        ),
        (
            &["--rate", "12%", "--relative", "10%", "--url", "http://x"],
            "--funnel",
        ),
    ] {
        let said = run(&[&["experiment", "plan"], args].concat());
        assert_eq!(said.status, Some(2), "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
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
            line("connection.linked", 2);
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
    assert!(
        table.contains("What") || table.contains("smallest rise / fall"),
        "{table}"
    );
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

/// The rows of the events table, as JSON.
fn rows(data: &str, sql: &str) -> Vec<Json> {
    let (server, url) = Running::serve(&["--data", data]);
    let (status, answer) = post(&format!("{url}/api/v1/sql"), &json!({ "sql": sql }));
    assert_eq!(status, 200, "{answer}");
    server.end();
    answer["rows"].as_array().unwrap().clone()
}

#[test]
fn exposures_of_growthbook_and_statsig_are_in_the_table_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    let data = path("data");
    let growthbook = path("experiment_viewed.csv");
    fs::write(
        &growthbook,
        "company_id,timestamp,experiment_id,variation_id,browser\n\
         c-1,2026-09-01 10:00:00,shorter-consent,0,firefox\n\
         c-2,2026-09-01 11:00:00,shorter-consent,1,safari\n\
         c-2,2026-09-01 11:00:00,shorter-consent,1,chrome\n",
    )
    .unwrap();
    let statsig = path("first_exposures.csv");
    fs::write(
        &statsig,
        "company_id,unit_id,unit_type,exposure_type,name,rule,experiment_group,first_exposure_utc,as_of_pst_date\n\
         theirs,u-1,userID,get_experiment,fewer_clicks,experiment,Control,2026-09-02 10:00:00,2026-09-02\n\
         theirs,u-2,userID,get_experiment,fewer_clicks,experiment,Test,2026-09-02 11:00:00,2026-09-02\n\
         theirs,d-1,stableID,get_experiment,fewer_clicks,experiment,Test,2026-09-02 12:00:00,2026-09-02\n",
    )
    .unwrap();
    let import =
        |file: &str, more: &[&str]| run(&[&["import", file, "--data", &data], more].concat());
    let of_growthbook = [
        "--exposures",
        "growthbook",
        "--unit",
        "company",
        "--timezone",
        "Europe/Paris",
    ];
    let said = import(&growthbook, &of_growthbook);
    // Two rows differ in what is left out alone: one event.
    assert!(
        said.out
            .contains("3 read, 2 stored, 1 duplicate, 0 dead letters"),
        "{said:?}"
    );
    assert!(said.err.contains("left out: browser"), "{said:?}");
    let of_statsig = ["--exposures", "statsig", "--unit", "user"];
    let said = import(&statsig, &of_statsig);
    assert!(
        said.out
            .contains("3 read, 2 stored, 0 duplicates, 1 dead letter"),
        "{said:?}"
    );
    let letters = run_well(&["dead-letters", "--data", &data]);
    assert!(
        letters.contains("/experiments/0") && letters.contains("stableID"),
        "{letters}"
    );

    // The same files again; and the same rows in a file that has grown.
    let said = import(&growthbook, &of_growthbook);
    assert!(said.out.contains("0 stored"), "{said:?}");
    let grown = fs::read_to_string(&statsig).unwrap()
        + "theirs,u-3,userID,get_experiment,fewer_clicks,experiment,Test,2026-09-03 11:00:00,2026-09-03\n";
    fs::write(&statsig, grown.replace("2026-09-02\n", "2026-09-03\n")).unwrap();
    let said = import(&statsig, &of_statsig);
    assert!(
        said.out
            .contains("4 read, 1 stored, 2 duplicates, 1 dead letter"),
        "{said:?}"
    );
    let assigned = path("assigned.ndjson");
    fs::write(&assigned, "{\"journey_id\":\"j-1\",\"timestamp\":1788220800,\"experiment\":\"order\",\"variant\":\"b\"}\n").unwrap();
    let said = import(
        &assigned,
        &["--exposures", "generic", "--unit", "journey", "--assigned"],
    );
    assert!(said.out.contains("1 read, 1 stored"), "{said:?}");

    let rows = rows(
        &data,
        "SELECT event, occurred_at, company_id, user_id, journey_id, source, experiments FROM events ORDER BY occurred_at, event_id",
    );
    let told: Vec<(&str, &str, Option<&str>, &str, &str, &str, bool)> = rows
        .iter()
        .map(|row| {
            let experiment = &row["experiments"][0];
            let text = |name: &str| experiment[name].as_str().unwrap();
            (
                row["event"].as_str().unwrap(),
                row["occurred_at"].as_str().unwrap(),
                row["company_id"].as_str().or(row["journey_id"].as_str()),
                text("id"),
                text("variant"),
                text("unit"),
                experiment["exposed"].as_bool().unwrap(),
            )
        })
        .collect();
    let at = |text: &str| text.get(..19).unwrap().to_owned();
    let found: Vec<(&str, String, Option<&str>, &str, &str, &str, bool)> = told
        .iter()
        .map(|row| (row.0, at(row.1), row.2, row.3, row.4, row.5, row.6))
        .collect();
    let row = |event, at: &str, id, experiment, variant, unit, exposed| {
        (event, at.to_owned(), id, experiment, variant, unit, exposed)
    };
    assert_eq!(
        found,
        [
            row(
                "experiment.assigned",
                "2026-09-01T00:00:00",
                Some("j-1"),
                "order",
                "b",
                "journey",
                false
            ),
            row(
                "experiment.exposed",
                "2026-09-01T08:00:00",
                Some("c-1"),
                "shorter-consent",
                "0",
                "company",
                true
            ),
            row(
                "experiment.exposed",
                "2026-09-01T09:00:00",
                Some("c-2"),
                "shorter-consent",
                "1",
                "company",
                true
            ),
            row(
                "experiment.exposed",
                "2026-09-02T10:00:00",
                None,
                "fewer_clicks",
                "Control",
                "user",
                true
            ),
            row(
                "experiment.exposed",
                "2026-09-02T11:00:00",
                None,
                "fewer_clicks",
                "Test",
                "user",
                true
            ),
            row(
                "experiment.exposed",
                "2026-09-03T11:00:00",
                None,
                "fewer_clicks",
                "Test",
                "user",
                true
            ),
        ]
    );
    // Users are kept as pseudonyms, as everywhere.
    let users: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["user_id"].as_str())
        .collect();
    assert_eq!(users.len(), 3);
    assert!(
        users.iter().all(|user| !user.starts_with("u-")),
        "{users:?}"
    );
    assert!(rows.iter().all(|row| row["source"] == "import"), "{rows:?}");
}

#[test]
fn a_user_exposed_in_a_file_is_the_user_of_the_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    let data = path("data");
    let event = json!({"event_id": "e", "event": "visit.landed", "occurred_at": "2026-09-01T10:00:00Z", "user_id": "u-1"});
    fs::write(path("events.ndjson"), format!("{event}\n")).unwrap();
    run_well(&["import", &path("events.ndjson"), "--data", &data]);
    fs::write(
        path("seen.csv"),
        "user_id,timestamp,experiment_id,variation_id\nu-1,1788220800,e,1\n",
    )
    .unwrap();
    run_well(&[
        "import",
        &path("seen.csv"),
        "--data",
        &data,
        "--exposures",
        "growthbook",
        "--unit",
        "user",
    ]);
    let rows = rows(
        &data,
        "SELECT count(*) AS n, count(DISTINCT user_id) AS users FROM events",
    );
    assert_eq!(rows, [json!({"n": 2, "users": 1})]);
}

#[test]
fn a_file_that_is_none_of_exposures_is_refused_before_anything_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.csv");
    fs::write(&file, "user_id,timestamp,item\nu,2026-09-01 10:00:00,x\n").unwrap();
    let data = text(folder.path()).to_owned() + "/data";
    let import = |more: &[&str]| {
        [
            &["import", text(&file), "--data", &data, "--timezone", "UTC"],
            more,
        ]
        .concat()
    };
    let said = refused(&import(&["--exposures", "growthbook", "--unit", "user"]));
    assert!(
        said.contains("no column holds the experiment") && said.contains("--map experiment=COLUMN"),
        "{said}"
    );
    for (args, expected) in [
        (import(&["--exposures", "growthbook"]), "--unit"),
        (import(&["--unit", "user"]), "--exposures"),
        (
            import(&["--exposures", "growthbook", "--unit", "attempt"]),
            "company, user, session, journey",
        ),
        (import(&["--assigned"]), "--exposures"),
    ] {
        let said = run(&args);
        assert_eq!(said.status, Some(2), "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
    }
}
