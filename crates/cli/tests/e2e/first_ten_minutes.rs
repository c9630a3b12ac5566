//! What a newcomer does in the first ten minutes, command by command.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use serde_json::{Value as Json, json};

use crate::program::{Running, linkfunnel, post, refused, run, run_well, until};

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// The answer to `linking` over everything that could be in a test.
fn linking(place: &[&str], more: &[&str]) -> Json {
    let mut args = vec!["query", "linking", "--timezone", "UTC", "--json"];
    args.extend(place);
    args.extend(if more.is_empty() {
        &["--last", "60d"]
    } else {
        more
    });
    serde_json::from_str(&run_well(&args)).expect("--json prints JSON")
}

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn opened(id: &str) -> Json {
    json!({"event_id": id, "event": "attempt.opened", "occurred_at": now(), "journey_id": format!("journey-{id}")})
}

#[test]
fn the_demo_shows_history_then_live_traffic_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = linkfunnel(&[
        "demo",
        "--for",
        "15s",
        "--days",
        "3",
        "--rate",
        "200",
        "--listen",
        "127.0.0.1:0",
    ]);
    command.env("TMPDIR", temporary.path());
    let mut demo = Running::start(command);
    let api = demo.line_with("/api/v1");
    let url = api
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    let url = url.trim_end_matches("/api/v1").to_owned();
    let history = demo.line_with("history");
    assert!(
        history.contains("3 days · ")
            && history.contains(" journeys · ")
            && history.contains("loaded in"),
        "{history}"
    );
    demo.line_with("embedded Kafka, topic linkfunnel.events, 4 partitions, about 200 events/s");
    let paste = demo.line_with("query linking --by category --last 7d");
    assert!(paste.contains(&format!("--url {url}")), "{paste}");
    // The ready-to-paste query, word for word.
    let words: Vec<&str> = paste.split_whitespace().skip(1).collect();
    let table = run_well(&words);
    for expected in [
        "entered",
        "accounting",
        "banking",
        "Chose provider",
        "Linked",
        "still open",
        "median time to link",
    ] {
        assert!(table.contains(expected), "{expected}:\n{table}");
    }
    let paste = demo.line_with(" journey ");
    let words: Vec<&str> = paste.split_whitespace().skip(1).collect();
    let journey = run_well(&words);
    for expected in [
        words[1],
        "attempt.opened",
        "not linked",
        "reached \"Handed off\"",
    ] {
        assert!(journey.contains(expected), "{expected}:\n{journey}");
    }
    let first = queryable(&demo.line_with("queryable"));
    until("live traffic arrives", || {
        (queryable(&demo.line_with("queryable")) > first).then_some(())
    });
    let peak = demo.peak_memory();
    assert_eq!(demo.wait(), Some(0));
    let said = demo.rest();
    assert!(said.contains("Ended. The temporary folder"), "{said}");
    assert_eq!(
        fs::read_dir(temporary.path()).unwrap().count(),
        0,
        "left behind"
    );
    assert!(peak < 400 << 20, "{peak} bytes");
}

/// The number after `queryable` in the live line.
fn queryable(line: &str) -> u64 {
    let after = line.split("queryable ").nth(1).expect("a live line");
    let digits = after.split("   ").next().unwrap_or("").replace(' ', "");
    digits.parse().expect("a number")
}

#[test]
fn a_demo_started_again_on_its_folder_keeps_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    let demo = || {
        run_well(&[
            "demo",
            "--for",
            "6s",
            "--days",
            "1",
            "--rate",
            "100",
            "--listen",
            "127.0.0.1:0",
            "--data",
            data,
        ])
    };
    let kept = |said: &str| -> u64 {
        let after = said
            .split(" keeps ")
            .nth(1)
            .unwrap_or_else(|| panic!("{said}"));
        after
            .split(" event")
            .next()
            .unwrap_or("")
            .replace(' ', "")
            .parse()
            .unwrap()
    };
    let first = demo();
    assert!(first.contains("loaded in"), "{first}");
    let entered = linking(&["--data", data], &[])["total"]["entered"]
        .as_u64()
        .unwrap();
    assert!(entered > 0);
    let second = demo();
    assert!(second.contains("here from before"), "{second}");
    assert!(kept(&second) > kept(&first), "{first}\n{second}");
    assert!(
        linking(&["--data", data], &[])["total"]["entered"]
            .as_u64()
            .unwrap()
            >= entered
    );
    let refused = refused(&[
        "demo",
        "--days",
        "2",
        "--data",
        data,
        "--listen",
        "127.0.0.1:0",
    ]);
    assert!(
        refused.contains("already has a history of 1 days"),
        "{refused}"
    );
}

