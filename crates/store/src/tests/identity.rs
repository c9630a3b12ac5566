//! Roots found through ids (semantics rule 1), however events arrive and are stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_plan::{displayable, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use linkfunnel_model::{Event, EventName, Field, IdKind, id_key};

use super::lab::*;
use crate::*;

const FULL: CompactOptions = CompactOptions {
    min_files: 2,
    full: true,
};

/// Reads `id time kind=id…`, time in µs since the start; `basis=` and `tenant=` are no ids.
fn row(offset: i64, line: &str) -> Row {
    let mut words = line.split_whitespace();
    let id = words.next().unwrap().to_owned();
    let at_us = START_US + words.next().unwrap().parse::<i64>().unwrap();
    let mut event = Event::new(id, EventName::AttemptOpened, at_us);
    for word in words {
        let (name, value) = word.split_once('=').unwrap();
        let value = value.to_owned();
        event = match name {
            "basis" if value == "exempt" => event.with(
                Field::PrivacyBasis,
                linkfunnel_model::vocab::PrivacyBasis::ExemptAudience,
            ),
            "tenant" => event.with(Field::TenantId, value),
            "country" => event.with(Field::Country, value),
            name => event.with(kind(name).field(), value),
        };
    }
    (offset, START_US + offset, event)
}

fn kind(name: &str) -> IdKind {
    *IdKind::ALL
        .iter()
        .find(|kind| kind.as_str() == name)
        .unwrap()
}

fn rows(from: i64, lines: &str) -> Vec<Row> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    (from..)
        .zip(lines)
        .map(|(offset, line)| row(offset, line))
        .collect()
}

/// Each event's id with its root as `kind:id`, where the root is one of `known`.
async fn roots(store: &Store, view: &Arc<ReadView>, known: &[&str]) -> Vec<String> {
    let rows = run(store, view, asked(&["event_id", ROOT_KEY, ROOT_KIND])).await;
    let names: BTreeMap<i64, &str> = known
        .iter()
        .map(|name| {
            let (of, id) = name.split_once(':').unwrap();
            (id_key("default", kind(of), id), *name)
        })
        .collect();
    let mut all: Vec<String> = texts(&rows, 0)
        .into_iter()
        .zip(longs(&rows, 1).into_iter().zip(texts(&rows, 2)))
        .map(|(id, (root, of))| {
            let name = names.get(&root).copied().unwrap_or("?");
            assert_eq!(name.split_once(':').map_or("?", |n| n.0), of, "{id}");
            format!("{id} {name}")
        })
        .collect();
    all.sort();
    all
}

/// Hot, committed, compacted: the same roots.
async fn check(lines: &str, known: &[&str], expect: &[&str]) {
    let lab = Lab::new().await;
    let segment = segment("s", 0, &rows(0, lines));
    lab.store.publish_shared(vec![Arc::clone(&segment)]);
    assert_eq!(
        roots(&lab.store, &lab.store.view(), known).await,
        expect,
        "hot"
    );
    commit(&lab.store, vec![segment]).await;
    assert_eq!(
        roots(&lab.store, &lab.store.view(), known).await,
        expect,
        "cold"
    );
    commit(
        &lab.store,
        vec![super::lab::segment("t", 0, &rows(0, "z 0 company=z"))],
    )
    .await;
    lab.store.compact(FULL).await.unwrap();
    let mut with_z: Vec<&str> = expect.to_vec();
    with_z.push("z company:z");
    let known: Vec<&str> = known.iter().copied().chain(["company:z"]).collect();
    let after = roots(&lab.store, &lab.store.view(), &known).await;
    assert_eq!(after, with_z, "compacted");
    let stored = run(
        &lab.store,
        &lab.store.view(),
        ScanRequest {
            raw: true,
            ..asked(&[ROOT_KEY])
        },
    )
    .await;
    let found = run(&lab.store, &lab.store.view(), asked(&[ROOT_KEY])).await;
    assert_eq!(
        longs(&stored, 0),
        longs(&found, 0),
        "compaction wrote the roots it found"
    );
}

