//! What the tests share: a table in a temporary folder, a producer, and what the table says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::SessionContext;
use linkfunnel_model::Clock;
use linkfunnel_store::{Location, Relation, Store, StoreOptions};
use linkfunnel_testkit::broker::EmbeddedBroker;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio_util::sync::CancellationToken;

use crate::{
    CommitOptions, IngestHandle, IngestMetrics, KafkaConfig, Limits, Result, Vault, start_kafka,
};

pub(super) const TOPIC: &str = "events";
/// Longest a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        i64::try_from(since.as_micros()).unwrap()
    })
}

pub(super) async fn open(folder: &Path) -> Store {
    let location = Location::parse(folder.join("table").to_str().unwrap()).unwrap();
    Store::open(&location, StoreOptions::default(), clock())
        .await
        .unwrap()
}

pub(super) fn vault() -> Arc<Vault> {
    Arc::new(Vault::from_secret(b"tests", &[]))
}

pub(super) fn metrics() -> Arc<IngestMetrics> {
    Arc::new(IngestMetrics::new(&prometheus::Registry::new()).unwrap())
}

pub(super) fn event(id: u64) -> Vec<u8> {
    format!(
        r#"{{"event_id":"e{id}","event":"attempt.opened","occurred_at":"2026-01-01T00:00:00Z","company_id":"c{}"}}"#,
        id % 7
    )
    .into_bytes()
}

/// A reader of a topic under way.
pub(super) struct Reading {
    pub(super) store: Store,
    pub(super) metrics: Arc<IngestMetrics>,
    pub(super) shutdown: CancellationToken,
    pub(super) handle: IngestHandle,
}

impl Reading {
    /// Starts reading, committing fast so that tests are.
    pub(super) fn start(config: KafkaConfig, store: Store) -> Reading {
        let (metrics, shutdown) = (metrics(), CancellationToken::new());
        let handle = start_kafka(
            config,
            store.clone(),
            vault(),
            metrics.clone(),
            clock(),
            shutdown.clone(),
        )
        .unwrap();
        Reading {
            store,
            metrics,
            shutdown,
            handle,
        }
    }

    pub(super) async fn until_caught_up(&self) {
        until("it has caught up", || self.handle.status().caught_up()).await;
    }

    pub(super) async fn until_committed(&self, offsets: &[(i32, i64)]) {
        let wanted: BTreeMap<i32, i64> = offsets.iter().copied().collect();
        until(&format!("{wanted:?} are committed"), || {
            let status = self.handle.status();
            wanted.iter().all(|(id, offset)| {
                status
                    .partitions
                    .iter()
                    .any(|p| p.partition == *id && p.committed >= Some(*offset))
            })
        })
        .await;
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.shutdown.cancel();
        self.handle.join().await
    }
}

pub(super) fn config(broker: &EmbeddedBroker) -> KafkaConfig {
    let commit = CommitOptions {
        every: Duration::from_millis(300),
        ..CommitOptions::default()
    };
    let limits = Limits {
        seal_every: Duration::from_millis(50),
        ..Limits::default()
    };
    KafkaConfig {
        commit,
        limits,
        ..KafkaConfig::new(broker.bootstrap_servers(), TOPIC)
    }
}

pub(super) fn broker(partitions: i32) -> EmbeddedBroker {
    EmbeddedBroker::start(TOPIC, partitions).unwrap()
}

pub(super) async fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends messages; `None` is a tombstone. The answer: partition and offset of each.
pub(super) async fn produce(
    broker: &EmbeddedBroker,
    messages: impl IntoIterator<Item = (i32, Option<Vec<u8>>)>,
) -> Vec<(i32, i64)> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap_servers())
        .set("message.max.bytes", "10000000")
        .create()
        .unwrap();
    let messages: Vec<_> = messages.into_iter().collect();
    let sends = messages.iter().map(|(partition, payload)| {
        let mut record = FutureRecord::to(TOPIC).key("k").partition(*partition);
        if let Some(payload) = payload {
            record = record.payload(payload);
        }
        producer.send(record, Duration::from_secs(30))
    });
    let sent = futures::future::join_all(sends).await;
    sent.into_iter()
        .map(|s| {
            let delivery = s.unwrap();
            (delivery.partition, delivery.offset)
        })
        .collect()
}

/// Rows of a relation of the default tenant, each a list of texts.
pub(super) async fn rows(store: &Store, which: Relation, columns: &str) -> Vec<Vec<String>> {
    let context = SessionContext::new();
    let provider = store.table_provider(store.view(), "default".into(), which);
    context.register_table("t", provider).unwrap();
    let batches = context
        .sql(&format!("select {columns} from t"))
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    let mut rows = Vec::new();
    for batch in &batches {
        let options = FormatOptions::default();
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect());
        }
    }
    rows
}

/// Promise 1 for one stream: the offsets handed over are those of events and rejects together,
/// none twice, and the last is the committed one.
pub(super) async fn assert_each_once(store: &Store, stream: &str, handed: &[(i32, i64)]) {
    let mut found = Vec::new();
    for which in [Relation::EventsRaw, Relation::Rejects] {
        for row in rows(store, which, "_stream, _partition, _offset").await {
            if row[0] == stream {
                found.push((
                    row[1].parse::<i32>().unwrap(),
                    row[2].parse::<i64>().unwrap(),
                ));
            }
        }
    }
    found.sort_unstable();
    let mut handed = handed.to_vec();
    handed.sort_unstable();
    assert_eq!(found, handed, "rows of {stream}");
    let mut last = BTreeMap::new();
    for (partition, offset) in handed {
        last.insert(partition, offset);
    }
    for (at, committed) in store.committed_partitions() {
        if &*at.stream == stream {
            assert_eq!(last.remove(&at.partition), Some(committed), "{at}");
        }
    }
    assert!(last.is_empty(), "not committed: {last:?}");
}

/// How many events there are, copies counted once.
pub(super) async fn events(store: &Store) -> usize {
    rows(store, Relation::Events, "event_id").await.len()
}
