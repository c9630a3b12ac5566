//! Real Apache Kafka and processes of ours that are killed, paused and come back: nothing lost, nothing twice, and they say what
//! happened.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use linkfunnel_testkit::generate::{Dirt, GenerateConfig, Generator, Volume};
use linkfunnel_testkit::kafka::{KafkaCluster, Record};
use serde_json::Value as Json;

use crate::ledger::{
    Handed, await_committed, check_each_once, check_stored, check_truth, config, get, metric,
    number, sql, try_sql,
};
use crate::program::{Running, until};

/// A group member that is silent for so long loses its partitions (the least that Kafka allows).
const SESSION_MS: u32 = 6_000;

/// TOML that reads `topic`, and tables that several processes share.
fn reads(kafka: &KafkaCluster, topic: &str, more: &str) -> String {
    format!(
        "[ingest]\ncommit_s = 0.5\n[kafka]\nbrokers = {:?}\ntopic = {topic:?}\n{more}\n",
        kafka.bootstrap()
    )
}

/// A member of a group of writers that share the tables in `folder/tables`.
fn member(kafka: &KafkaCluster, folder: &Path, name: &str, topic: &str) -> String {
    let tables = folder.join("tables");
    let more = format!(
        "location = {tables:?}\nmaintain_every_s = 2\n{}",
        reads(
            kafka,
            topic,
            &format!(
                "group = {topic:?}\n[kafka.properties]\n\"session.timeout.ms\" = \"{SESSION_MS}\"\n\"heartbeat.interval.ms\" = \"500\""
            ),
        )
    );
    config(folder, name, &more)
}

fn serve(file: &str) -> (Running, String) {
    Running::serve(&["--config", file])
}

/// A server that only reads what lies in the tables.
fn reader_of(folder: &Path) -> (Running, String) {
    let tables = folder.join("tables");
    serve(&config(
        folder,
        "reader",
        &format!("location = {tables:?}\n"),
    ))
}

/// An event of its own, of one of seven companies.
fn event(id: u64) -> Record {
    let company = id % 7;
    Record::new(format!(
        r#"{{"event_id":"e{id}","event":"attempt.opened","occurred_at":"2026-10-01T00:00:00Z","company_id":"c{company}"}}"#
    ))
}

fn events_to(partition: i32, ids: std::ops::Range<u64>) -> impl Iterator<Item = Record> {
    ids.map(move |id| event(id).partition(partition))
}

/// What lies in a topic, as offsets handed over.
fn all_of(kafka: &KafkaCluster, topic: &str, partitions: i32) -> Handed {
    let ends = |p| kafka.watermarks(topic, p).unwrap();
    (0..partitions).map(|p| (p, ends(p).0..ends(p).1)).collect()
}

/// How many partitions a server reads.
fn partitions_of(url: &str) -> usize {
    let text = get(&format!("{url}/metrics")).1;
    let name = "linkfunnel_ingest_lag_messages{";
    text.lines().filter(|line| line.starts_with(name)).count()
}

/// Generated journeys with all the dirt, and what is true of them.
fn generated(seed: u64, events: u64) -> (Vec<Record>, Json) {
    let mut generator = Generator::new(GenerateConfig {
        seed,
        days: Some(4.0),
        volume: Volume::Events(events),
        dirt: Dirt::HEAVY,
        ..GenerateConfig::default()
    })
    .unwrap();
    let records = generator.by_ref().map(|delivery| Record {
        key: delivery.key,
        payload: delivery.payload,
        ..Record::default()
    });
    let records = records.collect();
    (
        records,
        serde_json::to_value(generator.truth(None).unwrap()).unwrap(),
    )
}

