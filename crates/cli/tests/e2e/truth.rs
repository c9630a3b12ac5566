//! Everything generated, with all the dirt, through real Kafka and the built program: every count equals the truth.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayData};
use linkfunnel_model::Clock;
use linkfunnel_store::{CompactOptions, Location, Store, StoreOptions};
use linkfunnel_testkit::generate::{
    Delivery, DeliveryKind, Dirt, GenerateConfig, Generator, Incident, Volume,
};
use linkfunnel_testkit::kafka::{KafkaCluster, Record};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::accounting::{self, At};
use crate::compare::{Api, Comparison, Copies, Differences, rejects, wait};
use crate::program::Running;

/// Tenants of the test; the first one's name is not in its events.
pub(crate) const TENANTS: [&str; 2] = ["default", "acme"];
const PARTITIONS: i32 = 4;
const HOUR_US: i64 = 3_600_000_000;
/// Longest wait for ingest to have read everything.
const READ_WITHIN: Duration = Duration::from_secs(900);

/// The seed of a test's stream: `LINKFUNNEL_SEED` where it is set, told in either case.
pub(crate) fn seed(test: &str, otherwise: u64) -> u64 {
    let seed = match std::env::var("LINKFUNNEL_SEED") {
        Ok(seed) => seed.parse().expect("LINKFUNNEL_SEED is a number"),
        Err(_) => otherwise,
    };
    note(&format!("{test}: LINKFUNNEL_SEED={seed}"));
    seed
}

/// Everything that real streams get wrong, often; up to three hours ago, so that some windows still run and what was on its way
/// then is not there.
pub(crate) fn dirty(seed: u64, events: u64, days: i64) -> GenerateConfig {
    let now_us = chrono::Utc::now().timestamp_micros();
    GenerateConfig {
        seed,
        start_us: (now_us - days * 24 * HOUR_US).div_euclid(HOUR_US) * HOUR_US,
        days: None,
        end_us: Some(now_us - 3 * HOUR_US),
        volume: Volume::Events(events),
        tenants: TENANTS.map(str::to_owned).to_vec(),
        incident: Some(Incident::parse("xero:0.9..0.5@T+5d").unwrap()),
        dirt: Dirt::HEAVY,
        ..GenerateConfig::default()
    }
}

/// A delivery as a message of a topic.
pub(crate) fn record(delivery: Delivery) -> Record {
    Record {
        key: delivery.key,
        payload: delivery.payload,
        ..Record::default()
    }
}

/// The server as each tenant sees it.
pub(crate) fn apis(url: &str) -> Vec<Api> {
    TENANTS.iter().map(|tenant| Api::new(url, tenant)).collect()
}

/// Everything that can be compared; how many numbers that were.
pub(crate) fn compare(
    apis: &[Api],
    generator: &Generator,
    handed: &BTreeMap<At, i64>,
    copies: Copies,
    when: &str,
) -> usize {
    let mut differences = Differences::default();
    for (api, tenant) in apis.iter().zip(TENANTS) {
        let mut found = Differences::default();
        let mut comparison = Comparison {
            api,
            generator,
            tenant,
            copies,
            differences: &mut found,
        };
        comparison.everything();
        differences.take_in(tenant, found);
    }
    accounting::check(apis, handed, &mut differences);
    differences.none(when)
}

/// Waits until the server has read everything and it is in the table; the end of each partition.
pub(crate) fn await_read(
    cluster: &KafkaCluster,
    topic: &str,
    partitions: i32,
    apis: &[Api],
) -> BTreeMap<At, i64> {
    wait(READ_WITHIN, "/readyz/caught-up", || {
        match apis[0].status("/readyz/caught-up") {
            200 => Ok(()),
            status => Err(format!("status {status}")),
        }
    });
    let ends: Vec<i64> = (0..partitions)
        .map(|partition| {
            let (first, end) = cluster.watermarks(topic, partition).unwrap();
            assert_eq!(first, 0);
            end
        })
        .collect();
    wait(READ_WITHIN, "rows of the stream", || {
        let offsets = accounting::offsets(apis);
        (!offsets.is_empty())
            .then_some(())
            .ok_or_else(|| "none".to_owned())
    });
    let stream = accounting::only_stream(apis);
    let handed = (0..partitions)
        .zip(ends)
        .map(|(partition, end)| ((stream.clone(), partition), end))
        .collect();
    accounting::await_committed(apis, &handed, READ_WITHIN);
    handed
}

