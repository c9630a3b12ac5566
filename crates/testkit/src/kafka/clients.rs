//! What a test does with the cluster as a client: topics, produce, consume. All calls block until the brokers have answered.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::{Error, KafkaCluster, LOOK_EVERY, Result};

/// How long a request may take, all repetitions by librdkafka included.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A message to be produced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Chosen by the key, or at random, when `None`.
    pub partition: Option<i32>,
    /// The message's key.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Milliseconds since the epoch; the producer's clock when `None`.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    /// A message without a key.
    pub fn new(payload: impl Into<Vec<u8>>) -> Record {
        Record {
            payload: Some(payload.into()),
            ..Record::default()
        }
    }

    /// A key with nothing behind it.
    pub fn tombstone(key: impl Into<Vec<u8>>) -> Record {
        Record {
            key: Some(key.into()),
            ..Record::default()
        }
    }

    /// The same with a key.
    #[must_use]
    pub fn key(self, key: impl Into<Vec<u8>>) -> Record {
        Record {
            key: Some(key.into()),
            ..self
        }
    }

    /// The same for a given partition.
    #[must_use]
    pub fn partition(self, partition: i32) -> Record {
        Record {
            partition: Some(partition),
            ..self
        }
    }
}

impl<T: Into<Vec<u8>>> From<T> for Record {
    fn from(payload: T) -> Record {
        Record::new(payload)
    }
}

/// Where a message ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Partition of the topic, from 0.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
}

/// A message as it was consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it lies.
    pub at: Position,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its messages are seen by all.
    Commit,
    /// Its messages are in the log, and seen only by those who read uncommitted ones.
    Abort,
}

impl KafkaCluster {
    /// Makes a topic on as many brokers as there are, three at most.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let doing = "creating a topic";
        let topic = configs.iter().fold(
            NewTopic::new(name, partitions, TopicReplication::Fixed(-1)),
            |topic, (key, value)| topic.set(key, value),
        );
        let answer = block_on(self.admin.create_topics([&topic], &admin_options()));
        one_topic(doing, answer)?;
        self.await_topic(name, "a new topic with leaders", |found| {
            found == Some(partitions)
        })
    }

    /// Deletes a topic and waits until no broker names it, so that it can be made again.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let answer = block_on(self.admin.delete_topics(&[name], &admin_options()));
        one_topic("deleting a topic", answer)?;
        self.await_topic(name, "a deleted topic that is gone", |found| {
            found.is_none()
        })
    }

    /// Deletes the messages of a partition before `offset`, as retention does.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let client = |source| Error::Client {
            doing: "deleting records",
            source,
        };
        let mut before = TopicPartitionList::new();
        before
            .add_partition_offset(topic, partition, Offset::Offset(offset))
            .map_err(client)?;
        let deleted =
            block_on(self.admin.delete_records(&before, &admin_options())).map_err(client)?;
        deleted
            .elements()
            .iter()
            .try_for_each(|element| element.error())
            .map_err(client)
    }

    /// The offsets of a partition's oldest message and of the one that comes next.
    pub fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let client = |source| Error::Client {
            doing: "asking for watermarks",
            source,
        };
        let consumer: BaseConsumer = self.client_config().create().map_err(client)?;
        consumer
            .fetch_watermarks(topic, partition, ANSWER_WITHIN)
            .map_err(client)
    }

    /// Produces, acknowledged by all replicas in sync, and says where each message lies, in the order given.
    pub fn produce<R: Into<Record>>(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = R>,
    ) -> Result<Vec<Position>> {
        let client = |source| Error::Client {
            doing: "producing",
            source,
        };
        let producer = self.producer(None).map_err(client)?;
        send_all(&producer, topic, records).map_err(client)
    }

    /// Produces in one transaction, which leaves a control record behind the messages of each partition.
    pub fn produce_in_transaction<R: Into<Record>>(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = R>,
        ending: Ending,
    ) -> Result<Vec<Position>> {
        let client = |source| Error::Client {
            doing: "producing in a transaction",
            source,
        };
        let id = uuid::Uuid::new_v4().to_string();
        let producer = self.producer(Some(&id)).map_err(client)?;
        producer.init_transactions(ANSWER_WITHIN).map_err(client)?;
        producer.begin_transaction().map_err(client)?;
        let positions = send_all(&producer, topic, records).map_err(client)?;
        match ending {
            Ending::Commit => producer.commit_transaction(ANSWER_WITHIN),
            Ending::Abort => producer.abort_transaction(ANSWER_WITHIN),
        }
        .map_err(client)?;
        Ok(positions)
    }

    /// All committed messages of a topic from the oldest to the end, by partition and offset.
    pub fn consume_all(&self, topic: &str) -> Result<Vec<Message>> {
        let client = |source| Error::Client {
            doing: "consuming",
            source,
        };
        let consumer: BaseConsumer = self
            .client_config()
            .set("group.id", "linkfunnel-testkit")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .map_err(client)?;
        let metadata = consumer
            .fetch_metadata(Some(topic), ANSWER_WITHIN)
            .map_err(client)?;
        let mut open: BTreeSet<i32> = metadata
            .topics()
            .iter()
            .flat_map(|t| t.partitions())
            .map(|p| p.id())
            .collect();
        let mut start = TopicPartitionList::new();
        for &partition in &open {
            start
                .add_partition_offset(topic, partition, Offset::Beginning)
                .map_err(client)?;
        }
        consumer.assign(&start).map_err(client)?;
        let mut messages = Vec::new();
        let mut last_heard = Instant::now();
        while !open.is_empty() {
            match consumer.poll(LOOK_EVERY) {
                Some(Ok(message)) => messages.push(owned(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                // A broker that is away comes back or the limit below ends the wait.
                Some(Err(error)) if !is_passing(&error) => return Err(client(error)),
                Some(Err(_)) | None if last_heard.elapsed() < ANSWER_WITHIN => continue,
                Some(Err(_)) | None => {
                    let what = "the end of a topic";
                    return Err(Error::NotInTime {
                        what,
                        within: ANSWER_WITHIN,
                        log: self.log_tails(),
                    });
                }
            }
            last_heard = Instant::now();
        }
        messages.sort_by_key(|message| message.at);
        Ok(messages)
    }

    fn await_topic(
        &self,
        name: &str,
        what: &'static str,
        holds: impl Fn(Option<i32>) -> bool,
    ) -> Result<()> {
        for node in self.nodes.iter().filter(|node| node.is_alive()) {
            let client = super::metadata_client(&super::client_config_of(node))?;
            self.await_metadata(&client, what, |metadata| {
                let topic = metadata.topics().iter().find(|topic| topic.name() == name);
                let led = topic.map(|topic| {
                    let led = topic
                        .partitions()
                        .iter()
                        .filter(|p| p.leader() >= 0)
                        .count();
                    i32::try_from(led).expect("Kafka counts partitions in i32")
                });
                holds(led)
            })?;
        }
        Ok(())
    }

    fn producer(&self, transactional_id: Option<&str>) -> KafkaResult<BaseProducer<Deliveries>> {
        let mut config = self.client_config();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.max.bytes", "16000000")
            .set("queue.buffering.max.messages", "200000")
            .set("delivery.timeout.ms", ANSWER_WITHIN.as_millis().to_string());
        if let Some(id) = transactional_id {
            config.set("transactional.id", id);
        }
        config.create_with_context(Deliveries::default())
    }
}

/// What the brokers acknowledged, by the number of the message.
#[derive(Default)]
struct Deliveries(Mutex<Acknowledged>);

#[derive(Default)]
struct Acknowledged {
    positions: Vec<Option<Position>>,
    error: Option<KafkaError>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let mut acknowledged = self.0.lock().expect("no holder of this lock panics");
        match result {
            Ok(message) => {
                if acknowledged.positions.len() <= number {
                    acknowledged.positions.resize(number + 1, None);
                }
                let position = Position {
                    partition: message.partition(),
                    offset: message.offset(),
                };
                acknowledged.positions[number] = Some(position);
            }
            Err((error, _)) => acknowledged.error = Some(error.clone()),
        }
    }
}

