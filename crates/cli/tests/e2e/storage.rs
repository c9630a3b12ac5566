//! Storage that lies, is late, refuses, or is full: nothing lost, nothing twice, and it is said.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;
use linkfunnel_ingest::{
    CommitOptions, IngestHandle, IngestMetrics, KafkaConfig, Limits, Vault, start_kafka,
};
use linkfunnel_model::Clock;
use linkfunnel_store::{CompactOptions, Relation, Store, StoreOptions};
use linkfunnel_testkit::broker::EmbeddedBroker;
use linkfunnel_testkit::faults::{Answer, Effect, Faults, FaultyStore, Gate, Operation, Rule};
use linkfunnel_testkit::kafka::{KafkaCluster, Record};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use crate::ledger::{Handed, await_committed, check_each_once, config, get, number};
use crate::program::{Running, post, until};

const TOPIC: &str = "events";
/// Longest a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(80);

fn clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since.as_micros()).unwrap()
    })
}

fn event(id: u64) -> String {
    let company = id % 7;
    format!(
        r#"{{"event_id":"e{id}","event":"attempt.opened","occurred_at":"2026-10-01T00:00:00Z","company_id":"c{company}"}}"#
    )
}

/// A table on an object store, and a reader of a topic into it, in this process.
struct Lab {
    inner: Arc<InMemory>,
    faults: Faults,
    store: Store,
    handle: IngestHandle,
    shutdown: CancellationToken,
}

impl Lab {
    async fn start(brokers: &str, topic: &str) -> Lab {
        let inner = Arc::new(InMemory::new());
        let (faulty, faults) = FaultyStore::new(Arc::clone(&inner) as _);
        let store = open(faulty).await;
        let shutdown = CancellationToken::new();
        let config = KafkaConfig {
            commit: CommitOptions {
                every: Duration::from_millis(200),
                ..CommitOptions::default()
            },
            limits: Limits {
                seal_every: Duration::from_millis(50),
                ..Limits::default()
            },
            ..KafkaConfig::new(brokers, topic)
        };
        let handle = start_kafka(
            config,
            store.clone(),
            Arc::new(Vault::from_secret(
                b"a secret of tests, long enough to be one",
                &[],
            )),
            Arc::new(IngestMetrics::new(&prometheus::Registry::new()).unwrap()),
            clock(),
            shutdown.clone(),
        )
        .unwrap();
        Lab {
            inner,
            faults,
            store,
            handle,
            shutdown,
        }
    }

    async fn until_committed(&self, wanted: &BTreeMap<i32, i64>, stream_ends: &str) {
        awaited(
            &format!("{wanted:?} of {stream_ends} are committed"),
            || {
                let committed: BTreeMap<i32, i64> = committed(&self.store, stream_ends);
                committed == *wanted
            },
        )
        .await;
    }

    /// What a process that knows nothing finds in the storage.
    async fn found(&self, stream_ends: &str) -> BTreeMap<i32, Vec<i64>> {
        let store = open(Arc::clone(&self.inner) as _).await;
        let mut found: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for relation in [Relation::EventsRaw, Relation::Rejects] {
            let context = SessionContext::new();
            let table = store.table_provider(store.view(), "default".into(), relation);
            context.register_table("t", table).unwrap();
            let text = format!(
                "select cast(_partition as bigint), _offset from t where _stream like '%{stream_ends}'"
            );
            for batch in context.sql(&text).await.unwrap().collect().await.unwrap() {
                let (partitions, offsets) = (
                    batch.column(0).as_primitive::<Int64Type>(),
                    batch.column(1).as_primitive::<Int64Type>(),
                );
                for (partition, offset) in partitions.values().iter().zip(offsets.values()) {
                    let partition = i32::try_from(*partition).unwrap();
                    found.entry(partition).or_default().push(*offset);
                }
            }
        }
        found
            .values_mut()
            .for_each(|offsets| offsets.sort_unstable());
        found
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.handle.join().await.unwrap();
    }
}

async fn open(storage: Arc<dyn ObjectStore>) -> Store {
    Store::with_object_store(storage, StoreOptions::default(), clock())
        .await
        .unwrap()
}

fn committed(store: &Store, stream_ends: &str) -> BTreeMap<i32, i64> {
    let all = store.committed_partitions().into_iter();
    all.filter(|(at, _)| at.stream.ends_with(stream_ends))
        .map(|(at, offset)| (at.partition, offset))
        .collect()
}