#[test]
fn two_writers_of_one_group_lose_and_double_nothing_while_one_is_killed_and_one_paused() {
    let Some(kafka) = KafkaCluster::shared_or_skip() else {
        return;
    };
    let (folder, topic) = (tempfile::tempdir().unwrap(), "pair");
    kafka.create_topic(topic, 4, &[]).unwrap();
    let (records, truth) = generated(11, 12_000);
    let mut parts = records.chunks(records.len().div_ceil(6));
    let mut produce = || {
        kafka
            .produce(topic, parts.next().unwrap().iter().cloned())
            .unwrap()
    };

    produce();
    let files = ["a", "b"].map(|name| member(kafka, folder.path(), name, topic));
    let (a, a_url) = serve(&files[0]);
    until("one writer has all partitions", || {
        (partitions_of(&a_url) == 4).then_some(())
    });
    let (mut b, b_url) = serve(&files[1]);
    until("they share", || {
        (partitions_of(&a_url) == 2 && partitions_of(&b_url) == 2).then_some(())
    });

    // One is killed with rows in memory; the other takes over what it had.
    produce();
    std::thread::sleep(Duration::from_millis(300));
    let (status, _, said) = a.signal("KILL");
    assert_eq!(status, None, "{said}");
    assert!(
        said.contains("partitions revoked; committing what was read"),
        "{said}"
    );
    produce();
    until("the other takes over", || {
        (partitions_of(&b_url) == 4).then_some(())
    });

    // It comes back; the other one is paused until its partitions are given away, then goes on.
    let (mut a, a_url) = serve(&files[0]);
    until("they share again", || {
        (partitions_of(&a_url) == 2 && partitions_of(&b_url) == 2).then_some(())
    });
    produce();
    std::thread::sleep(Duration::from_millis(250));
    b.send("STOP");
    produce();
    until("the first takes over", || {
        (partitions_of(&a_url) == 4).then_some(())
    });
    b.send("CONT");
    b.await_said("partitions lost; what of them is not committed is dropped");
    until("they share a third time", || {
        (partitions_of(&a_url) == 2 && partitions_of(&b_url) == 2).then_some(())
    });
    produce();

    let handed = all_of(kafka, topic, 4);
    for url in [&a_url, &b_url] {
        await_committed(url, "/pair#1", &handed);
        check_each_once(url, "/pair#1", &handed);
        check_stored(url, &truth);
        check_truth(url, &truth);
    }
    assert_eq!(metric(&b_url, "linkfunnel_ingest_lost_ranges_total"), 0);
    let copies = number(
        &a_url,
        "select coalesce(sum(removed_rows), 0) from removed_rows",
    );
    assert!(copies > 0, "compaction ran under ingest");
    assert!(a.is_alive() && b.is_alive());
    for server in [a, b] {
        let (status, _, said) = server.end();
        assert_eq!(status, Some(0), "{said}");
    }
    let (_reader, url) = reader_of(folder.path());
    let (rows, rejects) = check_each_once(&url, "/pair#1", &handed);
    check_truth(&url, &truth);
    println!(
        "two writers: {} messages, {rows} rows, {rejects} rejects, {copies} copies removed",
        records.len()
    );
}

#[test]
fn a_broker_that_is_stopped_and_started_under_ingest_loses_nothing() {
    let Some(mut kafka) = KafkaCluster::start_or_skip(1) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    kafka.create_topic("events", 2, &[]).unwrap();
    let (records, truth) = generated(12, 4_000);
    let (first, second) = records.split_at(records.len() / 2);
    let (mut server, url) = serve(&config(folder.path(), "a", &reads(&kafka, "events", "")));
    kafka.produce("events", first.iter().cloned()).unwrap();
    until("something is here", || {
        (number(&url, "select count(*) from events_raw") > 0).then_some(())
    });
    kafka.stop_broker(1).unwrap();
    server.await_said("Kafka is in trouble; reading goes on when it is back");
    let seen = number(&url, "select count(*) from events");
    assert!(
        seen > 0 && get(&format!("{url}/healthz")).0 == 200,
        "it answers all the while"
    );
    kafka.start_broker(1).unwrap();
    kafka.produce("events", second.iter().cloned()).unwrap();
    let handed = all_of(&kafka, "events", 2);
    await_committed(&url, "/events#1", &handed);
    let (rows, rejects) = check_each_once(&url, "/events#1", &handed);
    check_stored(&url, &truth);
    check_truth(&url, &truth);
    until("it has caught up", || {
        (get(&format!("{url}/readyz/caught-up")).0 == 200).then_some(())
    });
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
    println!(
        "broker stopped and started: {} messages, {rows} rows, {rejects} rejects",
        records.len()
    );
}

#[test]
fn one_of_three_brokers_lost_for_good_loses_no_message() {
    let Some(mut kafka) = KafkaCluster::start_or_skip(3) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    kafka.create_topic("events", 3, &[]).unwrap();
    let (records, truth) = generated(13, 4_000);
    let (first, second) = records.split_at(records.len() / 2);
    let (server, url) = serve(&config(folder.path(), "a", &reads(&kafka, "events", "")));
    kafka.produce("events", first.iter().cloned()).unwrap();
    until("something is here", || {
        (number(&url, "select count(*) from events_raw") > 0).then_some(())
    });
    kafka.kill_broker(1).unwrap();
    kafka.produce("events", second.iter().cloned()).unwrap();
    let handed = all_of(&kafka, "events", 3);
    await_committed(&url, "/events#1", &handed);
    let (rows, rejects) = check_each_once(&url, "/events#1", &handed);
    check_stored(&url, &truth);
    check_truth(&url, &truth);
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("Kafka is in trouble"), "{said}");
    println!(
        "one of three brokers lost: {} messages, {rows} rows, {rejects} rejects",
        records.len()
    );
}