#[test]
fn generated_events_with_all_the_dirt_through_real_kafka_give_exactly_the_true_counts() {
    let Some(cluster) = KafkaCluster::shared_or_skip() else {
        return;
    };
    let long = std::env::var("LINKFUNNEL_LONG").as_deref() == Ok("1");
    let events = if long { 1_000_000 } else { 120_000 };
    let topic = "truth";
    let large = [("max.message.bytes", "16000000")];
    cluster.create_topic(topic, PARTITIONS, &large).unwrap();
    let mut generator = Generator::new(GenerateConfig {
        dirt: Dirt {
            huge: 0.005,
            ..Dirt::HEAVY
        },
        ..dirty(seed("truth", 20_261_122), events, 20)
    })
    .unwrap();
    let begun = Instant::now();
    let mut control = None;
    let produced = cluster
        .produce(
            topic,
            generator.by_ref().map(|delivery| {
                if control.is_none() {
                    control = event_id(&delivery);
                }
                record(delivery)
            }),
        )
        .unwrap();
    let delivered = generator.truth(None).unwrap().delivered;
    assert_eq!(produced.len() as u64, delivered.messages);
    note(&format!(
        "{} messages of {} events produced in {:?}",
        delivered.messages,
        delivered.events,
        begun.elapsed()
    ));

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = |name: &str, maintain_s: u32| {
        let path = folder.path().join(name);
        let text = format!(
            "[storage]\ndata = {data:?}\nmaintain_every_s = {maintain_s}\n[server]\nrequest_timeout_s = 300\n\
             [query]\ntimeout_s = 300\nsql_timeout_s = 300\nsql_max_rows = 3000000\nmemory_mb = 1024\n\
             [ingest]\ncommit_s = 0.5\n[kafka]\nbrokers = {:?}\ntopic = {topic:?}\n",
            cluster.bootstrap()
        );
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let begun = Instant::now();
    let (server, url) = Running::serve(&["--config", &config("as-it-comes.toml", 100_000)]);
    let apis = self::apis(&url);
    let handed = await_read(cluster, topic, PARTITIONS, &apis);
    note(&format!("read and committed in {:?}", begun.elapsed()));
    assert_eq!(
        handed.values().sum::<i64>(),
        i64::try_from(delivered.messages).unwrap()
    );
    let mut differences = Differences::default();
    differences.eq(
        "dead letters by code",
        rejects(&apis, "dead_letter"),
        delivered.dead_letters.clone(),
    );
    differences.eq(
        "suppressed by code",
        rejects(&apis, "suppressed"),
        delivered.suppressed.clone(),
    );
    let shown = apis[0].get("/api/v1/dead-letters?limit=1")["count"].as_u64();
    differences.eq(
        "dead letters shown",
        shown,
        Some(delivered.dead_letters.values().sum()),
    );
    differences.none("dead letters");
    let compared = compare(&apis, &generator, &handed, Copies::Kept, "as it came");
    note(&format!("{compared} numbers equal the truth"));
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");

    let copies = compact(&data.join("events"));
    assert!(copies > 0, "compaction dropped no copies");
    let compacting = config("compacting.toml", 1);
    let (server, url) = Running::serve(&["--config", &compacting]);
    let apis = self::apis(&url);
    await_read(cluster, topic, PARTITIONS, &apis);
    let compared = compare(
        &apis,
        &generator,
        &handed,
        Copies::Maybe,
        "after compaction",
    );
    note(&format!(
        "{compared} numbers equal the truth after compaction"
    ));
    let (_, _, said) = server.signal("KILL");
    assert!(!said.contains("panicked"), "{said}");

    let (server, url) = Running::serve(&["--config", &compacting]);
    let apis = self::apis(&url);
    await_read(cluster, topic, PARTITIONS, &apis);
    let compared = compare(&apis, &generator, &handed, Copies::Maybe, "after a restart");
    note(&format!(
        "{compared} numbers equal the truth after a restart"
    ));
    let removed: u64 = accounting::removed(&apis, None).values().sum();
    assert!(removed >= copies, "{removed} rows told as removed");
    note(&format!(
        "{removed} of {} copies removed by compaction",
        delivered.duplicates + delivered.resends
    ));
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
    nothing_secret_is_on_disk(&data, generator.planted_secrets(), &control.unwrap());
}

/// Merges everything at once, while no server runs; how many copies that dropped.
fn compact(tables: &Path) -> u64 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clock: Clock = Arc::new(|| chrono::Utc::now().timestamp_micros());
    runtime.block_on(async {
        let location = Location::parse(tables.to_str().unwrap()).unwrap();
        let store = Store::open(&location, StoreOptions::default(), clock).await;
        let full = CompactOptions {
            full: true,
            ..CompactOptions::default()
        };
        let report = store.unwrap().compact(full).await.unwrap();
        note(&format!("{report:?}"));
        report.copies
    })
}

