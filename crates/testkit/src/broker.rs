//! The broker that is inside the binary: librdkafka's mock cluster, real TCP on the loopback, used by the demo.
//!
//! It keeps only the last 5 MiB or 100 000 message sets of a partition, so a producer has to wait for its consumer. It knows no
//! admin requests, no TLS and no look-up by time. Everything is gone when the [`EmbeddedBroker`] is dropped.

use std::sync::mpsc;
use std::thread::JoinHandle;

use rdkafka::error::KafkaResult;
use rdkafka::mocking::MockCluster;

/// A running broker with one topic.
///
/// librdkafka's handle may not change threads, so a thread of its own holds it and waits for the end.
#[derive(Debug)]
pub struct EmbeddedBroker {
    bootstrap_servers: String,
    topic: String,
    /// Closed to end the holding thread.
    alive: Option<mpsc::Sender<()>>,
    holder: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Starts the broker on a free port of the loopback and makes `topic` with `partitions` partitions.
    pub fn start(topic: &str, partitions: i32) -> KafkaResult<EmbeddedBroker> {
        let (alive, ended) = mpsc::channel::<()>();
        let (started, start) = mpsc::channel();
        let name = topic.to_owned();
        let holder = std::thread::spawn(move || {
            let cluster = match start_cluster(&name, partitions) {
                Ok(cluster) => cluster,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let _ = started.send(Ok(cluster.bootstrap_servers()));
            // Nothing is ever sent: this returns when the other end is dropped.
            let _ = ended.recv();
        });
        let bootstrap_servers = start
            .recv()
            .expect("the thread sends one answer before it waits or ends")?;
        Ok(EmbeddedBroker {
            bootstrap_servers,
            topic: topic.to_owned(),
            alive: Some(alive),
            holder: Some(holder),
        })
    }

    /// `host:port`, as `bootstrap.servers` wants it.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.alive.take();
        if let Some(holder) = self.holder.take() {
            let _ = holder.join();
        }
    }
}

fn start_cluster(
    topic: &str,
    partitions: i32,
) -> KafkaResult<MockCluster<'static, rdkafka::producer::DefaultProducerContext>> {
    let cluster = MockCluster::new(1)?;
    cluster.create_topic(topic, partitions, 1)?;
    Ok(cluster)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::config::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::EmbeddedBroker;

    #[test]
    fn a_client_finds_the_topic_with_its_partitions() {
        let broker = EmbeddedBroker::start("events", 3).unwrap();
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", broker.bootstrap_servers())
            .create()
            .unwrap();
        let metadata = client
            .fetch_metadata(Some(broker.topic()), Duration::from_secs(10))
            .unwrap();
        assert_eq!(metadata.topics()[0].partitions().len(), 3);
    }
}
