//! Produces generated messages to a topic, for `generate --kafka` and the demo.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use linkfunnel_testkit::generate::Delivery;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use crate::failure::{Doing, Failure, Result};

/// Longest wait for the acknowledgement of what is still on its way at the end.
const FLUSH_WITHIN: Duration = Duration::from_secs(30);

/// What the broker said about the messages sent so far.
#[derive(Debug, Default)]
struct Acks {
    failed: AtomicU64,
    last_error: parking_lot::Mutex<Option<String>>,
}

struct Context(Arc<Acks>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
            *self.0.last_error.lock() = Some(error.to_string());
        }
    }
}

/// A producer of one topic.
pub(crate) struct Topic {
    producer: ThreadedProducer<Context>,
    topic: String,
    brokers: String,
    acks: Arc<Acks>,
    sent: u64,
}

impl Topic {
    /// A producer that waits for all replicas. Fails when no broker answers or the topic is not there.
    pub(crate) fn open(brokers: &str, topic: &str) -> Result<Self> {
        let acks = Arc::new(Acks::default());
        let producer: ThreadedProducer<Context> = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "linkfunnel-generate")
            .set("acks", "all")
            .set("linger.ms", "20")
            .set("compression.type", "zstd")
            .create_with_context(Context(Arc::clone(&acks)))
            .doing(|| "making the Kafka producer".into())?;
        let mend = "start a broker there, or name another with --kafka host:port";
        let metadata = producer
            .client()
            .fetch_metadata(Some(topic), Duration::from_secs(10))
            .map_err(|error| {
                Failure::new(format!("no broker answers at {brokers} ({error})")).mend(mend)
            })?;
        if metadata.topics().iter().all(|t| t.partitions().is_empty()) {
            return Err(
                Failure::new(format!("the topic {topic} is not there")).mend("make it first")
            );
        }
        Ok(Topic {
            producer,
            topic: topic.to_owned(),
            brokers: brokers.to_owned(),
            acks,
            sent: 0,
        })
    }

    /// Messages sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Hands a message to the producer; waits while its queue is full.
    pub(crate) fn send(&mut self, delivery: &Delivery) -> Result<()> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic);
        record.key = delivery.key.as_deref();
        record.payload = delivery.payload.as_deref();
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(Failure::from(error)),
            }
        }
        self.sent += 1;
        Ok(())
    }

    /// Waits until everything sent has been acknowledged.
    pub(crate) fn finish(self) -> Result<u64> {
        let flushed = self.producer.flush(FLUSH_WITHIN);
        let failed = self.acks.failed.load(Ordering::Relaxed);
        let said = self.acks.last_error.lock().take();
        match (failed, flushed) {
            (0, Ok(())) => Ok(self.sent),
            (failed, flushed) => {
                let why = said
                    .or_else(|| flushed.err().map(|e| e.to_string()))
                    .unwrap_or_default();
                Err(Failure::new(format!(
                    "{failed} of {} messages were not taken by {} ({why})",
                    self.sent, self.brokers
                )))
            }
        }
    }
}
