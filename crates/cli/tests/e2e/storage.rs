//! Storage that lies, is late or refuses: nothing lost, nothing twice.

use std::collections::BTreeMap;
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
use tokio_util::sync::CancellationToken;

pub(crate) const TOPIC: &str = "events";
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
pub(crate) async fn produce(
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
    blocking(Box::new(begin)).await;
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
