//! Roots found through ids (semantics rule 1), however events arrive and are stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_plan::displayable;
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
}

/// What is written down of a row that comes out: root, time, id, received at, partition, offset.
type Seen = (i64, i64, String, i64, i32, i64);

/// An event as it lies in the oracle: the tenant, ids by kind, and what is seen of it.
#[derive(Debug, Clone)]
struct Told {
    tenant: &'static str,
    ids: BTreeMap<IdKind, String>,
    is_exempt: bool,
    seen: Seen,
}

/// Every walk of at most three pairs: (steps, time of the last pair, key) of each company met.
fn walk(
    pairs: &BTreeMap<[(IdKind, String); 2], i64>,
    at: &(IdKind, String),
    steps: u8,
    met: &mut BTreeSet<(u8, i64, i64)>,
    tenant: &str,
) {
    if steps == 3 {
        return;
    }
    for ([from, to], time) in pairs.iter().filter(|(pair, _)| pair[0] == *at) {
        assert_eq!(from, at);
        if to.0 == IdKind::Company {
            met.insert((steps + 1, *time, id_key(tenant, IdKind::Company, &to.1)));
        }
        walk(pairs, to, steps + 1, met, tenant);
    }
}

/// The rule, word by word.
fn oracle(all: &[Told], tenant: &str) -> Vec<Seen> {
    let mut pairs: BTreeMap<[(IdKind, String); 2], i64> = BTreeMap::new();
    for told in all.iter().filter(|t| t.tenant == tenant && !t.is_exempt) {
        for a in &told.ids {
            for b in told.ids.iter().filter(|b| *b != a) {
                let pair = [(*a.0, a.1.clone()), (*b.0, b.1.clone())];
                let time = pairs.entry(pair).or_insert(told.seen.1);
                *time = told.seen.1.min(*time);
            }
        }
    }
    let mut survivors: BTreeMap<(i64, i64, String), Seen> = BTreeMap::new();
    for told in all.iter().filter(|t| t.tenant == tenant) {
        let coarsest = told
            .ids
            .iter()
            .next()
            .map(|(k, id)| id_key(tenant, *k, id))
            .unwrap();
        let root = if told.is_exempt || told.ids.contains_key(&IdKind::Company) {
            coarsest
        } else {
            let mut met = BTreeSet::new();
            for id in &told.ids {
                walk(&pairs, &(*id.0, id.1.clone()), 0, &mut met, tenant);
            }
            met.first().map_or(coarsest, |found| found.2)
        };
        let (_, time, id, received, partition, offset) = told.seen.clone();
        let seen = (root, time, id.clone(), received, partition, offset);
        let place = |s: &Seen| (s.3, s.4, s.5);
        let kept = survivors
            .entry((root, time, id))
            .or_insert_with(|| seen.clone());
        if place(&seen) < place(kept) {
            *kept = seen;
        }
    }
    let mut expected: Vec<Seen> = survivors.into_values().collect();
    expected.sort();
    expected
}

async fn seen(store: &Store, view: &Arc<ReadView>, tenant: &str, partitions: usize) -> Vec<Seen> {
    let request = ScanRequest {
        tenant: Some(tenant.to_owned()),
        partitions,
        ..asked(&[
            ROOT_KEY,
            OCCURRED_AT,
            EVENT_KEY,
            "event_id",
            RECEIVED_AT,
            PARTITION,
            OFFSET,
        ])
    };
    let mut all = Vec::new();
    for part in run_partitioned(store, view, request).await {
        let columns: Vec<Vec<i64>> = [0, 1, 2, 4, 6].map(|c| longs(&part, c)).to_vec();
        let keys: Vec<[i64; 3]> = (0..columns[0].len())
            .map(|r| [0, 1, 2].map(|c| columns[c][r]))
            .collect();
        assert!(keys.is_sorted(), "in table order");
        let (ids, partitions) = (texts(&part, 3), texts(&part, 5));
        for (r, id) in ids.into_iter().enumerate() {
            let partition = partitions[r].parse().unwrap();
            all.push((
                columns[0][r],
                columns[1][r],
                id,
                columns[3][r],
                partition,
                columns[4][r],
            ));
        }
    }
    all.sort();
    all
}

