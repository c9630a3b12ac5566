//! Exposures out of other tools' files: in the table once, with experiment, variant, unit and the unit's id.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::program::{Running, post, refused, run, run_well};

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// The rows of the events table, as JSON.
fn rows(data: &str, sql: &str) -> Vec<Json> {
    let (server, url) = Running::serve(&["--data", data]);
    let (status, answer) = post(&format!("{url}/api/v1/sql"), &json!({ "sql": sql }));
    assert_eq!(status, 200, "{answer}");
    server.end();
    answer["rows"].as_array().unwrap().clone()
}

/// Event, time, unit's id, experiment, variant, unit, exposed.
type Told<'t, T> = (&'t str, T, Option<&'t str>, &'t str, &'t str, &'t str, bool);

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
    assert!(letters.contains("bad_value at /experiments/0"), "{letters}");

    // The same file again; and the same rows in a file that has grown: copies there, which no answer counts.
    let said = import(&growthbook, &of_growthbook);
    assert!(said.out.contains("0 stored"), "{said:?}");
    let grown = fs::read_to_string(&statsig).unwrap()
        + "theirs,u-3,userID,get_experiment,fewer_clicks,experiment,Test,2026-09-03 11:00:00,2026-09-03\n";
    fs::write(&statsig, grown.replace("2026-09-02\n", "2026-09-03\n")).unwrap();
    let said = import(&statsig, &of_statsig);
    assert!(
        said.out
            .contains("4 read, 3 stored, 0 duplicates, 1 dead letter"),
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
    let told: Vec<Told<'_, &str>> = rows
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
    let found: Vec<Told<'_, String>> = told
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
    let mut import = vec!["import", text(&file), "--data", &data, "--timezone", "UTC"];
    let begun = import.len();
    import.extend(["--exposures", "growthbook", "--unit", "user"]);
    let said = refused(&import);
    assert!(
        said.contains("no column holds the experiment") && said.contains("--map experiment=COLUMN"),
        "{said}"
    );
    for (more, expected) in [
        (&["--exposures", "growthbook"][..], "--unit"),
        (&["--unit", "user"], "--exposures"),
        (
            &["--exposures", "growthbook", "--unit", "attempt"],
            "company, user, session, journey",
        ),
        (&["--assigned"], "--exposures"),
    ] {
        import.truncate(begun);
        import.extend(more);
        let said = run(&import);
        assert_eq!(said.status, Some(2), "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
    }
}
