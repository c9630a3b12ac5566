//! How a topic is read.

use rdkafka::ClientConfig;

use crate::Limits;
use crate::committer::CommitOptions;
use crate::decode::{Decoder, StreamDefaults};
use crate::quality::TooManyBad;

/// Where a partition begins that the table has never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With its first message.
    #[default]
    Beginning,
    /// With what comes from now on.
    End,
}

/// What to do when retention took messages before they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLostRange {
    /// Say so and leave the partition alone until someone decides.
    #[default]
    Stop,
    /// Say so and go on with the first message there is.
    Continue,
}

/// How a topic is read.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// `host:port,…`.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// The consumer group, when several processes share the partitions; `None` when this process
    /// reads them all.
    pub group: Option<String>,
    /// Names the cluster in stream names instead of the id that the broker gives. For clusters
    /// without an id, or one that moves to new brokers with its topics.
    pub cluster: Option<String>,
    /// How messages are written.
    pub decoder: Decoder,
    /// What messages are taken for when they are silent.
    pub defaults: StreamDefaults,
    /// Where a partition begins that the table has never seen.
    pub start: Start,
    /// What to do when retention took messages before they were read.
    pub on_lost_range: OnLostRange,
    /// When to stop because too much is bad; `None`: never.
    pub too_many_bad: Option<TooManyBad>,
    /// Taken off the watermark, in µs: how late the topic's producers may deliver. Default 0.
    pub allowed_delay_us: i64,
    /// When to commit.
    pub commit: CommitOptions,
    /// Bounds of memory and delay.
    pub limits: Limits,
    /// Further librdkafka properties, such as `security.protocol`. Those that exactly-once needs
    /// are set after them.
    pub properties: Vec<(String, String)>,
}

impl KafkaConfig {
    /// A configuration with every default. `brokers`: `host:port,…`.
    pub fn new(brokers: impl Into<String>, topic: impl Into<String>) -> KafkaConfig {
        KafkaConfig {
            brokers: brokers.into(),
            topic: topic.into(),
            group: None,
            cluster: None,
            decoder: Decoder::default(),
            defaults: StreamDefaults::default(),
            start: Start::default(),
            on_lost_range: OnLostRange::default(),
            too_many_bad: Some(TooManyBad::default()),
            allowed_delay_us: 0,
            commit: CommitOptions::default(),
            limits: Limits::default(),
            properties: Vec::new(),
        }
    }

    /// librdkafka's configuration of a consumer.
    pub(super) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "linkfunnel-ingest")
            // Short, so that an idle partition's watermark follows the clock closely.
            .set("fetch.wait.max.ms", "100")
            .set("statistics.interval.ms", "300")
            // A topic deleted, made again or grown is noticed within this time.
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set("metadata.max.age.ms", "15000")
            .set("queued.max.messages.kbytes", "32768")
            .set("reconnect.backoff.max.ms", "2000");
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        // With `assign` a group is never joined; its name is where lag tools look for offsets.
        let group = self
            .group
            .clone()
            .unwrap_or_else(|| format!("linkfunnel-{}", self.topic));
        client
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false");
        // With the newer group protocol the broker assigns, always step by step.
        if client.get("group.protocol") != Some("consumer") {
            client.set("partition.assignment.strategy", "cooperative-sticky");
        }
        client
    }
}
