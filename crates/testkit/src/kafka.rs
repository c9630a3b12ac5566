//! A real Apache Kafka for tests: brokers as processes, in folders of their own, that can be killed, stopped, paused and
//! started again.
//!
//! It runs on the jars that `tests/run` fetches, found through the environment variable `LINKFUNNEL_KAFKA_LIBS`, and on `java`.
//! Where one of them is missing [`KafkaCluster::start_or_skip`] says so in the test's output and in the summary of `tests/run`;
//! with `CI=true` it panics instead.
//!
//! Nothing here sleeps for a guessed time: what is waited for is a condition, with a limit. Calls block the thread. Everything
//! started is ended when the [`KafkaCluster`] is dropped, or when the test's process goes away in whatever manner, by process
//! id. When a test panics, the last lines of each broker's log are printed.

mod clients;
mod error;
mod jars;
mod node;
mod properties;

use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;
use tempfile::TempDir;

pub use self::clients::{Ending, Message, Position, Record};
pub use self::error::Error;
pub use self::jars::Skipped;
use self::node::Node;

/// How long a broker may take until it answers, s. Alone it needs 4–15 s; the machine may be busy.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Lines of each broker's log that a panicking test prints.
const LOG_LINES_SHOWN: usize = 40;

type Result<T, E = Error> = std::result::Result<T, E>;

/// Brokers of one cluster (KRaft: each is controller, too), with ids from 1.
pub struct KafkaCluster {
    nodes: Vec<Node>,
    admin: AdminClient<DefaultClientContext>,
    /// Held for its end: the brokers' folders go with it.
    _folder: TempDir,
}

impl KafkaCluster {
    /// The folder with Kafka's jars, or why real Kafka cannot be had here.
    pub fn available() -> Result<PathBuf, Skipped> {
        jars::available()
    }

    /// A cluster of `brokers` brokers, ready for clients; `None` where real Kafka cannot be had, having said so.
    ///
    /// # Panics
    /// With `CI=true` where real Kafka cannot be had, and wherever it does not start: a test cannot go on without it.
    #[must_use]
    pub fn start_or_skip(brokers: usize) -> Option<KafkaCluster> {
        if let Err(skipped) = Self::available() {
            skipped.report();
            return None;
        }
        Some(Self::start(brokers).unwrap_or_else(|error| panic!("real Kafka: {error:?}")))
    }

