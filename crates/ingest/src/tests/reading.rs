//! A topic into the table, and on from there.

use linkfunnel_store::Relation;

use super::world::*;
use crate::{Limits, TooManyBad};

#[tokio::test(flavor = "multi_thread")]
async fn every_message_ends_once_as_event_or_reject_and_a_restart_goes_on_from_there() {
    let (folder, broker) = (tempfile::tempdir().unwrap(), broker(3));
    let messages = (0..900u64).map(|i| {
        let payload = match i % 9 {
            0 => Some(b"not JSON".to_vec()),
            1 => None,
            2 => Some(Vec::new()),
            _ => Some(event(i)),
        };
        (i32::try_from(i % 3).unwrap(), payload)
    });
    let mut handed = produce(&broker, messages).await;
    let reading = Reading::start(config(&broker), open(folder.path()).await);
    reading.until_caught_up().await;
    let stream = reading.handle.status().stream;
    assert!(
        stream.starts_with("kafka:") && stream.ends_with("/events#1"),
        "{stream}"
    );
    assert_each_visible(&reading, &handed).await;
    let store = reading.store.clone();
    reading.stop().await.unwrap();
    assert_each_once(&store, &stream, &handed).await;
    assert_eq!(store.view().hot_rows(), 0);

    handed.extend(
        produce(
            &broker,
            (0..300i32).map(|i| (i % 3, Some(event(5_000 + u64::from(i.unsigned_abs()))))),
        )
        .await,
    );
    let reading = Reading::start(config(&broker), open(folder.path()).await);
    reading.until_caught_up().await;
    assert_eq!(
        reading.handle.status().stream,
        stream,
        "the same topic stays the same stream"
    );
    assert_eq!(reading.metrics.generations.get(), 0);
    let store = reading.store.clone();
    reading.stop().await.unwrap();
    assert_each_once(&store, &stream, &handed).await;
    let codes: std::collections::BTreeSet<String> = rows(&store, Relation::Rejects, "reject_code")
        .await
        .into_iter()
        .map(|mut r| r.remove(0))
        .collect();
    assert_eq!(
        codes.into_iter().collect::<Vec<_>>(),
        ["empty", "not_json", "tombstone"]
    );
}

/// Everything is queryable when the reader says so, committed or not.
async fn assert_each_visible(reading: &Reading, handed: &[(i32, i64)]) {
    let events = rows(&reading.store, Relation::EventsRaw, "_offset")
        .await
        .len();
    let rejects = rows(&reading.store, Relation::Rejects, "_offset")
        .await
        .len();
    assert_eq!(events + rejects, handed.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_five_megabytes_becomes_a_dead_letter_and_the_stream_goes_on() {
    let (folder, broker) = (tempfile::tempdir().unwrap(), broker(1));
    let mut config = config(&broker);
    config
        .properties
        .push(("fetch.message.max.bytes".into(), "10000000".into()));
    let reading = Reading::start(config, open(folder.path()).await);
    let big = produce(&broker, [(0, Some(vec![b'x'; 4_900_000]))]).await;
    reading.until_committed(&big).await;
    let after = produce(&broker, [(0, Some(event(1)))]).await;
    reading.until_committed(&after).await;
    let rejects = rows(
        &reading.store,
        Relation::Rejects,
        "reject_code, reject_detail",
    )
    .await;
    assert_eq!(rejects.len(), 1);
    assert_eq!(rejects[0][0], "too_large");
    assert!(
        rejects[0][1].contains("first 65536 are kept"),
        "{:?}",
        rejects[0]
    );
    reading.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watermark_follows_the_clock_at_the_end_of_a_quiet_topic() {
    let (folder, broker) = (tempfile::tempdir().unwrap(), broker(2));
    produce(&broker, [(0, Some(event(1)))]).await;
    let began_us = clock()();
    let reading = Reading::start(config(&broker), open(folder.path()).await);
    let watermark = || reading.store.view().watermark_us.unwrap_or(0);
    until("the end was met", || watermark() >= began_us).await;
    let (first, commits) = (
        watermark(),
        reading.metrics.commit_seconds.get_sample_count(),
    );
    until("the watermark moves on", || watermark() > first + 1_000_000).await;
    assert!(watermark() <= clock()(), "never ahead of the clock");
    let later = reading.metrics.commit_seconds.get_sample_count();
    assert!(later <= commits.max(1), "nothing is committed while idle");
    reading.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_little_memory_reading_pauses_and_nothing_is_lost() {
    let (folder, broker) = (tempfile::tempdir().unwrap(), broker(2));
    let handed = produce(
        &broker,
        (0..600u64).map(|i| (i32::try_from(i % 2).unwrap(), Some(event(i)))),
    )
    .await;
    let mut config = config(&broker);
    config.limits = Limits {
        memory_bytes: 20_000,
        seal_bytes: 5_000,
        ..config.limits
    };
    let reading = Reading::start(config, open(folder.path()).await);
    reading.until_committed(&[(0, 299), (1, 299)]).await;
    let (stream, store) = (reading.handle.status().stream, reading.store.clone());
    until("it goes on", || reading.metrics.paused.get() == 0).await;
    reading.stop().await.unwrap();
    assert_each_once(&store, &stream, &handed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_bad_input_stops_the_stream_loudly_after_committing_it() {
    let (folder, broker) = (tempfile::tempdir().unwrap(), broker(1));
    let handed = produce(&broker, (0..200).map(|_| (0, Some(b"nonsense".to_vec())))).await;
    let mut config = config(&broker);
    config.too_many_bad = Some(TooManyBad {
        percent: 50.0,
        seconds: 60,
        at_least: 100,
    });
    let reading = Reading::start(config, open(folder.path()).await);
    let store = reading.store.clone();
    let error = reading.handle.join().await.unwrap_err();
    assert!(error.to_string().contains("messages are bad"), "{error}");
    let dead = rows(&store, Relation::Rejects, "_offset").await.len();
    assert!(
        dead >= 100 && dead <= handed.len(),
        "{dead} dead letters are kept"
    );
}