#[test]
fn ctrl_c_ends_the_demo_within_two_seconds() {
    let mut demo = Running::start(linkfunnel(&[
        "demo",
        "--days",
        "1",
        "--rate",
        "50",
        "--listen",
        "127.0.0.1:0",
    ]));
    demo.line_with("queryable");
    let (status, took, said) = demo.signal("INT");
    assert_eq!(status, Some(0), "{said}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(said.contains("is removed"), "{said}");
}

#[test]
fn ones_own_event_is_in_the_answer_and_a_copy_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = Running::serve(&["--data", text(folder.path())]);
    let events = format!("{url}/api/v1/events");
    let event = opened("e-1");
    let (status, answer) = post(&events, &json!([event]));
    assert_eq!(status, 200, "{answer}");
    let expected = json!({"accepted": 1, "duplicates": 0, "rejected": 0, "results": [{"index": 0, "status": "accepted"}]});
    assert_eq!(answer, expected);
    let entered = || linking(&["--url", &url], &[])["total"]["entered"].as_u64();
    until("the event is in the answer", || {
        (entered() == Some(1)).then_some(())
    });

    let journey = run_well(&["journey", "journey-e-1", "--url", &url, "--timezone", "UTC"]);
    assert!(
        journey.starts_with("journey-e-1 · not linked\n"),
        "{journey}"
    );
    assert!(
        journey.contains("Not converted yet: reached \"Opened\". Open until "),
        "{journey}"
    );
    let unknown = refused(&["journey", "J-0", "--url", &url]);
    assert!(
        unknown.contains("nothing in the view has the journey \"J-0\""),
        "{unknown}"
    );

    let (_, again) = post(&events, &json!([event]));
    assert_eq!(again["duplicates"], 1, "{again}");

    let mut misspelt = opened("e-2");
    misspelt["occured_at"] = misspelt
        .as_object_mut()
        .unwrap()
        .remove("occurred_at")
        .unwrap();
    let (status, refused) = post(&events, &json!([misspelt]));
    assert_eq!(
        (status, &refused["rejected"]),
        (200, &json!(1)),
        "{refused}"
    );
    assert_eq!(refused["results"][0]["pointer"], "/0/occured_at");
    assert_eq!(
        refused["results"][0]["detail"],
        "unknown field; did you mean occurred_at?"
    );
    assert_eq!(entered(), Some(1));

    let letters = until("the dead letter can be seen", || {
        let letters = run_well(&["dead-letters", "--url", &url]);
        letters.contains("1 dead letter").then_some(letters)
    });
    assert!(letters.contains("did you mean occurred_at?"), "{letters}");
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn what_was_answered_is_there_after_an_orderly_end_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    let (server, url) = Running::serve(&["--data", data]);
    post(
        &format!("{url}/api/v1/events"),
        &json!([opened("a"), opened("b")]),
    );
    let (status, took, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(linking(&["--data", data], &[])["total"]["entered"], 2);

    let (server, url) = Running::serve(&["--data", data]);
    post(&format!("{url}/api/v1/events"), &json!([opened("c")]));
    let (status, ..) = server.signal("KILL");
    assert_eq!(status, None);
    let (_server, url) = Running::serve(&["--data", data]);
    let entered = || linking(&["--url", &url], &[])["total"]["entered"].as_u64();
    until("the killed server's event is back", || {
        (entered() == Some(3)).then_some(())
    });
}

/// One journey, twenty minutes of it, told as in the README.
#[test]
fn one_journey_is_told_by_its_events_and_why_it_is_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (
        folder.path().join("events.ndjson"),
        folder.path().join("data"),
    );
    let event = |id: &str, name: &str, at: &str, more: Json| {
        let mut event = json!({"event_id": id, "event": name, "occurred_at": format!("2026-10-01T{at}Z"),
            "journey_id": "J-1", "company_id": "c-1881", "category": "accounting"});
        let fields = more.as_object().unwrap().clone();
        event.as_object_mut().unwrap().extend(fields);
        format!("{event}\n")
    };
    let xero = json!({"integration": {"key": "xero", "name": "Xero"}});
    let exit =
        json!({"reason": {"class": "user_choice", "code": "user_cancelled", "vendor_code": "403"}});
    let opening = json!({"surface": "hosted_page", "medium": "email"});
    let lines = [
        event("1", "attempt.opened", "09:02:11.120", opening),
        event("2", "provider.selected", "09:02:19.700", xero.clone()),
        event(
            "3",
            "handoff.started",
            "09:02:41.002",
            json!({"auth": {"method": "oauth_redirect"}}),
        ),
        event("4", "attempt.exited", "09:03:40.518", exit),
        event(
            "5",
            "connection.linked",
            "23:59:00",
            json!({"environment": "sandbox"}),
        ),
    ];
    fs::write(&file, lines.concat()).unwrap();
    run_well(&["import", text(&file), "--data", text(&data)]);
    let ask = |more: &[&str]| {
        let mut args = vec!["journey", "J-1", "--data", text(&data), "--timezone", "UTC"];
        args.extend(more);
        run_well(&args)
    };
    let said = ask(&[]);
    let lines: Vec<&str> = said.lines().collect();
    let head = "J-1 · company c-1881 · accounting · Xero · hosted page by e-mail · not linked";
    assert_eq!(lines[..2], [head, "1 Oct 2026 (UTC)"], "{said}");
    let shown = [
        ("09:02:11.120", "attempt.opened", "", ""),
        ("09:02:19.700", "provider.selected", "xero", "+8.6 s"),
        (
            "09:02:41.002",
            "handoff.started",
            "oauth_redirect",
            "+21.3 s",
        ),
        (
            "09:03:40.518",
            "attempt.exited",
            "user cancelled (vendor code 403)",
            "+59.5 s",
        ),
        (
            "23:59:00.000",
            "connection.linked",
            "not counted: not live or not human",
            "+14 h 55 min",
        ),
    ];
    for ((time, name, what, since), line) in shown.into_iter().zip(&lines[2..7]) {
        let expected = format!("{time}  {name:<17}  {what:<34}  {since:>12}");
        assert_eq!(*line, expected.trim_end(), "{said}");
    }
    assert!(
        lines[7].contains("reached \"Handed off\"")
            && said.contains("attempt.exited (user cancelled)"),
        "{said}"
    );
    let answer: Json = serde_json::from_str(&ask(&["--json"])).unwrap();
    let entry = &answer["subjects"][0]["explanation"]["entries"][0];
    assert_eq!(entry["step_name"], "Handed off", "{answer}");
    let explained = ["query", "linking", "--explain", "J-1", "--timezone", "UTC"];
    let explained = run_well(&[&explained[..], &["--data", text(&data)]].concat());
    assert_eq!(explained, said);
    let company = run_well(&[
        "journey",
        "c-1881",
        "--subject",
        "company",
        "--data",
        text(&data),
    ]);
    assert!(
        company.starts_with("c-1881 · accounting · Xero"),
        "{company}"
    );
}

