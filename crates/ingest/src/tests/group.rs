//! Several processes share the partitions of a topic.

use super::world::*;
use crate::{CommitOptions, KafkaConfig};

fn member(broker: &linkfunnel_testkit::broker::EmbeddedBroker) -> KafkaConfig {
    let config = config(broker);
    let commit = CommitOptions {
        shared_table: true,
        ..config.commit
    };
    // The embedded broker waits a session's time for everybody to come back.
    let properties = vec![
        ("session.timeout.ms".into(), "6000".into()),
        ("heartbeat.interval.ms".into(), "300".into()),
    ];
    KafkaConfig {
        group: Some("writers".into()),
        commit,
        properties,
        ..config
    }
}

fn attached(reading: &Reading) -> usize {
    reading.handle.status().partitions.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_change_hands_in_order_lose_and_double_nothing() {
    let (folder, broker) = (tempfile::tempdir().unwrap(), broker(4));
    let batch =
        |from: u64| (from..from + 400).map(|i| (i32::try_from(i % 4).unwrap(), Some(event(i))));
    let mut handed = produce(&broker, batch(0)).await;
    let one = Reading::start(member(&broker), open(folder.path()).await);
    until("the first has all partitions", || attached(&one) == 4).await;
    one.until_caught_up().await;
    let other = Reading::start(member(&broker), open(folder.path()).await);
    until("they share", || {
        attached(&one) == 2 && attached(&other) == 2
    })
    .await;
    handed.extend(produce(&broker, batch(1_000)).await);
    until("both commit their share", || {
        let statuses = [one.handle.status(), other.handle.status()];
        let committed =
            |s: &crate::IngestStatus| s.partitions.iter().all(|p| p.committed == Some(199));
        statuses
            .iter()
            .all(|s| s.partitions.len() == 2 && committed(s))
    })
    .await;
    let stream = one.handle.status().stream;
    one.stop().await.unwrap();
    handed.extend(produce(&broker, batch(2_000)).await);
    until("the second has taken over", || attached(&other) == 4).await;
    other
        .until_committed(&[(0, 299), (1, 299), (2, 299), (3, 299)])
        .await;
    assert!(
        other
            .metrics
            .rebalances
            .with_label_values(&["assign"])
            .get()
            >= 1
    );
    other.stop().await.unwrap();
    assert_each_once(&open(folder.path()).await, &stream, &handed).await;
}