/// Says something past the test runner's capture.
pub(crate) fn note(what: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// The id of an event; such ids are kept as they are.
fn event_id(delivery: &Delivery) -> Option<String> {
    let payload = delivery.payload.as_deref()?;
    if delivery.what != DeliveryKind::Event {
        return None;
    }
    let event: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let id = event["event_id"].as_str()?;
    (id.len() > PREFIX).then(|| id.to_owned())
}

/// Searches the bytes of every file, and what Parquet files hold when unpacked.
fn nothing_secret_is_on_disk(data: &Path, secrets: &[String], control: &str) {
    assert!(secrets.len() > 100, "only {} secrets", secrets.len());
    let mut search = Search::new(secrets.iter().map(String::as_str).chain([control]));
    let mut files = Vec::new();
    list(data, &mut files);
    for file in &files {
        search.bytes(&fs::read(file).unwrap(), file);
        if file
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file).unwrap());
            for batch in reader.unwrap().build().unwrap() {
                for column in batch.unwrap().columns() {
                    search.array(&column.to_data(), file);
                }
            }
        }
    }
    let found_control = search.found.remove(control).is_some();
    assert!(
        found_control,
        "{control} should be found: does the search look?"
    );
    assert!(search.found.is_empty(), "{:#?}", search.found);
    note(&format!(
        "none of {} secrets is in {} files",
        secrets.len(),
        files.len()
    ));
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Bytes that all sought texts are told apart from others by, at their beginning.
const PREFIX: usize = 4;

/// Looks for many texts at once.
struct Search<'a> {
    /// By their first bytes, the lengths that occur.
    beginnings: HashMap<[u8; PREFIX], Vec<usize>>,
    first: [bool; 256],
    sought: HashSet<&'a [u8]>,
    /// Text and the file it was found in.
    found: HashMap<String, PathBuf>,
}

impl<'a> Search<'a> {
    fn new(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut search = Search {
            beginnings: HashMap::new(),
            first: [false; 256],
            sought: HashSet::new(),
            found: HashMap::new(),
        };
        for text in texts {
            let bytes = text.as_bytes();
            let beginning = bytes[..PREFIX].try_into().unwrap();
            let lengths = search.beginnings.entry(beginning).or_default();
            if !lengths.contains(&bytes.len()) {
                lengths.push(bytes.len());
            }
            search.first[usize::from(bytes[0])] = true;
            search.sought.insert(bytes);
        }
        search
    }

    fn bytes(&mut self, bytes: &[u8], file: &Path) {
        for (at, beginning) in bytes.windows(PREFIX).enumerate() {
            if !self.first[usize::from(beginning[0])] {
                continue;
            }
            let Some(lengths) = self.beginnings.get(beginning) else {
                continue;
            };
            for length in lengths {
                if let Some(text) = bytes.get(at..at + length)
                    && self.sought.contains(text)
                {
                    let text = String::from_utf8_lossy(text).into_owned();
                    self.found.insert(text, file.to_owned());
                }
            }
        }
    }

    fn array(&mut self, data: &ArrayData, file: &Path) {
        for buffer in data.buffers() {
            self.bytes(buffer.as_slice(), file);
        }
        for child in data.child_data() {
            self.array(child, file);
        }
    }
}
