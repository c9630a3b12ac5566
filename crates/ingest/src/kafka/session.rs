//! The polling thread: sessions one after another until the shutdown.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;

use super::Shared;
use super::reader::{Reader, ReaderRef};
use super::rebalance::Callbacks;
use super::stream::{Stream, identify};
use crate::error::{Error, Result};
use crate::status::ReaderState;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Longest a single `poll` blocks: also the delay of a shutdown.
const POLL_AT_MOST: Duration = Duration::from_millis(50);
/// A session that has read for this long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(30);

/// Why a session ended.
enum End {
    Shutdown,
    Again(String),
    Stop(String),
}

/// Reads until the shutdown. The error says why reading was given up.
pub(super) fn run(shared: &Shared) -> Result<(), String> {
    let mut pause = FIRST_PAUSE;
    while !shared.shutdown.is_cancelled() {
        let began = Instant::now();
        shared.refresh();
        let end = match identify(&shared.config, shared.committer.store()) {
            Ok(stream) => session(shared, stream),
            Err(error) => End::Again(error.chain()),
        };
        match end {
            End::Shutdown => break,
            End::Stop(why) => {
                tracing::error!(topic = shared.config.topic, why, "ingest stops");
                return Err(why);
            }
            End::Again(why) => {
                tracing::warn!(
                    topic = shared.config.topic,
                    why,
                    "not reading; trying again"
                );
                shared
                    .status
                    .state(ReaderState::Starting { waiting_for: why });
                if began.elapsed() > GOOD_AFTER {
                    pause = FIRST_PAUSE;
                }
                wait(shared, pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    Ok(())
}

fn wait(shared: &Shared, pause: Duration) {
    let cancelled = shared.shutdown.cancelled();
    // Over either way: the pause or the process.
    let _ = shared
        .runtime
        .block_on(async { tokio::time::timeout(pause, cancelled).await });
}

fn session(shared: &Shared, stream: Stream) -> End {
    if let Some(why) = &stream.made_again {
        shared.metrics.generations.inc();
        tracing::error!(
            topic = shared.config.topic,
            stream = &*stream.name,
            why,
            "the topic was deleted and made again: a new generation begins with its first message; what was read before stays"
        );
    }
    shared.status.update(|status| {
        status.stream = stream.name.to_string();
        // Those of the session before say nothing about this one.
        status.partitions.clear();
    });
    let reader = Arc::new(Reader::new(shared.clone(), stream));
    let consumer = match consumer(&reader) {
        Ok(consumer) => consumer,
        Err(error) => return End::Again(error.chain()),
    };
    shared.status.state(ReaderState::Running);
    tracing::info!(
        topic = shared.config.topic,
        stream = &*reader.stream.name,
        "reading"
    );
    let end = poll(&reader, &consumer);
    let attached = reader.attached();
    if !reader.flush(&attached) {
        tracing::error!(
            "not everything was committed before the end; it is read again at the next start"
        );
    }
    // Tells lag tools the last offsets; a failure to do so was logged.
    let _ = reader.tick(&consumer);
    reader.detach(&attached);
    drop(consumer);
    end
}

fn consumer(reader: &ReaderRef) -> Result<BaseConsumer<Callbacks>> {
    let config = &reader.shared.config;
    let callbacks = Callbacks::new(reader.clone());
    let mut client = config.client();
    // The only way to hear that the topic has become another one, see `Callbacks::log`.
    let debug = match client.get("debug") {
        Some(asked) => format!("{asked},metadata"),
        None => "metadata".to_owned(),
    };
    client
        .set("debug", debug)
        .set_log_level(RDKafkaLogLevel::Debug);
    let consumer: BaseConsumer<Callbacks> = client
        .create_with_context(callbacks)
        .map_err(|e| Error::kafka("making the consumer", e))?;
    if config.group.is_some() {
        consumer
            .subscribe(&[&config.topic])
            .map_err(|e| Error::kafka(format!("subscribing to {}", config.topic), e))?;
    } else {
        let all: Vec<i32> = (0..reader.stream.partitions).collect();
        reader
            .attach(&all)
            .and_then(|starts| consumer.assign(&starts))
            .map_err(|e| Error::kafka(format!("taking the partitions of {}", config.topic), e))?;
    }
    Ok(consumer)
}

fn poll(reader: &Reader, consumer: &BaseConsumer<Callbacks>) -> End {
    let limits = reader.shared.config.limits;
    let mut next_tick = Instant::now() + limits.seal_every;
    loop {
        if reader.shared.shutdown.is_cancelled() {
            return End::Shutdown;
        }
        match next(reader, consumer, next_tick) {
            Some(Ok(message)) => reader.message(&message),
            Some(Err(KafkaError::PartitionEOF(partition))) => reader.end(partition),
            Some(Err(error)) => {
                if let Some(end) = trouble(reader, consumer, error) {
                    return end;
                }
            }
            None => {}
        }
        if Instant::now() >= next_tick || reader.wants_tick() {
            if let Err(why) = reader.tick(consumer) {
                return End::Stop(why);
            }
            next_tick = Instant::now() + limits.seal_every;
        }
        if let Some(why) = reader.again() {
            return End::Again(why);
        }
    }
}

/// The next thing in the queue, waiting for it only after the queue was seen empty: under steady
/// traffic that look is what moves watermarks.
fn next<'c>(
    reader: &Reader,
    consumer: &'c BaseConsumer<Callbacks>,
    until: Instant,
) -> Option<KafkaResult<BorrowedMessage<'c>>> {
    let callbacks = reader.callbacks();
    let polled_at_us = reader.shared.committer.now_us();
    if let Some(next) = consumer.poll(Duration::ZERO) {
        return Some(next);
    }
    reader.nothing(polled_at_us, callbacks);
    consumer.poll(
        until
            .saturating_duration_since(Instant::now())
            .min(POLL_AT_MOST),
    )
}

/// What an error of librdkafka means; `None`: it gets over it by itself.
fn trouble(reader: &Reader, consumer: &BaseConsumer<Callbacks>, error: KafkaError) -> Option<End> {
    use RDKafkaErrorCode as Code;
    match error {
        KafkaError::MessageConsumption(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
            reader.out_of_range(consumer);
            None
        }
        KafkaError::MessageConsumption(
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::UnknownTopicId,
        ) => Some(End::Again(format!(
            "the topic {} is gone",
            reader.shared.config.topic
        ))),
        KafkaError::MessageConsumptionFatal(_) => {
            Some(End::Again(Error::kafka("reading", error).chain()))
        }
        other => {
            // Told by the error callback already.
            tracing::debug!(error = %other, "while polling");
            None
        }
    }
}