const CSV: &str = "session,timestamp,type,platform\n\
    s1,2026-10-01 12:00:00,visit,ios\n\
    s1,2026-10-01 12:01:00,add to cart,ios\n\
    s2,2026-10-01 12:00:00,visit,web\n\
    s2,2026-10-01 12:00:00,visit,web\n";

const MAPPED: [&str; 6] = [
    "--map",
    "session_id=session,occurred_at=timestamp,event=type",
    "--event-prefix",
    "custom.",
    "--timezone",
    "UTC",
];

#[test]
fn a_file_named_otherwise_is_mapped_and_the_same_file_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.csv");
    fs::write(&file, CSV).unwrap();
    let data = folder.path().join("data");
    let mut args = vec!["import", text(&file), "--data", text(&data)];
    let naive = refused(&args);
    assert!(naive.contains("no column holds occurred_at"), "{naive}");
    args.extend(&MAPPED[..4]);
    let zoneless = refused(&args);
    assert!(zoneless.contains("--timezone UTC"), "{zoneless}");
    args.extend(&MAPPED[4..]);
    assert_eq!(
        run_well(&args),
        "4 read, 3 stored, 1 duplicate, 0 dead letters\n"
    );
    assert_eq!(
        run_well(&args),
        "4 read, 0 stored, 0 duplicates, 0 dead letters, 4 here before\n"
    );

    let funnel = folder.path().join("cart.json");
    let definition = json!({"subject": "session", "window": "PT1H", "steps": [
        {"name": "Visit", "event": "custom.visit"}, {"name": "Cart", "event": "custom.add_to_cart"}]});
    fs::write(&funnel, definition.to_string()).unwrap();
    let range = [
        "--from",
        "2026-10-01",
        "--to",
        "2026-10-02",
        "--timezone",
        "UTC",
    ];
    let mut args = vec![
        "query",
        text(&funnel),
        "--data",
        text(&data),
        "--by",
        "attrs.platform",
    ];
    args.extend(range);
    let table = run_well(&args);
    for expected in [
        "Cart · sessions entered 1 Oct (UTC) · window 1 h",
        "ios",
        "web",
        "100 %",
    ] {
        assert!(table.contains(expected), "{expected}:\n{table}");
    }
    args.push("--csv");
    let csv = run_well(&args);
    assert!(
        csv.starts_with("attrs.platform,step,optional,reached"),
        "{csv}"
    );
    assert!(csv.contains("\nios,Cart,false,1,"), "{csv}");
}