#[test]
fn a_topic_deleted_and_made_again_under_ingest_is_a_new_generation_and_both_are_there() {
    let Some(kafka) = KafkaCluster::shared_or_skip() else {
        return;
    };
    let (folder, topic) = (tempfile::tempdir().unwrap(), "again");
    kafka.create_topic(topic, 2, &[]).unwrap();
    let (mut server, url) = serve(&config(folder.path(), "a", &reads(kafka, topic, "")));
    let mut generations: Vec<Handed> = Vec::new();
    // More messages than were read, then fewer, then more again: whatever the new ends are, it is noticed. Where there are
    // more the server must not see the topic while it is empty: its old offset exists in the new topic.
    for (generation, messages) in [(1, 40), (2, 150), (3, 10), (4, 60)] {
        if messages > 10 {
            server.send("STOP");
        }
        if generation > 1 {
            kafka.delete_topic(topic).unwrap();
            kafka.create_topic(topic, 2, &[]).unwrap();
        }
        let ids = generation * 10_000;
        kafka
            .produce(
                topic,
                (0..2).flat_map(|p| {
                    let ids = ids + u64::try_from(p).unwrap() * 1_000;
                    events_to(p, ids..ids + messages)
                }),
            )
            .unwrap();
        server.send("CONT");
        let handed = all_of(kafka, topic, 2);
        await_committed(&url, &format!("/again#{generation}"), &handed);
        generations.push(handed);
    }
    for (generation, handed) in (1..).zip(&generations) {
        check_each_once(&url, &format!("/again#{generation}"), handed);
    }
    assert_eq!(
        number(&url, "select count(distinct event_id) from events"),
        2 * (40 + 150 + 10 + 60)
    );
    assert_eq!(metric(&url, "linkfunnel_ingest_generations_total"), 3);
    let said = server.said();
    let loudly = said.lines().filter(|line| {
        line.contains("ERROR")
            && line.contains("the topic was deleted and made again: a new generation begins")
    });
    assert_eq!(loudly.count(), 3, "{said}");
}

#[test]
fn messages_that_retention_took_before_they_were_read_are_named_and_the_rest_goes_on() {
    let Some(kafka) = KafkaCluster::shared_or_skip() else {
        return;
    };
    let (folder, topic) = (tempfile::tempdir().unwrap(), "overrun");
    kafka.create_topic(topic, 2, &[]).unwrap();
    kafka
        .produce(topic, events_to(0, 0..50).chain(events_to(1, 100..150)))
        .unwrap();
    let (server, url) = serve(&config(folder.path(), "a", &reads(kafka, topic, "")));
    await_committed(&url, "/overrun#1", &all_of(kafka, topic, 2));
    assert_eq!(server.end().0, Some(0));
    kafka
        .produce(topic, events_to(0, 200..300).chain(events_to(1, 300..400)))
        .unwrap();
    kafka.delete_records(topic, 0, 80).unwrap();

    let (mut server, url) = serve(&config(folder.path(), "a", &reads(kafka, topic, "")));
    server.await_said("retention took messages before they were read; they are lost to us");
    let named = |said: &str| {
        let words = ["ERROR", "partition=0", "first=50", "last=79"];
        said.lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
    };
    assert!(named(&server.said()), "{}", server.said());
    let (low, high) = kafka.watermarks(topic, 1).unwrap();
    await_committed(&url, "/overrun#1", &[(0, 0..50), (1, low..high)].into());
    let (status, why) = get(&format!("{url}/readyz/caught-up"));
    assert!(
        status == 503 && why.contains("messages 50 to 79 were gone before they were read"),
        "{why}"
    );
    assert_eq!(metric(&url, "linkfunnel_ingest_lost_ranges_total"), 1);
    assert_eq!(metric(&url, "linkfunnel_ingest_lost_offsets_total"), 30);
    assert_eq!(
        number(
            &url,
            "select max(_offset) from events_raw where _partition = 0"
        ),
        49,
        "it waits for a decision"
    );
    assert_eq!(server.end().0, Some(0));

    let goes_on = reads(kafka, topic, "on_lost_range = \"continue\"");
    let (mut server, url) = serve(&config(folder.path(), "a", &goes_on));
    server.await_said("retention took messages before they were read; they are lost to us");
    assert!(named(&server.said()), "{}", server.said());
    until("it goes on behind the gap", || {
        (number(
            &url,
            "select coalesce(max(committed_offset), 0) from ingest_offsets where _partition = 0",
        ) == 149)
            .then_some(())
    });
    let rows = sql(
        &url,
        "select _partition p, count(*) n, count(distinct _offset) d, sum(case when _partition = 0 and _offset between 50 and 79 then 1 else 0 end) lost from events_raw group by 1 order by 1",
    );
    let expected = serde_json::json!([{"p": 0, "n": 120, "d": 120, "lost": 0}, {"p": 1, "n": 150, "d": 150, "lost": 0}]);
    assert_eq!(Json::from(rows), expected);
    assert_eq!(metric(&url, "linkfunnel_ingest_lost_offsets_total"), 30);
    until("it has caught up", || {
        (get(&format!("{url}/readyz/caught-up")).0 == 200).then_some(())
    });
}

