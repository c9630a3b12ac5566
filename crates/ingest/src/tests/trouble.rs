//! Topics made again, retention that was faster, two writers, a storage that fails.

use std::sync::Arc;

use linkfunnel_store::{Relation, Store, StoreOptions};
use linkfunnel_testkit::faults::{Answer, Effect, FaultyStore, Operation, Rule};

use super::world::*;
use crate::{KafkaConfig, OnLostRange};

/// Two brokers that both call their cluster the same: the second has the topic made again.
fn named(config: KafkaConfig) -> KafkaConfig {
    KafkaConfig {
        cluster: Some("lab".into()),
        ..config
    }
}

async fn read_all(config: KafkaConfig, folder: &std::path::Path) -> (Store, String, u64) {
    let reading = Reading::start(config, open(folder).await);
    reading.until_caught_up().await;
    let answer = (
        reading.store.clone(),
        reading.handle.status().stream,
        reading.metrics.generations.get(),
    );
    reading.stop().await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_with_fewer_messages_begins_a_new_generation() {
    let folder = tempfile::tempdir().unwrap();
    let first = broker(1);
    let old = produce(&first, (0..20).map(|i| (0, Some(event(i))))).await;
    let (_, stream, _) = read_all(named(config(&first)), folder.path()).await;
    assert_eq!(stream, "kafka:lab/events#1");
    let second = broker(1);
    let new = produce(&second, (100..105).map(|i| (0, Some(event(i))))).await;
    let (store, stream, generations) = read_all(named(config(&second)), folder.path()).await;
    assert_eq!((stream.as_str(), generations), ("kafka:lab/events#2", 1));
    assert_each_once(&store, "kafka:lab/events#1", &old).await;
    assert_each_once(&store, "kafka:lab/events#2", &new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_with_more_messages_is_known_by_its_last_message() {
    let folder = tempfile::tempdir().unwrap();
    let first = broker(1);
    produce(&first, (0..5).map(|i| (0, Some(event(i))))).await;
    read_all(named(config(&first)), folder.path()).await;
    let second = broker(1);
    let new = produce(&second, (100..130).map(|i| (0, Some(event(i))))).await;
    let (store, stream, generations) = read_all(named(config(&second)), folder.path()).await;
    assert_eq!((stream.as_str(), generations), ("kafka:lab/events#2", 1));
    assert_each_once(&store, &stream, &new).await;
    let (_, stream, generations) = read_all(named(config(&second)), folder.path()).await;
    assert_eq!(
        (stream.as_str(), generations),
        ("kafka:lab/events#2", 0),
        "and stays what it is"
    );
}

/// The embedded broker keeps 5 MiB a partition: older messages go.
async fn overrun(on_lost_range: OnLostRange) -> (tempfile::TempDir, Reading, Vec<(i32, i64)>) {
    let (folder, broker) = (tempfile::tempdir().unwrap(), Arc::new(broker(2)));
    let first = produce(
        &broker,
        (0..10i32).map(|i| (i % 2, Some(event(u64::from(i.unsigned_abs()))))),
    )
    .await;
    read_all(config(&broker), folder.path()).await;
    let padding = vec![b'x'; 500_000];
    for _ in 0..16 {
        produce(&broker, [(0, Some(padding.clone()))]).await;
    }
    let last = produce(&broker, [(0, Some(event(77))), (1, Some(event(78)))]).await;
    let config = KafkaConfig {
        on_lost_range,
        ..config(&broker)
    };
    let reading = Reading::start(config, open(folder.path()).await);
    until("the lost range is noticed", || {
        reading.metrics.lost_ranges.get() > 0
    })
    .await;
    assert_eq!(first.len(), 10);
    // The broker must outlive the reading.
    std::mem::forget(broker);
    (folder, reading, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_lost_to_retention_is_named_and_stops_that_partition_only() {
    let (_folder, reading, last) = overrun(OnLostRange::Stop).await;
    reading.until_committed(&last[1..]).await;
    until("the range is shown", || {
        reading.handle.status().partitions[0].lost.is_some()
    })
    .await;
    let status = reading.handle.status();
    let (first, end) = status.partitions[0].lost.unwrap();
    assert_eq!(first, 5, "behind what was committed");
    assert!(end >= first && reading.metrics.lost_offsets.get() == (end - first + 1).unsigned_abs());
    assert!(!status.caught_up());
    assert_eq!(status.partitions[0].committed, Some(4));
    reading.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_go_on_behind_a_lost_range_it_does() {
    let (_folder, reading, last) = overrun(OnLostRange::Continue).await;
    reading.until_committed(&last).await;
    reading.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_read_the_same_topic_alone_write_every_message_once() {
    let (folder, broker) = (tempfile::tempdir().unwrap(), broker(2));
    let one = Reading::start(config(&broker), open(folder.path()).await);
    let other = Reading::start(config(&broker), open(folder.path()).await);
    let mut handed = Vec::new();
    for round in 0..10u64 {
        let messages =
            (0..200u64).map(|i| (i32::try_from(i % 2).unwrap(), Some(event(round * 200 + i))));
        handed.extend(produce(&broker, messages).await);
    }
    one.until_committed(&[(0, 999), (1, 999)]).await;
    other.until_caught_up().await;
    let stream = one.handle.status().stream;
    one.stop().await.unwrap();
    other.stop().await.unwrap();
    assert_each_once(&open(folder.path()).await, &stream, &handed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_fails_or_lies_for_a_while_loses_and_doubles_nothing() {
    let broker = broker(1);
    let (objects, faults) = FaultyStore::new(Arc::new(object_store::memory::InMemory::new()));
    let store = Store::with_object_store(objects, StoreOptions::default(), clock())
        .await
        .unwrap();
    faults.add(
        Rule::on(Operation::Put, "_kind=event")
            .times(9)
            .then(Effect::Refuse(Answer::DiskFull)),
    );
    faults.add(
        Rule::on(Operation::Put, "_delta_log/")
            .after(1)
            .times(2)
            .then(Effect::ApplyThen(Answer::AlreadyExists)),
    );
    let reading = Reading::start(config(&broker), store);
    let handed = produce(&broker, (0..100).map(|i| (0, Some(event(i))))).await;
    until("a commit fails", || {
        reading.metrics.commits.with_label_values(&["failed"]).get() > 0
    })
    .await;
    until("rows are visible all the same", || {
        reading.store.view().hot_rows() == 100
    })
    .await;
    until("the status says why", || {
        reading.handle.status().commit_error.is_some()
    })
    .await;
    reading.until_committed(&[(0, 99)]).await;
    let (stream, store) = (reading.handle.status().stream, reading.store.clone());
    reading.stop().await.unwrap();
    assert_each_once(&store, &stream, &handed).await;
    assert_eq!(
        rows(&store, Relation::EventsRaw, "event_id").await.len(),
        100
    );
}
