//! The real Kafka that other tests stand on: it starts, takes messages, and keeps them through what tests do to it.

use std::collections::BTreeSet;
use std::time::Duration;

use linkfunnel_testkit::kafka::{Ending, Error, KafkaCluster, Message, Position, Record};
use rdkafka::consumer::{BaseConsumer, Consumer};

type TestResult = Result<(), Error>;

fn messages(range: std::ops::Range<usize>) -> impl Iterator<Item = Record> {
    range.map(|n| {
        Record::new(format!("message {n:06} {}", "x".repeat(200))).key(format!("k{}", n % 97))
    })
}

/// Every message where its producer was told, once, and no other.
fn check_all_there(consumed: &[Message], positions: &[Position]) {
    let consumed_at: Vec<Position> = consumed.iter().map(|message| message.at).collect();
    let mut produced_at = positions.to_vec();
    produced_at.sort_unstable();
    assert_eq!(consumed_at, produced_at);
    let payloads: BTreeSet<_> = consumed.iter().map(|message| &message.payload).collect();
    assert_eq!(payloads.len(), positions.len());
}

#[test]
fn messages_survive_the_kill_of_the_only_broker() -> TestResult {
    let Some(mut kafka) = KafkaCluster::start_or_skip(1) else {
        return Ok(());
    };
    kafka.create_topic("events", 3, &[])?;
    let mut positions = kafka.produce("events", messages(0..10_000))?;
    check_all_there(&kafka.consume_all("events")?, &positions);

    kafka.kill_broker(1)?;
    kafka.start_broker(1)?;
    check_all_there(&kafka.consume_all("events")?, &positions);
    positions.extend(kafka.produce("events", messages(10_000..10_100))?);

    kafka.restart_broker(1)?;
    check_all_there(&kafka.consume_all("events")?, &positions);
    Ok(())
}

#[test]
fn topics_can_be_cut_deleted_made_again_and_hold_aborted_transactions() -> TestResult {
    let Some(kafka) = KafkaCluster::shared_or_skip() else {
        return Ok(());
    };
    kafka.create_topic("events", 1, &[("max.message.bytes", "8000000")])?;
    kafka.produce("events", messages(0..100))?;
    kafka.delete_records("events", 0, 40)?;
    assert_eq!(kafka.watermarks("events", 0)?, (40, 100));
    kafka.produce(
        "events",
        [
            Record::tombstone("k"),
            Record::new(vec![b'x'; 5_000_000]).partition(0),
        ],
    )?;
    assert_eq!(kafka.consume_all("events")?.len(), 62);

    kafka.delete_topic("events")?;
    kafka.create_topic("events", 1, &[])?;
    assert_eq!(kafka.watermarks("events", 0)?, (0, 0));
    kafka.produce_in_transaction("events", ["a", "b"], Ending::Abort)?;
    let positions = kafka.produce_in_transaction("events", ["c"], Ending::Commit)?;
    assert_eq!(
        positions,
        [Position {
            partition: 0,
            offset: 3
        }],
        "two messages and a control record"
    );
    let consumed = kafka.consume_all("events")?;
    assert_eq!(consumed.len(), 1);
    assert_eq!(consumed[0].payload.as_deref(), Some(&b"c"[..]));
    Ok(())
}

#[test]
fn a_paused_broker_answers_nothing_until_it_is_resumed() -> TestResult {
    let Some(mut kafka) = KafkaCluster::start_or_skip(1) else {
        return Ok(());
    };
    kafka.create_topic("events", 1, &[])?;
    let client: BaseConsumer = kafka
        .client_config()
        .create()
        .expect("a valid configuration");
    kafka.pause_broker(1)?;
    client
        .fetch_metadata(None, Duration::from_secs(1))
        .expect_err("a frozen broker is silent");
    kafka.resume_broker(1)?;
    assert_eq!(kafka.produce("events", ["a"])?.len(), 1);
    Ok(())
}

#[test]
fn three_brokers_lose_one_and_no_message() -> TestResult {
    let Some(mut kafka) = KafkaCluster::start_or_skip(3) else {
        return Ok(());
    };
    kafka.create_topic("events", 3, &[])?;
    let mut positions = kafka.produce("events", messages(0..5_000))?;
    kafka.kill_broker(1)?;
    positions.extend(kafka.produce("events", messages(5_000..10_000))?);
    check_all_there(&kafka.consume_all("events")?, &positions);
    kafka.start_broker(1)?;
    kafka.await_in_sync()?;
    check_all_there(&kafka.consume_all("events")?, &positions);
    Ok(())
}