fn random_row(dice: &mut Dice, offset: i64, partition: i32, round: i64) -> (Row, Told) {
    let kinds = [
        (IdKind::Company, 3, 4),
        (IdKind::User, 4, 3),
        (IdKind::Journey, 6, 2),
        (IdKind::Session, 6, 3),
        (IdKind::Attempt, 8, 2),
        (IdKind::Connection, 8, 2),
    ];
    let tenant = if dice.roll(5) == 0 {
        "other"
    } else {
        "default"
    };
    let mut ids = BTreeMap::new();
    for (kind, numbers, one_in) in kinds {
        if dice.roll(one_in) == 0 {
            ids.insert(kind, dice.roll(numbers).to_string());
        }
    }
    if ids.is_empty() {
        ids.insert(IdKind::Attempt, dice.roll(8).to_string());
    }
    let is_exempt = dice.roll(12) == 0;
    // few names and times, so that there are copies, with the same ids and with others
    let (id, time) = (
        format!("e{}", dice.roll(40)),
        START_US + dice.roll(3) * DAY_US,
    );
    let received = START_US + round * 100 + dice.roll(300);
    let mut event =
        Event::new(id.clone(), EventName::AttemptOpened, time).with(Field::TenantId, tenant);
    for (kind, id) in &ids {
        event = event.with(kind.field(), id.clone());
    }
    if is_exempt {
        event = event.with(
            Field::PrivacyBasis,
            linkfunnel_model::vocab::PrivacyBasis::ExemptAudience,
        );
    }
    let seen = (0, time, id, received, partition, offset);
    let told = Told {
        tenant,
        ids,
        is_exempt,
        seen,
    };
    ((offset, received, event), told)
}

/// The same message as an earlier one, received later or earlier.
fn resent(earlier: &(Row, Told), offset: i64, partition: i32, received: i64) -> (Row, Told) {
    let ((_, _, event), mut told) = earlier.clone();
    (told.seen.3, told.seen.4, told.seen.5) = (received, partition, offset);
    ((offset, received, event), told)
}

#[tokio::test]
async fn roots_equal_the_rule_for_any_arrival_hot_cold_compacted_and_in_views_of_the_past() {
    for seed in 1..=6 {
        let (lab, mut dice) = (Lab::new().await, Dice(seed));
        let (mut sent, mut next) = (Vec::<(Row, Told)>::new(), [0_i64; 3]);
        let mut waiting: Vec<Arc<HotSegment>> = Vec::new();
        let mut past = Vec::new();
        for round in 0..24_i64 {
            let partition = dice.roll(3);
            let offset = &mut next[usize::try_from(partition).unwrap()];
            let partition = i32::try_from(partition).unwrap();
            let mut rows = Vec::new();
            for _ in 0..=dice.roll(6) {
                let next = match dice.roll(4) {
                    0 if !sent.is_empty() => {
                        let many = i64::try_from(sent.len()).unwrap();
                        let earlier = &sent[usize::try_from(dice.roll(many)).unwrap()];
                        let received = START_US + round * 100 + dice.roll(300);
                        resent(earlier, *offset, partition, received)
                    }
                    _ => random_row(&mut dice, *offset, partition, round),
                };
                rows.push(next.0.clone());
                sent.push(next);
                *offset += 1;
            }
            let segment = segment("s", partition, &rows);
            lab.store.publish_shared(vec![Arc::clone(&segment)]);
            waiting.push(segment);
            if dice.roll(3) == 0 {
                commit(&lab.store, std::mem::take(&mut waiting)).await;
            }
            if dice.roll(5) == 0 {
                let options = CompactOptions {
                    min_files: 2,
                    full: dice.roll(2) == 0,
                };
                lab.store.compact(options).await.unwrap();
            }
            let view = lab.store.view();
            let told: Vec<Told> = sent.iter().map(|(_, told)| told.clone()).collect();
            for tenant in ["default", "other"] {
                let expected = oracle(&told, tenant);
                for partitions in [1, 3] {
                    let found = seen(&lab.store, &view, tenant, partitions).await;
                    assert_eq!(found, expected, "seed {seed}, round {round}, {tenant}");
                }
                if dice.roll(4) == 0 {
                    past.push((view.token(), tenant, expected));
                }
            }
        }
        commit(&lab.store, waiting).await;
        lab.store.compact(FULL).await.unwrap();
        let told: Vec<Told> = sent.iter().map(|(_, told)| told.clone()).collect();
        let again = lab.again().await;
        for store in [&lab.store, &again] {
            for tenant in ["default", "other"] {
                let found = seen(store, &store.view(), tenant, 2).await;
                assert_eq!(
                    found,
                    oracle(&told, tenant),
                    "seed {seed}, at the end, {tenant}"
                );
            }
            for (token, tenant, expected) in &past {
                let view = store.view_as_of(token).await.unwrap();
                let found = seen(store, &view, tenant, 2).await;
                assert_eq!(
                    &found, expected,
                    "seed {seed}, {tenant}, a view of the past"
                );
            }
        }
        let left = raw_count(&lab.store, &lab.store.view()).await;
        let own = told.iter().filter(|t| t.tenant == "default");
        let different: BTreeSet<_> = own
            .map(|t| (&t.ids, t.is_exempt, t.seen.1, &t.seen.2))
            .collect();
        assert_eq!(
            left,
            different.len(),
            "copies with the same ids are gone for good"
        );
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