async fn awaited(what: &str, mut met: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends events to partition `id % 2`; how many are then in each.
async fn produce(
    broker: &EmbeddedBroker,
    ids: std::ops::Range<u64>,
    sent: &mut BTreeMap<i32, i64>,
) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap_servers())
        .create()
        .unwrap();
    for id in ids {
        let (partition, payload) = (i32::try_from(id % 2).unwrap(), event(id));
        let record = FutureRecord::<str, _>::to(broker.topic())
            .partition(partition)
            .payload(&payload);
        let delivery = producer
            .send(record, Duration::from_secs(30))
            .await
            .unwrap();
        sent.insert(partition, delivery.offset);
    }
}

/// Everything a storage does to us, one after the other: what, to which calls, how often.
fn mishaps() -> Vec<(&'static str, Rule)> {
    let log = "_delta_log/0";
    let rows = "part-";
    let put = |path| Rule::on(Operation::Put, path);
    let mut all = vec![
        (
            "a commit applied, answered by a time-out",
            put(log).then(Effect::ApplyThen(Answer::TimedOut)),
        ),
        (
            "a commit applied, answered by: there is one",
            put(log).then(Effect::ApplyThen(Answer::AlreadyExists)),
        ),
        (
            "a commit applied, answered by: condition not met",
            put(log).then(Effect::ApplyThen(Answer::Precondition)),
        ),
        (
            "a commit applied, answered by: not allowed",
            put(log).then(Effect::ApplyThen(Answer::PermissionDenied)),
        ),
        (
            "rows written, answered by a time-out",
            put(rows).then(Effect::ApplyThen(Answer::TimedOut)),
        ),
        (
            "the log cannot be read back after a lie",
            put(log).then(Effect::ApplyThen(Answer::TimedOut)),
        ),
        (
            "late commits",
            put(log)
                .times(2)
                .then(Effect::Delay(Duration::from_millis(1_500))),
        ),
        (
            "late rows",
            put(rows)
                .times(2)
                .then(Effect::Delay(Duration::from_millis(800))),
        ),
        (
            "every call is late",
            Rule::on_any("")
                .times(20)
                .then(Effect::Delay(Duration::from_millis(100))),
        ),
        ("no listing", Rule::on(Operation::List, "").times(3)),
        ("no reading", Rule::on(Operation::Get, "").times(3)),
    ];
    for (answer, name) in [
        (Answer::TimedOut, "time-out"),
        (Answer::AlreadyExists, "a false: there is one"),
        (Answer::Precondition, "a false: condition not met"),
        (Answer::NotFound, "a false: not found"),
        (Answer::PermissionDenied, "permission denied"),
        (Answer::DiskFull, "disk full"),
    ] {
        all.push((name, put(log).times(3).then(Effect::Refuse(answer))));
        // More often than one commit tries.
        all.push((name, put(log).times(8).then(Effect::Refuse(answer))));
        all.push((name, put(rows).times(2).then(Effect::Refuse(answer))));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_storage_answers_under_ingest_and_compaction_every_message_is_there_once() {
    let broker = EmbeddedBroker::start(TOPIC, 2).unwrap();
    let lab = Lab::start(broker.bootstrap_servers(), TOPIC).await;
    let mut sent = BTreeMap::new();
    produce(&broker, 0..40, &mut sent).await;
    lab.until_committed(&sent, "/events#1").await;
    let begun = Instant::now();
    let all = mishaps();
    let rounds = all.len();
    for (round, (name, rule)) in (1_u64..).zip(all) {
        let before = lab.faults.happened();
        let unread = Rule::on(Operation::Get, "_delta_log/0").times(3);
        lab.faults.add(rule);
        if name == "the log cannot be read back after a lie" {
            lab.faults.add(unread);
        }
        produce(&broker, round * 100..round * 100 + 40, &mut sent).await;
        if round % 3 == 0 {
            let options = CompactOptions {
                full: true,
                ..CompactOptions::default()
            };
            // It may fail as well; the next run tries again.
            if let Err(error) = lab.store.compact(options).await {
                println!("{name}: compaction: {error}");
            }
        }
        lab.until_committed(&sent, "/events#1").await;
        if !matches!(name, "no listing" | "no reading") {
            assert!(lab.faults.happened() > before, "{name}: nothing happened");
        }
        lab.faults.clear();
    }
    awaited("no commit fails any more", || {
        lab.handle.status().commit_error.is_none()
    })
    .await;
    let found = lab.found("/events#1").await;
    let wanted: BTreeMap<i32, Vec<i64>> = sent
        .iter()
        .map(|(p, last)| (*p, (0..=*last).collect()))
        .collect();
    assert_eq!(found, wanted);
    println!(
        "{rounds} mishaps, {} calls hit, in {:?}",
        lab.faults.happened(),
        begun.elapsed()
    );
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_ends_after_its_topic_was_made_again_takes_nothing_of_the_new_one() {
    let Some(kafka) = tokio::task::spawn_blocking(KafkaCluster::shared_or_skip)
        .await
        .unwrap()
    else {
        return;
    };
    let topic = "late";
    let blocking = |work: Box<dyn FnOnce(&'static KafkaCluster) + Send>| async move {
        tokio::task::spawn_blocking(move || work(kafka))
            .await
            .unwrap();
    };
    let messages = |ids: std::ops::Range<u64>| ids.map(|id| Record::new(event(id)).partition(0));
    let begin = move |k: &KafkaCluster| {
        k.create_topic(topic, 1, &[]).unwrap();
        k.produce(topic, messages(0..20)).unwrap();
    };
    blocking(Box::new(move |k| begin(k))).await;
    let lab = Lab::start(&kafka.bootstrap(), topic).await;
    lab.until_committed(&[(0, 19)].into(), "/late#1").await;
    let gate = Gate::new();
    lab.faults
        .add(Rule::on(Operation::Put, "_delta_log/0").then(Effect::Hold(gate.clone())));
    blocking(Box::new(move |k| {
        drop(k.produce(topic, messages(20..40)).unwrap())
    }))
    .await;
    gate.arrived().await;
    blocking(Box::new(move |k| {
        k.delete_topic(topic).unwrap();
        k.create_topic(topic, 1, &[]).unwrap();
        k.produce(topic, messages(1_000..1_050)).unwrap();
    }))
    .await;
    awaited("the new generation is read", || {
        lab.handle.status().stream.ends_with("/late#2") && lab.store.view().hot_rows() == 50
    })
    .await;
    gate.open();
    lab.until_committed(&[(0, 39)].into(), "/late#1").await;
    lab.until_committed(&[(0, 49)].into(), "/late#2").await;
    assert_eq!(lab.found("/late#1").await, [(0, (0..40).collect())].into());
    assert_eq!(lab.found("/late#2").await, [(0, (0..50).collect())].into());
    lab.stop().await;
}

/// A small disk of its own.
struct Disk {
    folder: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Disk {
    /// `None` where this process may not mount one.
    fn mount(megabytes: u32) -> Option<Disk> {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("disk");
        fs::create_dir(&folder).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .status();
        let mounted = mounted.is_ok_and(|status| status.success());
        mounted.then_some(Disk {
            folder,
            _temporary: temporary,
        })
    }

    /// Leaves no room.
    fn fill(&self) {
        use std::io::Write as _;
        let mut ballast = fs::File::create(self.folder.join("ballast")).unwrap();
        for size in [1 << 20, 4 << 10, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.folder.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
        assert!(unmounted.is_ok(), "{} stays mounted", self.folder.display());
    }
}

fn no_mount() {
    eprintln!(
        "this process may not mount a file system: a full disk is tried on the fault-injecting store only"
    );
}

#[test]
fn a_full_disk_is_said_in_one_sentence_and_ingest_goes_on_when_there_is_room_again() {
    let Some(disk) = Disk::mount(8) else {
        return no_mount();
    };
    let folder = tempfile::tempdir().unwrap();
    let broker = EmbeddedBroker::start(TOPIC, 2).unwrap();
    let tables = disk.folder.join("tables");
    let brokers = broker.bootstrap_servers();
    let more = format!(
        "location = {tables:?}\n[ingest]\ncommit_s = 0.3\n[kafka]\nbrokers = {brokers:?}\ntopic = {TOPIC:?}\n"
    );
    let (mut server, url) = Running::serve(&["--config", &config(folder.path(), "a", &more)]);
    let mut sent = BTreeMap::new();
    let mut handed = |ids: std::ops::Range<u64>| -> Handed {
        futures::executor::block_on(produce(&broker, ids, &mut sent));
        sent.iter().map(|(p, last)| (*p, 0..last + 1)).collect()
    };
    await_committed(&url, "/events#1", &handed(0..100));
    disk.fill();
    let all = handed(100..300);
    server.await_said("no space left in the storage");
    let said = server.said();
    let line = said
        .lines()
        .find(|line| line.contains("no space left in the storage"))
        .unwrap();
    assert!(
        line.contains("ERROR")
            && line.contains("commit failed; nothing is lost, it is tried again"),
        "{line}"
    );
    until("everything can be asked for", || {
        (number(&url, "select count(*) from events") == 300).then_some(())
    });
    let (status, why) = get(&format!("{url}/readyz"));
    assert!(
        status == 503 && why.contains("commits fail") && why.contains("no space left"),
        "{why}"
    );
    assert_eq!(get(&format!("{url}/healthz")).0, 200);
    disk.free();
    await_committed(&url, "/events#1", &all);
    await_committed(&url, "/events#1", &handed(300..400));
    until("it is ready again", || {
        (get(&format!("{url}/readyz")).0 == 200).then_some(())
    });
    assert!(server.is_alive());
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("the table takes commits again"), "{said}");
    let tables = format!("location = {tables:?}\n");
    let (_reader, url) = Running::serve(&["--config", &config(folder.path(), "reader", &tables)]);
    let (rows, _) = check_each_once(
        &url,
        "/events#1",
        &sent.iter().map(|(p, last)| (*p, 0..last + 1)).collect(),
    );
    assert_eq!(rows, 400);
}

/// Sends 100 events at once; those ids that the server has said to have.
fn offer(url: &str, batch: u64) -> Result<Vec<String>, (u16, Json)> {
    let ids = batch * 100..batch * 100 + 100;
    let padding = "x".repeat(200);
    let events: Vec<Json> = ids
        .clone()
        .map(|id| {
            json!({"event_id": format!("e{id}"), "event": "attempt.opened", "occurred_at": "2026-10-01T00:00:00Z",
                   "company_id": format!("c{}", id % 7), "attrs": {"padding": padding}})
        })
        .collect();
    match post(&format!("{url}/api/v1/events"), &Json::from(events)) {
        (200, _) => Ok(ids.map(|id| format!("e{id}")).collect()),
        refused => Err(refused),
    }
}

fn stored(url: &str) -> BTreeSet<String> {
    let rows = crate::ledger::sql(url, "select event_id from events");
    let ids: Vec<String> = rows
        .iter()
        .map(|row| row["event_id"].as_str().unwrap().to_owned())
        .collect();
    let distinct: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(ids.len(), distinct.len(), "an event twice");
    distinct
}

#[test]
fn with_the_local_log_s_disk_full_events_are_refused_and_none_that_was_accepted_is_lost() {
    let Some(disk) = Disk::mount(24) else {
        return no_mount();
    };
    let data = disk.folder.join("data");
    let serve = |data: &Path| Running::serve(&["--data", data.to_str().unwrap()]);
    let (mut server, url) = serve(&data);
    let mut accepted = BTreeSet::new();
    for batch in 0..3 {
        accepted.extend(offer(&url, batch).unwrap());
    }
    disk.fill();
    let mut refusals = Vec::new();
    for batch in 3..40 {
        match offer(&url, batch) {
            Ok(ids) => accepted.extend(ids),
            Err(refusal) => refusals.push(refusal),
        }
        if refusals.len() >= 3 {
            break;
        }
    }
    assert!(
        refusals.len() >= 3,
        "the disk was not full: {} accepted",
        accepted.len()
    );
    for (status, why) in &refusals {
        assert!(*status == 503 || *status == 507, "{status} {why}");
        assert!(
            why["code"].is_string() && why["detail"].is_string(),
            "{why}"
        );
    }
    println!("refused: {}", refusals[0].1);
    assert!(server.is_alive() && get(&format!("{url}/healthz")).0 == 200);
    let said = server.said();
    assert!(
        said.contains("No space left on device") || said.contains("no space left"),
        "{said}"
    );
    disk.free();
    // Without anybody knocking, what was accepted is shown.
    until("what was accepted is there", || {
        accepted.is_subset(&stored(&url)).then_some(())
    });
    let mut again = None;
    until("events are taken again", || {
        again = offer(&url, 50).ok();
        again.is_some().then_some(())
    });
    accepted.extend(again.unwrap());
    until("what was accepted is there", || {
        accepted.is_subset(&stored(&url)).then_some(())
    });
    until("it is ready again", || {
        (get(&format!("{url}/readyz")).0 == 200).then_some(())
    });
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
    let (_server, url) = serve(&data);
    until("a restart shows the same", || {
        accepted.is_subset(&stored(&url)).then_some(())
    });
    let twice = number(
        &url,
        "select count(*) - count(distinct _offset) from events_raw",
    );
    assert_eq!(twice, 0);
    println!(
        "local log on a full disk: {} accepted, {} refused",
        accepted.len(),
        refusals.len()
    );
}