fn send_all<R: Into<Record>>(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    records: impl IntoIterator<Item = R>,
) -> KafkaResult<Vec<Position>> {
    let mut sent = 0;
    for (number, record) in records.into_iter().enumerate() {
        send(producer, topic, &record.into(), number)?;
        sent = number + 1;
        if sent % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(2 * ANSWER_WITHIN)?;
    let mut acknowledged = producer
        .context()
        .0
        .lock()
        .expect("no holder of this lock panics");
    if let Some(error) = acknowledged.error.take() {
        return Err(error);
    }
    let positions: Vec<Position> = acknowledged.positions.iter().copied().flatten().collect();
    assert_eq!(
        positions.len(),
        sent,
        "a flush ends when every message is acknowledged or failed"
    );
    Ok(positions)
}

/// Hands one message to librdkafka, waiting for room.
fn send(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    record: &Record,
    number: usize,
) -> KafkaResult<()> {
    let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, number);
    message.partition = record.partition;
    message.key = record.key.as_deref();
    message.payload = record.payload.as_deref();
    message.timestamp = record.timestamp_ms;
    loop {
        match producer.send(message) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                message = again;
                producer.poll(LOOK_EVERY);
            }
            Err((error, _)) => return Err(error),
        }
    }
}

fn owned(message: &impl rdkafka::Message) -> Message {
    Message {
        at: Position {
            partition: message.partition(),
            offset: message.offset(),
        },
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
    }
}

/// Errors that librdkafka mends by itself when the brokers are back.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
        )
    )
}

fn admin_options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER_WITHIN))
        .operation_timeout(Some(ANSWER_WITHIN))
}

fn one_topic(
    doing: &'static str,
    answer: KafkaResult<Vec<rdkafka::admin::TopicResult>>,
) -> Result<()> {
    for topic in answer.map_err(|source| Error::Client { doing, source })? {
        topic.map_err(|(_, code)| Error::Client {
            doing,
            source: KafkaError::AdminOp(code),
        })?;
    }
    Ok(())
}