    /// The one broker that all tests of this process share, each with topics of its own; `None` as above.
    ///
    /// # Panics
    /// As [`KafkaCluster::start_or_skip`].
    #[must_use]
    pub fn shared_or_skip() -> Option<&'static KafkaCluster> {
        // Never dropped: the watchdog ends it with the process.
        static SHARED: OnceLock<KafkaCluster> = OnceLock::new();
        if let Err(skipped) = Self::available() {
            skipped.report();
            return None;
        }
        let start = || Self::start(1).unwrap_or_else(|error| panic!("real Kafka: {error:?}"));
        Some(SHARED.get_or_init(start))
    }

    /// Starts `brokers` brokers on free ports of the loopback and waits until they serve clients.
    pub fn start(brokers: usize) -> Result<KafkaCluster> {
        Self::start_with(brokers, &[])
    }

    /// As [`KafkaCluster::start`], with broker properties added to ours or replacing them.
    pub fn start_with(brokers: usize, properties: &[(&str, &str)]) -> Result<KafkaCluster> {
        let libs = jars::available()?;
        let folder = tempfile::Builder::new()
            .prefix("linkfunnel-kafka-")
            .tempdir()
            .map_err(|source| Error::Io {
                doing: "making a temporary folder",
                source,
            })?;
        let plans = properties::plan(brokers, folder.path(), properties)?;
        let nodes = node::format_and_start(&libs, plans)?;
        let admin = client_config(&nodes)
            .create()
            .map_err(|source| Error::Client {
                doing: "making the admin client",
                source,
            })?;
        let cluster = KafkaCluster {
            nodes,
            admin,
            _folder: folder,
        };
        for broker in 1..=brokers {
            cluster.await_ready(broker)?;
        }
        Ok(cluster)
    }

    /// `host:port,…` of all brokers, running or not, as `bootstrap.servers` wants it.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        bootstrap(&self.nodes)
    }

    /// A configuration for any client of this cluster.
    #[must_use]
    pub fn client_config(&self) -> ClientConfig {
        client_config(&self.nodes)
    }

    /// Kills broker `id` (from 1) as `kill -9` does, without a chance to write or say anything.
    pub fn kill_broker(&mut self, id: usize) -> Result<()> {
        self.nodes[id - 1].kill()
    }

    /// Stops broker `id` in good order (SIGTERM) and waits for its end.
    pub fn stop_broker(&mut self, id: usize) -> Result<()> {
        self.nodes[id - 1].stop()
    }

    /// Starts broker `id` again on its old port and folder, ending it first if it runs, and waits until it serves clients.
    pub fn restart_broker(&mut self, id: usize) -> Result<()> {
        self.nodes[id - 1].stop()?;
        self.start_broker(id)
    }

    /// Starts the killed or stopped broker `id` and waits until it serves clients.
    pub fn start_broker(&mut self, id: usize) -> Result<()> {
        self.nodes[id - 1].start()?;
        self.await_ready(id)
    }

    /// Freezes broker `id` (SIGSTOP): connections stay, nothing answers.
    pub fn pause_broker(&mut self, id: usize) -> Result<()> {
        self.nodes[id - 1].signal("STOP")
    }

    /// Lets the paused broker `id` go on (SIGCONT).
    pub fn resume_broker(&mut self, id: usize) -> Result<()> {
        self.nodes[id - 1].signal("CONT")
    }

    /// Waits until every partition has all its replicas in sync.
    pub fn await_in_sync(&self) -> Result<()> {
        let client = metadata_client(&self.client_config())?;
        self.await_metadata(&client, "all replicas in sync", |metadata| {
            metadata
                .topics()
                .iter()
                .flat_map(|topic| topic.partitions())
                .all(|partition| {
                    partition.leader() >= 0 && partition.isr().len() == partition.replicas().len()
                })
        })
    }

    /// Waits until broker `id` is up, known to the cluster, and the partitions it holds have a leader.
    fn await_ready(&self, id: usize) -> Result<()> {
        let node = &self.nodes[id - 1];
        node.await_listening(READY_WITHIN)?;
        let wanted = node.id();
        let client = metadata_client(&client_config_of(node))?;
        self.await_metadata(&client, "a broker that serves clients", |metadata| {
            metadata
                .brokers()
                .iter()
                .any(|broker| broker.id() == wanted)
                && metadata
                    .topics()
                    .iter()
                    .flat_map(|topic| topic.partitions())
                    .filter(|partition| partition.replicas().contains(&wanted))
                    .all(|partition| partition.leader() >= 0)
        })
    }

    fn await_metadata(
        &self,
        client: &BaseConsumer,
        what: &'static str,
        holds: impl Fn(&Metadata) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            // An error here means "not yet": the broker is still starting, or has no controller.
            if let Ok(metadata) = client.fetch_metadata(None, Duration::from_secs(2))
                && holds(&metadata)
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::NotInTime {
                    what,
                    within: READY_WITHIN,
                    log: self.log_tails(),
                });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn log_tails(&self) -> String {
        self.nodes
            .iter()
            .map(|node| node.log_tail(LOG_LINES_SHOWN))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Drop for KafkaCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "{}", self.log_tails());
        }
    }
}

fn bootstrap(nodes: &[Node]) -> String {
    nodes
        .iter()
        .map(Node::address)
        .collect::<Vec<_>>()
        .join(",")
}

fn client_config(nodes: &[Node]) -> ClientConfig {
    client_config_to(&bootstrap(nodes))
}

fn client_config_of(node: &Node) -> ClientConfig {
    client_config_to(&node.address())
}

fn client_config_to(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    // Tests kill brokers: come back soon instead of after librdkafka's 10 s.
    config.set("reconnect.backoff.ms", "50");
    config.set("reconnect.backoff.max.ms", "500");
    config
}

fn metadata_client(config: &ClientConfig) -> Result<BaseConsumer> {
    config.create().map_err(|source| Error::Client {
        doing: "making a metadata client",
        source,
    })
}
