//! The matcher beside ClickHouse's windowFunnel: equal where the two mean the same, and different just as
//! `docs/clickhouse.md` says. Needs a Python with chdb (`tests/run` makes one and names it in `LINKFUNNEL_CHDB_PYTHON`).

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use linkfunnel_funnel::{Entries, Row, Rules, Scratch, Span, Spec, StepRule, Ties, speak};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::table::{funnel, line};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/clickhouse.md");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/funnel/window_funnel.py");

/// One subject as windowFunnel is asked about it.
struct Question {
    window: i64,
    mode: String,
    steps: usize,
    rows: Vec<Row>,
}

/// The steps windowFunnel says each subject reached; None, and said so, without chdb.
fn ask(questions: &[Question]) -> Option<Vec<usize>> {
    let Some(python) = std::env::var_os("LINKFUNNEL_CHDB_PYTHON") else {
        skipped();
        return None;
    };
    let mut lines = String::new();
    for q in questions {
        let events: Vec<String> = q
            .rows
            .iter()
            .map(|row| format!("[{},{}]", row.at_us, row.steps))
            .collect();
        let (window, mode, steps) = (q.window, &q.mode, q.steps);
        let events = events.join(",");
        writeln!(
            lines,
            r#"{{"window":{window},"mode":"{mode}","steps":{steps},"events":[{events}]}}"#
        )
        .unwrap();
    }
    let mut child = Command::new(python)
        .arg(SCRIPT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "chdb failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let reached: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(reached.len(), questions.len());
    Some(reached)
}

/// Says where `tests/run` finds it that there is no chdb.
fn skipped() {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "LINKFUNNEL_CHDB_PYTHON is not set, and CI=true"
    );
    if let Some(path) = std::env::var_os("LINKFUNNEL_SKIPPED") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path);
        writeln!(file.as_mut().unwrap(), "windowFunnel (no Python with chdb)").unwrap();
    }
}

fn reached(rules: &Rules, rows: &[Row], span: &Span) -> usize {
    let mut scratch = Scratch::default();
    let entry = speak(rules, rows, span, &mut scratch).unwrap();
    entry.map_or(0, |entry| entry.furthest + 1)
}

/// Events at different times, of one step each or of none.
fn plain_rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::btree_map(0..60_i64, 0..6_usize, 0..14).prop_map(|events| {
        let row = |(at_us, step): (i64, usize)| match step {
            5 => Row::at(at_us),
            step => Row::step(at_us, step),
        };
        events.into_iter().map(row).collect()
    })
}

#[test]
fn events_at_different_times_of_one_step_each_are_counted_as_window_funnel_does() {
    let span = Span {
        from_us: 0,
        to_us: i64::MAX,
        watermark_us: Some(i64::MAX),
    };
    let mut runner = TestRunner::deterministic();
    let kinds = (
        2..6_usize,
        prop::sample::select(vec![3, 10, 25, 60_i64]),
        any::<bool>(),
    );
    let (mut questions, mut ours) = (vec![], vec![]);
    for _ in 0..5_000 {
        let (rows, (steps, window, is_strict)) = (plain_rows(), kinds.clone())
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let rules = Rules::new(Spec {
            steps: vec![StepRule::required(); steps],
            window_us: window,
            entries: Entries::Best,
            ties: match is_strict {
                true => Ties::StrictIncrease,
                false => Ties::AnyOrder,
            },
            ..Spec::default()
        });
        let rows: Vec<Row> = rows
            .into_iter()
            .filter(|row| row.steps >> steps == 0)
            .collect();
        ours.push(reached(&rules.unwrap(), &rows, &span));
        let mode = if is_strict { "strict_increase" } else { "" }.to_string();
        questions.push(Question {
            window,
            mode,
            steps,
            rows,
        });
    }
    let Some(theirs) = ask(&questions) else {
        return;
    };
    let different = ours
        .iter()
        .zip(&theirs)
        .filter(|(ours, theirs)| ours != theirs)
        .count();
    assert_eq!(different, 0, "of {}", ours.len());
    assert!(
        ours.iter().filter(|&&reached| reached > 1).count() > 500,
        "something is counted"
    );
}

#[test]
fn every_row_of_the_table_of_differences_is_true_on_both_sides() {
    let document = fs::read_to_string(Path::new(DOCUMENT)).unwrap();
    let (mut questions, mut rows) = (vec![], vec![]);
    for text in document.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = text
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, rules, events, mode, theirs, ours, _why, _] = cells[..] else {
            panic!("{text} has not six columns");
        };
        let funnel = funnel(rules);
        let events = line(&funnel, events).rows;
        let rules = funnel.rules.unwrap();
        let said = reached(&rules, &events, &funnel.span);
        questions.push(Question {
            window: rules.window_us(),
            mode: mode.to_string(),
            steps: rules.steps().len(),
            rows: events,
        });
        rows.push((text, theirs.parse::<usize>().unwrap()));
        assert_eq!(said, ours.parse::<usize>().unwrap(), "linkfunnel: {text}");
    }
    assert!(rows.len() > 10, "the table is read");
    let Some(theirs) = ask(&questions) else {
        return;
    };
    for ((text, expected), said) in rows.iter().zip(theirs) {
        assert_eq!(said, *expected, "windowFunnel: {text}");
    }
}
