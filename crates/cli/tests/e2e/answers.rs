//! The forms of an answer in the terminal: a table with reasons and a comparison, CSV of each kind, JSON.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::program::{run, run_well};

/// Journeys of a month: of each platform how many open, and how many of those link; the others exit.
fn month(month: u32, platforms: &[(&str, u32, u32)]) -> String {
    let mut lines = String::new();
    for (platform, opened, linked) in platforms {
        for i in 0..*opened {
            let journey = format!("{month}-{platform}-{i}");
            let mut event = |minute: u32, name: &str, reason: Option<Json>| {
                let mut event = json!({"event_id": format!("{journey}-{minute}"), "event": name, "journey_id": journey,
                    "occurred_at": format!("2026-{month:02}-15T12:{minute:02}:00Z"), "attrs": {"platform": platform}});
                if let Some(reason) = reason {
                    event["reason"] = reason;
                }
                lines += &format!("{event}\n");
            };
            event(0, "attempt.opened", None);
            event(1, "provider.selected", None);
            event(2, "handoff.started", None);
            if i < *linked {
                event(3, "connection.linked", None);
            } else {
                event(
                    3,
                    "attempt.exited",
                    Some(json!({"class": "platform", "code": "down"})),
                );
            }
        }
    }
    lines
}

/// Imports September and October, and asks about October.
fn ask(folder: &Path, more: &[&str]) -> Vec<String> {
    let data = folder.join("data");
    if !data.exists() {
        let september = month(9, &[("ios", 4, 2), ("gone", 4, 2)]);
        let october = month(10, &[("ios", 8, 6), ("=evil()", 2, 1)]);
        let file = folder.join("events.ndjson");
        fs::write(&file, september + &october).unwrap();
        let (file, data) = (file.to_str().unwrap(), data.to_str().unwrap());
        run_well(&["import", file, "--data", data]);
    }
    let data = data.to_str().unwrap();
    let asked = [
        "query",
        "linking",
        "--by",
        "attrs.platform",
        "--from",
        "2026-10-01",
        "--to",
        "2026-11-01",
        "--timezone",
        "UTC",
        "--data",
        data,
    ];
    asked
        .iter()
        .chain(more)
        .map(|word| (*word).to_owned())
        .collect()
}

fn well(folder: &Path, more: &[&str]) -> String {
    let asked = ask(folder, more);
    run_well(&asked.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_table_says_why_they_dropped_and_how_it_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let table = well(folder.path(), &["--compare", "previous", "--why"]);
    for expected in [
        "    dropped 3: platform down 100 %\n",
        "Why 3 dropped after ",
        "platform.down",
        "against 1–30 Sep",
        "≈ +20.0",
        "Against 1–30 Sep (50.0 % of 8 whose window is over): ≈ +20.0 points, 95 % interval ",
        " from the mix of attrs.platform and ",
        "Entered only then: gone (4).",
    ] {
        assert!(table.contains(expected), "{expected}:\n{table}");
    }
    assert!(
        !table.contains('\u{1b}'),
        "a pipe gets no colour: {table:?}"
    );
    let year = well(folder.path(), &["--compare", "year"]);
    assert!(
        year.contains("Against 1–31 Oct 2025: nobody entered then"),
        "{year}"
    );
}

#[test]
fn each_csv_holds_one_kind_of_line_and_nothing_a_spreadsheet_would_run() {
    let folder = tempfile::tempdir().unwrap();
    let compared = well(folder.path(), &["--csv", "--compare", "previous"]);
    let lines: Vec<&str> = compared.lines().collect();
    assert!(
        lines[0].starts_with("attrs.platform,entered,converted,matured_entered,"),
        "{compared}"
    );
    let total: Vec<&str> = lines[1].split(',').collect();
    assert_eq!(
        total[..10],
        ["", "10", "7", "10", "7", "0.7", "8", "4", "8", "4"]
    );
    let numbers: Vec<f64> = total[10..].iter().map(|n| n.parse().unwrap()).collect();
    let [rate, difference, low, high, mix, inside] = numbers[..] else {
        panic!("{numbers:?}")
    };
    assert!((rate - 0.5).abs() < 1e-12 && (difference - 0.2).abs() < 1e-12);
    assert!(
        low < 0.0 && high > 0.2 && (mix + inside - difference).abs() < 1e-12,
        "{numbers:?}"
    );
    assert!(
        lines[2].starts_with("ios,8,6,8,6,0.75,4,2,4,2,0.5,0.25,"),
        "{compared}"
    );
    assert!(
        lines[3].starts_with("'=evil(),2,1,2,1,0.5,0,0,0,0,,,,,"),
        "{compared}"
    );
    assert!(
        lines[4].starts_with("gone,0,0,0,0,,4,2,4,2,0.5,,,,"),
        "{compared}"
    );

    let reasons = well(folder.path(), &["--csv", "--why"]);
    let mut lines = reasons.lines();
    assert_eq!(
        lines.next(),
        Some("attrs.platform,step,class,code,attribution,recoverable,dropped")
    );
    assert!(
        lines.next().unwrap().ends_with(",platform,down,,,3"),
        "{reasons}"
    );
    assert!(reasons.contains("\n'=evil(),"), "{reasons}");
    let both = ask(folder.path(), &["--csv", "--why", "--compare", "previous"]);
    let said = run(&both.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(said.status, Some(2), "{said:?}");
    assert!(
        said.err.contains("one of --trend, --compare and --why"),
        "{said:?}"
    );
}

#[test]
fn json_is_the_whole_answer() {
    let folder = tempfile::tempdir().unwrap();
    let answer = well(
        folder.path(),
        &["--json", "--compare", "2026-09-01..2026-10-01"],
    );
    let answer: Json = serde_json::from_str(&answer).unwrap();
    let compare = &answer["compare"];
    assert_eq!(compare["from"], "2026-09-01T00:00:00Z");
    assert_eq!(
        (&compare["total"]["entered"], &answer["total"]["entered"]),
        (&json!(8), &json!(10))
    );
    assert!(answer["total"]["time_to_convert"].is_object());
    let steps = answer["total"]["steps"].as_array().unwrap();
    let reasons = steps
        .iter()
        .filter_map(|step| step["reasons"].as_array())
        .flatten();
    assert_eq!(
        reasons.map(|r| r["count"].as_u64().unwrap()).sum::<u64>(),
        3
    );
}
