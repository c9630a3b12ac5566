//! How fast do messages come out of Kafka into answers, and how old are they then?
//!
//! ```sh
//! LINKFUNNEL_KAFKA_LIBS=~/.cache/linkfunnel/kafka-4.1.1 cargo run --release -p linkfunnel-ingest --example throughput -- 1000000 20000
//! ```
//!
//! Starts a real Kafka, produces generated events (first argument), and reads the topic twice in this one process: with a bare
//! librdkafka consumer that only counts, then with ingest into a table in a temporary folder, until everything is visible.
//! Then produces at a rate (second argument, events/s) for twenty seconds and notes, for each message, the time from the
//! producer's clock to the first view that holds it. Prints one line of JSON; CPU seconds are the whole process's.

#![expect(clippy::print_stdout, reason = "the result is what it prints")]

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use linkfunnel_ingest::{IngestMetrics, KafkaConfig, Vault, start_kafka};
use linkfunnel_model::Clock;
use linkfunnel_store::{Location, Store, StoreOptions};
use linkfunnel_testkit::generate::{Dirt, GenerateConfig, Generator, Volume};
use linkfunnel_testkit::kafka::KafkaCluster;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PARTITIONS: i32 = 4;
const FRESHNESS_FOR: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let events: u64 = args.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let rate: u64 = args.next().map_or(Ok(20_000), |text| text.parse())?;
    let cluster = KafkaCluster::start(1)?;
    cluster.create_topic("throughput", PARTITIONS, &[])?;
    cluster.create_topic("freshness", PARTITIONS, &[])?;
    let messages = produce(&cluster, "throughput", events)?;

    let bare = measured(|| count(&cluster, "throughput", messages))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ingest = measured(|| runtime.block_on(ingest(&cluster, "throughput", messages)))?;
    let fresh = runtime.block_on(freshness(&cluster, "freshness", rate))?;
    println!(
        "{}",
        serde_json::json!({
            "messages": messages,
            "bare": per_second(messages, bare),
            "ingest": per_second(messages, ingest),
            "share_of_bare_per_cpu_second": round(bare.cpu_s / ingest.cpu_s),
            "share_of_bare_per_second": round(bare.wall_s / ingest.wall_s),
            "freshness": fresh,
            "peak_rss_bytes": peak_rss_bytes()?,
        })
    );
    Ok(())
}

#[derive(Clone, Copy)]
struct Spent {
    wall_s: f64,
    cpu_s: f64,
}

fn measured(work: impl FnOnce() -> Result<()>) -> Result<Spent> {
    let (begun, cpu) = (Instant::now(), cpu_s()?);
    work()?;
    Ok(Spent {
        wall_s: begun.elapsed().as_secs_f64(),
        cpu_s: cpu_s()? - cpu,
    })
}

fn per_second(messages: u64, spent: Spent) -> serde_json::Value {
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let messages = messages as f64;
    serde_json::json!({
        "seconds": round(spent.wall_s), "cpu_seconds": round(spent.cpu_s),
        "per_second": (messages / spent.wall_s).round(), "per_cpu_second": (messages / spent.cpu_s).round(),
    })
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// User and system time of this process, in seconds.
fn cpu_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(") ").next().unwrap_or("");
    let ticks = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(str::parse::<f64>);
    Ok(ticks.sum::<std::result::Result<f64, _>>()? / 100.0)
}

fn peak_rss_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line
        .and_then(|line| line.split_whitespace().nth(1))
        .ok_or("no VmHWM")?;
    Ok(kib.parse::<u64>()? * 1024)
}

fn producer(
    cluster: &KafkaCluster,
) -> Result<ThreadedProducer<rdkafka::producer::DefaultProducerContext>> {
    let mut config = cluster.client_config();
    config
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000");
    Ok(config.create()?)
}

fn send(
    producer: &ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
    topic: &str,
    key: &[u8],
    payload: &[u8],
) -> Result<()> {
    let mut record = BaseRecord::to(topic)
        .key(key)
        .payload(payload)
        .timestamp(now_us() / 1000);
    while let Err((error, back)) = producer.send(record) {
        match error.rdkafka_error_code() {
            Some(rdkafka::types::RDKafkaErrorCode::QueueFull) => {
                std::thread::sleep(Duration::from_millis(5))
            }
            _ => return Err(error.into()),
        }
        record = back;
    }
    Ok(())
}

fn messages(volume: Volume) -> Result<impl Iterator<Item = (Vec<u8>, Vec<u8>)>> {
    let config = GenerateConfig {
        dirt: Dirt::NONE,
        volume,
        ..GenerateConfig::default()
    };
    let generator = Generator::new(config)?;
    Ok(generator.filter_map(|d| Some((d.key.unwrap_or_default(), d.payload?))))
}

