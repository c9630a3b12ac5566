//! The peer of linkfunnel's ingest: a librdkafka consumer that only counts. How fast can messages come out of this topic at all?
//!
//! ```sh
//! cargo run --release -p linkfunnel-testkit --example bare_consumer -- 127.0.0.1:9092 events [property=value…]
//! ```
//!
//! Reads every partition from its oldest message to its end, as ingest does (read_committed, decoding nothing), and prints one
//! line of JSON: messages, bytes, seconds from the first request to the last message, and the CPU seconds of the whole process.

#![expect(clippy::print_stdout, reason = "the result is what it prints")]

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Without a message for this long the topic is taken for stuck.
const SILENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(brokers), Some(topic)) = (args.next(), args.next()) else {
        return Err("usage: bare_consumer BROKERS TOPIC [property=value…]".into());
    };
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "linkfunnel-bare-consumer")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed");
    for property in args {
        let (key, value) = property.split_once('=').ok_or("a property is key=value")?;
        config.set(key, value);
    }
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(&topic), SILENCE)?;
    let mut open: BTreeSet<i32> = metadata
        .topics()
        .iter()
        .flat_map(|t| t.partitions())
        .map(|p| p.id())
        .collect();
    let mut start = TopicPartitionList::new();
    for &partition in &open {
        start.add_partition_offset(&topic, partition, Offset::Beginning)?;
    }
    let (mut messages, mut bytes) = (0_u64, 0_usize);
    let cpu_before = cpu_seconds()?;
    let begin = Instant::now();
    let mut last = begin;
    consumer.assign(&start)?;
    while !open.is_empty() {
        match consumer.poll(SILENCE) {
            Some(Ok(message)) => {
                messages += 1;
                bytes += message.payload_len();
                last = Instant::now();
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => return Err(error.into()),
            None => return Err("the topic went silent before its end".into()),
        }
    }
    let seconds = last.duration_since(begin).as_secs_f64();
    let cpu = cpu_seconds()? - cpu_before;
    println!(
        r#"{{"messages": {messages}, "bytes": {bytes}, "seconds": {seconds:.3}, "cpu_seconds": {cpu:.2}}}"#
    );
    Ok(())
}

/// User and system time of this process with all its threads, from Linux's `/proc`.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name in brackets, and may hold anything.
    let (_, fields) = stat
        .rsplit_once(')')
        .ok_or("an unknown form of /proc/self/stat")?;
    let mut times = fields.split_whitespace().skip(11).take(2);
    let mut next =
        || -> Result<f64, Box<dyn Error>> { Ok(times.next().ok_or("too short")?.parse()?) };
    Ok((next()? + next()?) / TICKS_PER_SECOND)
}
