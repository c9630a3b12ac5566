//! Which stream a topic is: cluster, topic and generation.
//!
//! A topic that was deleted and made again counts its offsets anew, so the table's offsets say
//! nothing about it. The table keeps a fingerprint of the last message of every partition; when the
//! message at that offset is another one now, or there are fewer messages than we have read, it is
//! a new generation and a new stream, read from its beginning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkfunnel_store::{Fingerprint, Store, StreamPartition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use xxhash_rust::xxh3::Xxh3;

use super::config::KafkaConfig;
use crate::error::{Error, Result};

/// How long one question to the broker may take.
pub(super) const ASK_WITHIN: Duration = Duration::from_secs(10);
const READ_BACK_WITHIN: Duration = Duration::from_secs(20);

/// The stream that a topic is at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    /// `kafka:<cluster>/<topic>#<generation>`.
    pub(super) name: Arc<str>,
    /// Number of partitions.
    pub(super) partitions: i32,
    /// Why this is a new generation, if it was found to be one just now.
    pub(super) made_again: Option<String>,
}

/// What tells a message from another at the same offset. The checksum is the lower half of an
/// xxh3-64 over key and payload (librdkafka does not hand over the batch's own CRC).
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
pub(super) fn fingerprint(message: &impl Message) -> Fingerprint {
    let mut hasher = Xxh3::new();
    for part in [message.key(), message.payload()] {
        hasher.update(&(part.map_or(u64::MAX, |p| p.len() as u64)).to_le_bytes());
        hasher.update(part.unwrap_or_default());
    }
    Fingerprint {
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        crc: hasher.digest() as u32,
    }
}

/// Asks the broker and the table which stream the topic is. Blocks; an error means try again.
pub(super) fn identify(config: &KafkaConfig, store: &Store) -> Result<Stream> {
    let mut client = config.client();
    client
        .set("group.id", "linkfunnel-look")
        .set("statistics.interval.ms", "0");
    let consumer: BaseConsumer = client
        .create()
        .map_err(|e| Error::kafka("making a consumer", e))?;
    let partitions = partitions(&consumer, &config.topic)?;
    let cluster = match &config.cluster {
        Some(name) => name.clone(),
        None => consumer
            .client()
            .fetch_cluster_id(ASK_WITHIN)
            .ok_or_else(|| {
                let failed =
                    KafkaError::Global(rdkafka::types::RDKafkaErrorCode::OperationTimedOut);
                Error::kafka("asking for the cluster's id", failed)
            })?,
    };
    let family = format!("kafka:{cluster}/{}#", config.topic);
    let name = |generation: u32| -> Arc<str> { format!("{family}{generation}").into() };
    let Some(latest) = latest_generation(store, &family) else {
        return Ok(Stream {
            name: name(1),
            partitions,
            made_again: None,
        });
    };
    let made_again = changed(&consumer, config, store, &name(latest), partitions)?;
    let generation = if made_again.is_some() {
        latest + 1
    } else {
        latest
    };
    Ok(Stream {
        name: name(generation),
        partitions,
        made_again,
    })
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<i32> {
    let asking = || format!("asking for the partitions of {topic}");
    let metadata = consumer
        .fetch_metadata(Some(topic), ASK_WITHIN)
        .map_err(|e| Error::kafka(asking(), e))?;
    let found = metadata.topics().iter().find(|t| t.name() == topic);
    let code = match found {
        Some(found) if found.error().is_none() && !found.partitions().is_empty() => {
            return Ok(i32::try_from(found.partitions().len()).unwrap_or(i32::MAX));
        }
        Some(found) => found.error().map(rdkafka::types::RDKafkaErrorCode::from),
        None => None,
    };
    let code = code.unwrap_or(rdkafka::types::RDKafkaErrorCode::UnknownTopicOrPartition);
    Err(Error::kafka(asking(), KafkaError::MetadataFetch(code)))
}

/// The youngest generation of which the table holds anything.
fn latest_generation(store: &Store, family: &str) -> Option<u32> {
    let generation = |at: &StreamPartition| at.stream.strip_prefix(family)?.parse().ok();
    store
        .committed_partitions()
        .iter()
        .filter_map(|(at, _)| generation(at))
        .max()
}

/// What shows that the topic is not the one we have read, if anything does.
fn changed(
    consumer: &BaseConsumer,
    config: &KafkaConfig,
    store: &Store,
    stream: &Arc<str>,
    partitions: i32,
) -> Result<Option<String>> {
    let mut expected = BTreeMap::new();
    for (at, committed) in store.committed_partitions() {
        if at.stream != *stream {
            continue;
        }
        let partition = at.partition;
        if partition >= partitions {
            return Ok(Some(format!(
                "partition {partition} was read and is no longer there"
            )));
        }
        let (low, high) = consumer
            .fetch_watermarks(&config.topic, partition, ASK_WITHIN)
            .map_err(|e| {
                Error::kafka(format!("asking for the ends of partition {partition}"), e)
            })?;
        if high <= committed {
            return Ok(Some(format!(
                "partition {partition} ends at offset {high} and was read up to {committed}"
            )));
        }
        if low <= committed
            && let Some(fingerprint) = store.fingerprint(&at)
        {
            expected.insert(partition, (committed, fingerprint));
        }
    }
    let found = read_back(consumer, &config.topic, &expected)?;
    for (partition, (offset, expected)) in expected {
        match found.get(&partition) {
            Some(Some((at, found))) if *at == offset && *found != expected => {
                return Ok(Some(format!(
                    "the message at offset {offset} of partition {partition} is another one than was read"
                )));
            }
            Some(Some((at, _))) if *at == offset => {}
            _ => tracing::warn!(
                partition,
                offset,
                "the last message read is no longer there to compare; taken for the same topic"
            ),
        }
    }
    Ok(None)
}

type Found = BTreeMap<i32, Option<(i64, Fingerprint)>>;

/// The first message at or after an offset, per partition; `None` at the end of the partition.
fn read_back(
    consumer: &BaseConsumer,
    topic: &str,
    wanted: &BTreeMap<i32, (i64, Fingerprint)>,
) -> Result<Found> {
    let mut found = Found::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let mut list = TopicPartitionList::new();
    let reading = || format!("reading back the last messages of {topic}");
    for (partition, (offset, _)) in wanted {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
            .map_err(|e| Error::kafka(reading(), e))?;
    }
    consumer
        .assign(&list)
        .map_err(|e| Error::kafka(reading(), e))?;
    let deadline = Instant::now() + READ_BACK_WITHIN;
    while found.len() < wanted.len() {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let seen = (message.offset(), fingerprint(&message));
                found.entry(message.partition()).or_insert(Some(seen));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                found.entry(partition).or_insert(None);
            }
            Some(Err(error)) => return Err(Error::kafka(reading(), error)),
            None => {}
        }
        if Instant::now() >= deadline {
            let late = KafkaError::Global(rdkafka::types::RDKafkaErrorCode::OperationTimedOut);
            return Err(Error::kafka(reading(), late));
        }
    }
    // The consumer is dropped next; leaving its assignment behind harms nothing.
    let _ = consumer.unassign();
    Ok(found)
}