fn produce(cluster: &KafkaCluster, topic: &str, events: u64) -> Result<u64> {
    let producer = producer(cluster)?;
    let mut sent = 0;
    for (key, payload) in messages(Volume::Events(events))? {
        send(&producer, topic, &key, &payload)?;
        sent += 1;
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(sent)
}

/// The peer: reads everything and only counts.
fn count(cluster: &KafkaCluster, topic: &str, messages: u64) -> Result<()> {
    let mut config = cluster.client_config();
    config
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed");
    let consumer: BaseConsumer = config.create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    let (mut seen, mut bytes) = (0, 0);
    while seen < messages {
        if let Some(message) = consumer.poll(Duration::from_secs(10)) {
            bytes += message?.payload().map_or(0, <[u8]>::len);
            seen += 1;
        }
    }
    eprintln!("counted {seen} messages, {bytes} bytes");
    Ok(())
}

struct Reading {
    store: Store,
    shutdown: CancellationToken,
    handle: linkfunnel_ingest::IngestHandle,
    _folder: tempfile::TempDir,
}

async fn start(cluster: &KafkaCluster, topic: &str) -> Result<Reading> {
    let folder = tempfile::tempdir()?;
    let location = Location::parse(folder.path().to_str().ok_or("a path in UTF-8")?)?;
    let clock: Clock = Arc::new(now_us);
    let store = Store::open(&location, StoreOptions::default(), clock.clone()).await?;
    let shutdown = CancellationToken::new();
    let handle = start_kafka(
        KafkaConfig::new(cluster.bootstrap(), topic),
        store.clone(),
        Arc::new(Vault::from_secret(b"bench", &[])),
        Arc::new(IngestMetrics::new(&prometheus::Registry::new())?),
        clock,
        shutdown.clone(),
    )?;
    Ok(Reading {
        store,
        shutdown,
        handle,
        _folder: folder,
    })
}

impl Reading {
    async fn stop(self) -> Result<()> {
        self.shutdown.cancel();
        Ok(self.handle.join().await?)
    }
}

async fn ingest(cluster: &KafkaCluster, topic: &str, messages: u64) -> Result<()> {
    let reading = start(cluster, topic).await?;
    loop {
        let visible: i64 = reading
            .store
            .view()
            .visible()
            .values()
            .map(|last| last + 1)
            .sum();
        if u64::try_from(visible)? >= messages {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    reading.stop().await
}

/// Milliseconds from the producer's clock to the first view that holds a message: p50, p99, worst.
async fn freshness(cluster: &KafkaCluster, topic: &str, rate: u64) -> Result<serde_json::Value> {
    let reading = start(cluster, topic).await?;
    let (tell, told) = mpsc::channel();
    let watcher = std::thread::spawn({
        let (bootstrap, topic) = (cluster.client_config(), topic.to_owned());
        move || watch_arrivals(bootstrap, &topic, &tell)
    });
    let producer = producer(cluster)?;
    let producing = std::thread::spawn({
        let topic = topic.to_owned();
        move || {
            let begun = Instant::now();
            let mut sent = 0_u64;
            let Ok(stream) = messages(Volume::Events(rate * FRESHNESS_FOR.as_secs() * 2)) else {
                return sent;
            };
            for (key, payload) in stream {
                #[expect(clippy::cast_precision_loss, reason = "a rate")]
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                if due > FRESHNESS_FOR {
                    break;
                }
                if let Some(wait) = due.checked_sub(begun.elapsed()) {
                    std::thread::sleep(wait);
                }
                if send(&producer, &topic, &key, &payload).is_err() {
                    break;
                }
                sent += 1;
            }
            let _ = producer.flush(Duration::from_secs(10));
            sent
        }
    });
    let mut waiting: BTreeMap<i32, VecDeque<(i64, i64)>> = BTreeMap::new();
    let mut ages_ms = Vec::new();
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < Duration::from_secs(5) {
        let view = reading.store.view();
        let now = now_us();
        for (partition, offset, produced_us) in told.try_iter() {
            waiting
                .entry(partition)
                .or_default()
                .push_back((offset, produced_us));
            quiet_since = Instant::now();
        }
        for (at, last) in view.visible() {
            let queue = waiting.entry(at.partition).or_default();
            while queue.front().is_some_and(|(offset, _)| *offset <= last) {
                let (_, produced_us) = queue.pop_front().unwrap_or_default();
                ages_ms.push((now - produced_us) / 1000);
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let sent = producing.join().map_err(|_| "the producer failed")?;
    drop(told);
    let _ = watcher.join();
    reading.stop().await?;
    ages_ms.sort_unstable();
    let at = |share: usize| ages_ms.get(ages_ms.len() * share / 1000).copied();
    Ok(serde_json::json!({
        "sent": sent, "seen": ages_ms.len(), "events_per_second": rate,
        "p50_ms": at(500), "p99_ms": at(990), "p999_ms": at(999), "worst_ms": ages_ms.last(),
    }))
}

/// Tells partition, offset and producer's time (µs) of every message, so that views can be looked at for it.
fn watch_arrivals(
    mut config: rdkafka::ClientConfig,
    topic: &str,
    tell: &mpsc::Sender<(i32, i64, i64)>,
) {
    config
        .set("group.id", "watch")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10");
    let Ok(consumer) = config.create::<BaseConsumer>() else {
        return;
    };
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let _ = partitions.add_partition_offset(topic, partition, Offset::Beginning);
    }
    let _ = consumer.assign(&partitions);
    let mut quiet = 0;
    while quiet < 100 {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                quiet = 0;
                let produced_us = message.timestamp().to_millis().unwrap_or(0) * 1000;
                if tell
                    .send((message.partition(), message.offset(), produced_us))
                    .is_err()
                {
                    return;
                }
            }
            _ => quiet += 1,
        }
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