#[test]
fn lines_tables_and_parquet_are_all_read_and_mixed_ups_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let import = |file: &Path, more: &[&str]| {
        let mut args = vec!["import", text(file), "--data", text(&data)];
        args.extend(more);
        run(&args)
    };
    let lines = folder.path().join("events.ndjson");
    let bad = "{\"event_id\":\"x\",\"event\":\"attempt.opened\",\"occured_at\":\"2026-10-01T00:00:00Z\",\"user_id\":\"u\"}";
    let good = bad.replace("occured_at", "occurred_at");
    fs::write(&lines, format!("{good}\n{bad}\nnot json\n")).unwrap();
    for expected in [
        "3 read, 1 stored, 0 duplicates, 2 dead letters",
        "3 read, 0 stored, 0 duplicates, 0 dead letters, 3 here before",
    ] {
        let said = import(&lines, &[]);
        assert!(said.out.starts_with(expected), "{said:?}");
    }
    let letters = run_well(&["dead-letters", "--data", text(&data)]);
    assert!(
        letters.contains("2 dead letters") && letters.contains("not_json"),
        "{letters}"
    );

    let parquet = folder.path().join("events.parquet");
    write_parquet(&parquet);
    for expected in [
        "2 read, 2 stored,",
        "2 read, 0 stored, 0 duplicates, 0 dead letters, 2 here before",
    ] {
        let said = import(&parquet, &["--map", "user_id=who"]);
        assert!(said.out.starts_with(expected), "{said:?}");
    }
    let said = import(&folder.path().join("missing.csv"), &[]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.err.contains("missing.csv"), "{said:?}");
}

fn write_parquet(path: &Path) {
    let texts = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let times = TimestampMicrosecondArray::from(vec![1_790_812_800_000_000, 1_790_812_801_000_000]);
    let batch = RecordBatch::try_from_iter([
        ("event", texts(["visit.landed", "signup.completed"])),
        (
            "occurred_at",
            Arc::new(times.with_timezone("UTC")) as ArrayRef,
        ),
        ("who", texts(["u1", "u1"])),
        ("plan", texts(["free", "pro"])),
    ])
    .unwrap();
    let file = fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_pipe_is_imported_like_a_file_and_changes_nothing_the_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = folder.path().join("events.ndjson");
    fs::write(&file, format!("{}\n{}\n", opened("a"), opened("b"))).unwrap();
    let import = || {
        let mut command = linkfunnel(&["import", "-", "--data", text(&data)]);
        let output = command
            .stdin(fs::File::open(&file).unwrap())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(import(), "2 read, 2 stored, 0 duplicates, 0 dead letters\n");
    assert_eq!(
        import(),
        "2 read, 0 stored, 0 duplicates, 0 dead letters, 2 here before\n"
    );
    assert_eq!(
        linking(&["--data", text(&data)], &[])["total"]["entered"],
        2
    );
}

#[test]
fn a_file_can_be_sent_to_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, url) = Running::serve(&["--data", text(&folder.path().join("data"))]);
    let file = folder.path().join("events.ndjson");
    fs::write(
        &file,
        format!("{}\n{}\nnot json\n", opened("a"), opened("b")),
    )
    .unwrap();
    let said = run_well(&["import", text(&file), "--url", &url]);
    assert!(
        said.starts_with(
            "3 read, 2 stored, 0 duplicates, 1 dead letter (linkfunnel dead-letters --url"
        ),
        "{said}"
    );
    let again = run_well(&["import", text(&file), "--url", &url]);
    assert!(
        again.starts_with("3 read, 0 stored, 2 duplicates, 1 dead letter"),
        "{again}"
    );
}