#[tokio::test]
async fn a_chain_of_three_steps_leads_to_the_company_and_one_of_four_does_not() {
    check(
        "e1 0 session=s1 attempt=a1
         e2 1 attempt=a1
         e3 2 attempt=a1 connection=k1
         e4 3 connection=k1 user=u1
         e5 4 user=u1 company=c1
         e6 5 session=s1",
        &["company:c1", "session:s1"],
        &[
            "e1 company:c1",
            "e2 company:c1",
            "e3 company:c1",
            "e4 company:c1",
            "e5 company:c1",
            "e6 session:s1",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_event_that_names_a_company_keeps_it_and_an_exempt_one_is_never_joined() {
    check(
        "e1 0 attempt=a1 company=c1
         e2 1 attempt=a1 company=c2
         e3 2 attempt=a1
         e4 3 attempt=a1 basis=exempt
         e5 4 anonymous=v1 company=c3 basis=exempt
         e6 5 anonymous=v1 session=s1
         e7 6 user=u1 session=s1",
        &[
            "company:c1",
            "company:c2",
            "company:c3",
            "attempt:a1",
            "anonymous:v1",
            "user:u1",
        ],
        &[
            "e1 company:c1",
            "e2 company:c2",
            "e3 company:c1",
            "e4 attempt:a1",
            "e5 company:c3",
            "e6 anonymous:v1",
            "e7 user:u1",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_later_event_changes_a_root_that_compaction_had_written() {
    let lab = Lab::new().await;
    let known = ["company:c1", "company:c2"];
    commit(
        &lab.store,
        vec![segment(
            "s",
            0,
            &rows(0, "e1 0 attempt=a1 session=s1\n e2 9 session=s1 company=c1"),
        )],
    )
    .await;
    commit(
        &lab.store,
        vec![segment("s", 0, &rows(2, "e3 5 attempt=a1"))],
    )
    .await;
    lab.store.compact(FULL).await.unwrap();
    let view = lab.store.view();
    let before = roots(&lab.store, &view, &known).await;
    assert_eq!(before, ["e1 company:c1", "e2 company:c1", "e3 company:c1"]);
    // nearer for the attempt, earlier for the session
    lab.store.publish_shared(vec![segment(
        "s",
        0,
        &rows(3, "e4 7 attempt=a1 company=c2"),
    )]);
    let after = roots(&lab.store, &lab.store.view(), &known).await;
    assert_eq!(
        after,
        [
            "e1 company:c2",
            "e2 company:c1",
            "e3 company:c2",
            "e4 company:c2"
        ]
    );
    assert_eq!(
        roots(&lab.store, &view, &known).await,
        before,
        "a view never changes"
    );
}

#[tokio::test]
async fn roots_are_found_by_all_events_of_the_view_and_not_only_by_those_of_the_range() {
    let lab = Lab::new().await;
    commit(
        &lab.store,
        vec![segment("s", 0, &rows(0, "e1 0 attempt=a1 company=c1"))],
    )
    .await;
    commit(
        &lab.store,
        vec![segment("s", 0, &rows(1, "e2 5000 attempt=a1"))],
    )
    .await;
    let request = ScanRequest {
        from_us: Some(START_US + 1000),
        ..asked(&["event_id", ROOT_KEY])
    };
    let found = run(&lab.store, &lab.store.view(), request).await;
    assert_eq!(texts(&found, 0), ["e2"]);
    assert_eq!(longs(&found, 1), [id_key("default", IdKind::Company, "c1")]);
}

#[tokio::test]
async fn the_view_events_shows_roots_as_found_and_events_raw_as_stored() {
    let lab = Lab::new().await;
    let lines = "e1 0 attempt=a1 company=c1\n e2 1 attempt=a1\n e3 2 attempt=a2";
    commit(&lab.store, vec![segment("s", 0, &rows(0, lines))]).await;
    let query =
        |relation: &str| format!("select event_id, root_kind from {relation} order by event_id");
    let found = sql(&lab.store, "default", &query("events")).await;
    assert_eq!(found, ["e1 company", "e2 company", "e3 attempt"]);
    let stored = sql(&lab.store, "default", &query("events_raw")).await;
    assert_eq!(stored, ["e1 company", "e2 attempt", "e3 attempt"]);
    let key = id_key("default", IdKind::Company, "c1");
    for (filter, expect) in [
        (format!("root_key = {key}"), 2),
        ("root_kind = 'company'".to_owned(), 2),
        ("root_kind = 'attempt'".to_owned(), 1),
        (format!("root_key <> {key} and event = 'attempt.opened'"), 1),
    ] {
        let count = sql(
            &lab.store,
            "default",
            &format!("select count(*) from events where {filter}"),
        )
        .await;
        assert_eq!(count, [expect.to_string()], "{filter}");
    }
}

#[tokio::test]
async fn a_scan_can_be_filtered_by_the_root_that_was_found() {
    let lab = Lab::new().await;
    let lines = "e1 0 attempt=a1 company=c1\n e2 1 attempt=a1\n e3 2 attempt=a2";
    commit(&lab.store, vec![segment("s", 0, &rows(0, lines))]).await;
    lab.store.publish_shared(vec![segment(
        "s",
        0,
        &rows(3, "e4 3 attempt=a1\n e5 4 attempt=a2"),
    )]);
    let at = table_schema().index_of(ROOT_KEY).unwrap();
    let key = id_key("default", IdKind::Company, "c1");
    let predicate: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(
        Arc::new(Column::new(ROOT_KEY, at)),
        Operator::Eq,
        Arc::new(Literal::new(ScalarValue::Int64(Some(key)))),
    ));
    let request = ScanRequest {
        predicate: Some(predicate),
        ..asked(&["event_id"])
    };
    let found = run(&lab.store, &lab.store.view(), request).await;
    assert_eq!(texts(&found, 0), ["e1", "e2", "e4"]);
}

#[tokio::test]
async fn where_every_row_names_its_company_no_ids_are_read() {
    let lab = Lab::new().await;
    commit(&lab.store, vec![run_of("s", 0, 0, 50)]).await;
    lab.store.publish_shared(vec![run_of("s", 1, 0, 50)]);
    let view = lab.store.view();
    assert_eq!(ids(&lab.store, &view).await.len(), 100);
    assert!(
        format!("{:?}", view.ways).contains("None"),
        "{:?}",
        view.ways
    );
    let again = lab.again().await;
    let nameless = again
        .view()
        .table
        .events
        .values()
        .map(|f| f.contents.nameless)
        .collect::<Vec<_>>();
    assert_eq!(nameless, [Some(0)], "the log keeps it");
}

#[tokio::test]
async fn a_compacted_file_is_streamed_as_it_is_as_long_as_its_roots_hold() {
    let lab = Lab::new().await;
    let lines = "e1 0 attempt=a1 company=c1\n e2 1 attempt=a1\n e3 2 attempt=a2";
    commit(&lab.store, vec![segment("s", 0, &rows(0, lines))]).await;
    let shown = async || {
        let plan = plan(&lab.store, &lab.store.view(), asked(&["event"])).await;
        displayable(plan.as_ref()).indent(false).to_string()
    };
    assert!(shown().await.contains("SortExec"), "{}", shown().await);
    lab.store.compact(FULL).await.unwrap();
    let plain = shown().await;
    assert!(
        !plain.contains("SortExec") && !plain.contains("predicate"),
        "{plain}"
    );
    lab.store.publish_shared(vec![segment(
        "s",
        0,
        &rows(3, "e4 0 attempt=a2 company=c9"),
    )]);
    assert!(shown().await.contains("SortExec"), "{}", shown().await);
}

#[tokio::test]
async fn copies_that_name_other_ids_stay_in_the_files_and_are_dropped_by_each_scan() {
    let lab = Lab::new().await;
    // the second and third copy alone tie the attempt to the company; the fourth says nothing new
    let lines = "e1 0 company=c1
         e1 0 company=c1 attempt=a1
         e1 0 company=c1 attempt=a1
         e1 0 company=c1
         e2 1 attempt=a1";
    commit(&lab.store, vec![segment("s", 0, &rows(0, lines))]).await;
    for round in 0..2 {
        let report = lab.store.compact(FULL).await.unwrap();
        assert_eq!((report.merges, report.copies), [(1, 2), (0, 0)][round]);
        let view = lab.store.view();
        assert_eq!(raw_count(&lab.store, &view).await, 3);
        let known = ["company:c1"];
        assert_eq!(
            roots(&lab.store, &view, &known).await,
            ["e1 company:c1", "e2 company:c1"]
        );
        let offsets = run(&lab.store, &view, asked(&[OFFSET])).await;
        assert_eq!(longs(&offsets, 0), [0, 4], "the first received survives");
    }
}

#[tokio::test]
async fn more_ids_than_the_limit_allows_are_said_and_not_guessed_at() {
    let options = StoreOptions {
        ways_bytes_limit: 4_000,
        ..StoreOptions::default()
    };
    let lab = Lab::with(options).await;
    let lines = |n: i64| {
        (0..n)
            .map(|i| format!("e{i} {i} attempt=a{i} session=s{i}\n"))
            .collect::<String>()
    };
    commit(&lab.store, vec![segment("s", 0, &rows(0, &lines(4)))]).await;
    assert_eq!(ids(&lab.store, &lab.store.view()).await.len(), 4);
    commit(&lab.store, vec![segment("s", 0, &rows(4, &lines(400)))]).await;
    let state = session().state();
    let refused = lab
        .store
        .scan(&lab.store.view(), asked(&["event"]), &state)
        .await;
    assert!(matches!(
        refused,
        Err(Error::TooManyIds { limit_bytes: 4_000 })
    ));
    let report = lab.store.compact(FULL).await.unwrap();
    assert_eq!(
        (report.merges, report.rows),
        (1, 404),
        "compaction does without"
    );
}

#[tokio::test]
async fn few_rows_that_move_are_picked_out_and_a_file_of_many_is_sorted_as_a_whole() {
    for (movers, picks) in [(3, true), (30, false)] {
        let lab = Lab::new().await;
        let line = |i: i64| match i < movers {
            true => format!("e{i} {i} attempt=a1\n"),
            false => format!("e{i} {i} company=c{}\n", i % 5),
        };
        let lines: String = (0..100).map(line).collect();
        let lines = rows(0, &(lines + "z 0 attempt=a1 company=c1"));
        commit(&lab.store, vec![segment("s", 0, &lines)]).await;
        let view = lab.store.view();
        let plan = plan(&lab.store, &view, asked(&["event_id"])).await;
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        assert_eq!(shown.contains("root stays"), picks, "{shown}");
        assert_eq!(shown.contains("root moves here"), picks, "{shown}");
        let known = [
            "company:c0",
            "company:c1",
            "company:c2",
            "company:c3",
            "company:c4",
        ];
        let found = roots(&lab.store, &view, &known).await;
        let of = |i: i64| if i < movers { 1 } else { i % 5 };
        let mut expected: Vec<String> = (0..100)
            .map(|i| format!("e{i} company:c{}", of(i)))
            .collect();
        expected.push("z company:c1".into());
        expected.sort();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn rows_that_move_are_sorted_on_disk_when_memory_is_short() {
    let lab = Lab::new().await;
    let text = "x".repeat(250);
    let event = |offset: i64| {
        let (_, _, event) = row(
            offset,
            &format!("e{offset} {} attempt=a{}", offset * 7 % 1_000, offset % 97),
        );
        let event = event
            .with_attr("a", text.clone())
            .with_attr("b", text.clone());
        (offset, START_US + offset, event)
    };
    let mut all: Vec<Row> = (0..60_000).map(event).collect();
    let attempts = (0..97).map(|i| {
        row(
            60_000 + i,
            &format!("z{i} 0 attempt=a{i} company=c{}", i % 7),
        )
    });
    all.extend(attempts);
    commit(&lab.store, vec![segment("s", 0, &all)]).await;
    let pool = Arc::new(GreedyMemoryPool::new(24 << 20));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc();
    let context = SessionContext::new_with_config_rt(SessionConfig::new(), runtime.unwrap());
    let request = asked(&["event_id", "attrs", ROOT_KEY]);
    let view = lab.store.view();
    let plan = lab
        .store
        .scan(&view, request, &context.state())
        .await
        .unwrap();
    let mut rows = execute_stream(Arc::clone(&plan), context.task_ctx()).unwrap();
    let (mut count, mut roots) = (0, BTreeSet::new());
    while let Some(batch) = rows.try_next().await.unwrap() {
        count += batch.num_rows();
        roots.extend(longs(&[batch], 2));
    }
    assert_eq!((count, roots.len()), (60_097, 7));
    let mut spilled = 0;
    plan.apply(|node| {
        let metrics = node.metrics().filter(|_| node.name() == "SortExec");
        spilled += metrics.and_then(|m| m.spill_count()).unwrap_or(0);
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    assert!(spilled > 0, "it fitted into memory");
}

#[tokio::test]
async fn what_another_writer_takes_away_leads_nowhere_any_more() {
    let lab = Lab::new().await;
    let known = ["company:c1", "attempt:a1"];
    let first = rows(0, "e1 0 attempt=a1 company=c1");
    commit(&lab.store, vec![segment("s", 0, &first)]).await;
    let path = lab.store.view().table.events.keys().next().unwrap().clone();
    commit(
        &lab.store,
        vec![segment("s", 0, &rows(1, "e2 1 attempt=a1"))],
    )
    .await;
    let before = lab.store.view();
    let both = ["e1 company:c1", "e2 company:c1"];
    assert_eq!(roots(&lab.store, &before, &known).await, both);
    let remove = serde_json::json!({"remove": {
        "path": path, "dataChange": true, "deletionTimestamp": 1, "extendedFileMetadata": false}});
    let log = lab.dir.path().join("_delta_log/00000000000000000003.json");
    std::fs::write(log, format!("{remove}\n")).unwrap();
    lab.store.refresh().await.unwrap();
    let after = roots(&lab.store, &lab.store.view(), &known).await;
    assert_eq!(after, ["e2 attempt:a1"]);
    assert_eq!(roots(&lab.store, &before, &known).await, both);
}

#[tokio::test]
async fn queries_of_older_and_newer_views_find_their_own_roots() {
    let lab = Lab::new().await;
    let known = ["attempt:a1", "company:c0", "company:c1", "company:c2"];
    let mut views = Vec::new();
    for i in 0..6_i64 {
        // each commit leads the attempt to an earlier event, and so to another company
        let line = match i {
            0 => "e0 10 attempt=a1".to_owned(),
            i => format!("e{i} {} attempt=a1 company=c{}", 10 - i, i % 3),
        };
        commit(&lab.store, vec![segment("s", 0, &rows(i, &line))]).await;
        if i % 2 == 1 {
            lab.store.compact(FULL).await.unwrap();
        }
        views.push(lab.store.view());
    }
    for round in 0..2 {
        for (i, view) in views.iter().enumerate().rev() {
            let expected = match i {
                0 => "attempt:a1".to_owned(),
                _ => format!("company:c{}", i % 3),
            };
            let found = roots(&lab.store, view, &known).await;
            assert_eq!(
                found[0],
                format!("e0 {expected}"),
                "view {i}, round {round}"
            );
        }
    }
}

#[tokio::test]
async fn a_file_written_before_it_was_counted_how_many_rows_name_no_company_is_looked_into() {
    let lab = Lab::new().await;
    let lines = "e1 0 attempt=a1 company=c1\n e2 1 attempt=a1";
    commit(&lab.store, vec![segment("s", 0, &rows(0, lines))]).await;
    let log = lab.dir.path().join("_delta_log");
    for entry in std::fs::read_dir(&log).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let older = text.replace("linkfunnel.nameless", "of.another");
        std::fs::write(&path, older).unwrap();
    }
    let store = lab.again().await;
    let file = store
        .view()
        .table
        .events
        .values()
        .next()
        .unwrap()
        .contents
        .nameless;
    assert_eq!(file, None);
    assert_eq!(
        roots(&store, &store.view(), &["company:c1"]).await,
        ["e1 company:c1", "e2 company:c1"]
    );
}