/// Counts until told to stop; every look must show no fewer than the one before, and no event twice.
fn watch(url: &str, stop: &AtomicBool) -> (usize, i64) {
    let (mut looks, mut last) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match try_sql(
            url,
            "select count(*) n, count(distinct event_id) d from events",
        ) {
            Ok(rows) => {
                let (n, d) = (
                    rows[0]["n"].as_i64().unwrap(),
                    rows[0]["d"].as_i64().unwrap(),
                );
                assert_eq!(n, d, "{url}: look {looks} shows an event twice");
                assert!(
                    n >= last,
                    "{url}: look {looks} shows {n} events after {last}"
                );
                (looks, last) = (looks + 1, n);
            }
            Err(why) => panic!("{url}: look {looks}: {why}"),
        }
        std::thread::sleep(Duration::from_millis(50).saturating_sub(begun.elapsed()));
    }
    (looks, last)
}

#[test]
fn a_reader_that_counts_all_the_time_never_sees_a_gap_or_a_duplicate() {
    let Some(kafka) = KafkaCluster::shared_or_skip() else {
        return;
    };
    let (folder, topic) = (tempfile::tempdir().unwrap(), "watched");
    kafka.create_topic(topic, 4, &[]).unwrap();
    let (a, a_url) = serve(&member(kafka, folder.path(), "a", topic));
    until("it reads", || (partitions_of(&a_url) == 4).then_some(()));
    let (stop_a, stop_b) = (AtomicBool::new(false), AtomicBool::new(false));
    let (seen_a, seen_b, b, b_url, total) = std::thread::scope(|scope| {
        // Each producing round carries copies of the round before, so that compaction has something to drop.
        let produced = scope.spawn(|| {
            let round = |n: u64| {
                let new = (n * 100..n * 100 + 100)
                    .map(|id| event(id).partition(i32::try_from(id % 4).unwrap()));
                let copies = (n.saturating_sub(1) * 100..n * 100).step_by(5);
                let copies =
                    copies.map(|id| event(id).partition(i32::try_from((id + 1) % 4).unwrap()));
                kafka.produce(topic, new.chain(copies)).unwrap();
            };
            let begun = Instant::now();
            let mut rounds = 0;
            while begun.elapsed() < Duration::from_secs(20) {
                round(rounds);
                rounds += 1;
                std::thread::sleep(Duration::from_millis(200));
            }
            i64::try_from(rounds * 100).unwrap()
        });
        let on_a = scope.spawn(|| watch(&a_url, &stop_a));
        std::thread::sleep(Duration::from_secs(4));
        // Another writer comes: two partitions change hands in good order.
        let (b, b_url) = serve(&member(kafka, folder.path(), "b", topic));
        let watched = b_url.clone();
        let stop_b = &stop_b;
        let on_b = scope.spawn(move || watch(&watched, stop_b));
        until("they share", || {
            (partitions_of(&a_url) == 2 && partitions_of(&b_url) == 2).then_some(())
        });
        std::thread::sleep(Duration::from_secs(3));
        // And the first leaves in good order.
        stop_a.store(true, Ordering::Relaxed);
        let seen_a = on_a.join().unwrap();
        assert_eq!(a.end().0, Some(0));
        until("the second has all", || {
            (partitions_of(&b_url) == 4).then_some(())
        });
        let total = produced.join().unwrap();
        await_committed(&b_url, "/watched#1", &all_of(kafka, topic, 4));
        until("all is visible", || {
            (number(&b_url, "select count(*) from events") == total).then_some(())
        });
        stop_b.store(true, Ordering::Relaxed);
        (seen_a, on_b.join().unwrap(), b, b_url, total)
    });
    assert!(seen_a.0 > 20 && seen_b.0 > 20, "{seen_a:?} {seen_b:?}");
    assert_eq!(seen_b.1, total);
    check_each_once(&b_url, "/watched#1", &all_of(kafka, topic, 4));
    let removed = number(
        &b_url,
        "select coalesce(sum(removed_rows), 0) from removed_rows",
    );
    assert!(removed > 0, "compaction dropped copies meanwhile");
    assert_eq!(b.end().0, Some(0));
    println!(
        "watched {} and {} times, {total} events, {removed} copies removed",
        seen_a.0, seen_b.0
    );
}