#[test]
fn what_was_generated_and_imported_is_answered_as_the_truth_says() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (
        folder.path().join("events.ndjson"),
        folder.path().join("data"),
    );
    let said = run_well(&[
        "generate",
        "--seed",
        "7",
        "--days",
        "3",
        "--start",
        "2026-10-01",
        "--events",
        "8000",
        "--dirt",
        "heavy",
        "--out",
        text(&file),
    ]);
    assert!(said.contains("events.truth.json"), "{said}");
    let truth: Json =
        serde_json::from_slice(&fs::read(folder.path().join("events.truth.json")).unwrap())
            .unwrap();
    let imported = run_well(&["import", text(&file), "--data", text(&data)]);
    assert!(imported.contains(" read, "), "{imported}");
    let range = ["--from", "2026-09-20", "--to", "2026-10-30"];
    let mut by_category = range.to_vec();
    by_category.extend(["--by", "category"]);
    let answer = linking(&["--data", text(&data)], &by_category);
    let expected = &truth["tenants"]["default"]["linking"];
    check_counts(&answer["total"], &expected["total"], "all");
    let groups = answer["groups"].as_array().unwrap();
    for (category, counts) in expected["by"]["category"].as_object().unwrap() {
        let group = groups
            .iter()
            .find(|group| group["key"]["category"] == category.as_str());
        check_counts(
            group.unwrap_or_else(|| panic!("no segment {category}")),
            counts,
            category,
        );
    }
}

fn check_counts(group: &Json, truth: &Json, segment: &str) {
    for count in ["entered", "converted", "dropped", "open"] {
        assert_eq!(group[count], truth[count], "{segment}: {count}");
    }
    let steps = group["steps"].as_array().unwrap();
    for (i, step) in steps.iter().enumerate() {
        assert_eq!(
            step["reached"], truth["reached"][i],
            "{segment}: {}",
            step["name"]
        );
    }
}

#[test]
fn generating_the_same_again_gives_the_same_bytes_and_a_closed_pipe_is_no_error() {
    let args = [
        "generate",
        "--days",
        "1",
        "--start",
        "2026-10-01",
        "--events",
        "500",
        "--out",
        "-",
    ];
    let first = run_well(&args);
    assert!(first.lines().count() > 400);
    assert!(first == run_well(&args), "other bytes");
    let program = env!("CARGO_BIN_EXE_linkfunnel");
    let pipe = format!("{program} {} | head -n 1", args.join(" "));
    let output = std::process::Command::new("sh")
        .args(["-c", &pipe])
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(
        !err.contains("panicked") && !err.contains("roken pipe"),
        "{err}"
    );
}

#[test]
fn what_cannot_work_is_said_in_one_sentence_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    let open = refused(&["serve", "--data", data, "--listen", "0.0.0.0:0"]);
    assert!(open.contains("without keys"), "{open}");

    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    for command in ["serve", "demo"] {
        let said = refused(&[command, "--data", data, "--listen", &address]);
        assert!(
            said.contains("is in use by another program") && said.contains("--listen"),
            "{said}"
        );
    }

    let (server, _) = Running::serve(&["--data", data]);
    for args in [
        ["serve", "--listen", "127.0.0.1:0"],
        ["demo", "--listen", "127.0.0.1:0"],
    ] {
        let said = refused(&[args[0], args[1], args[2], "--data", data]);
        assert!(
            said.contains(&format!(
                "in use by another linkfunnel process (process {})",
                server.id()
            )),
            "{said}"
        );
    }

    let nobody = refused(&["query", "linking", "--url", "http://127.0.0.1:1"]);
    assert!(
        nobody.contains("no linkfunnel server answers") && nobody.contains("linkfunnel serve"),
        "{nobody}"
    );
    let unknown = refused(&["query", "linking", "--data", data, "--by", "categry"]);
    assert!(unknown.contains("did you mean category?"), "{unknown}");
    let nothing = refused(&["query", "linking", "--data", "/nowhere/at/all"]);
    assert!(nothing.contains("holds no linkfunnel data"), "{nothing}");
    assert_eq!(run(&["query"]).status, Some(2));
}

#[test]
fn check_tries_each_line_of_the_config_and_says_how_to_mend_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("linkfunnel.toml");
    let data = folder.path().join("data");
    let storage = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[storage]\ndata = {:?}\n",
        text(&data)
    );
    fs::write(&file, &storage).unwrap();
    let said = run_well(&["check", "--config", text(&file)]);
    for about in [
        "config", "listen", "keys", "folder", "tables", "privacy", "clock",
    ] {
        assert!(said.contains(&format!("✓ {about}")), "{about}:\n{said}");
    }
    fs::write(
        &file,
        format!("{storage}[kafka]\nbrokers = \"127.0.0.1:1\"\n"),
    )
    .unwrap();
    let said = run(&["check", "--config", text(&file)]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(
        said.out.contains("✗ kafka") && said.out.contains("set kafka.brokers"),
        "{said:?}"
    );
    fs::write(&file, "[server]\nlisten_on = 1\n").unwrap();
    let said = refused(&["check", "--config", text(&file)]);
    assert!(
        said.contains("line 2") && said.contains("listen_on"),
        "{said}"
    );
}
