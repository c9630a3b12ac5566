//! Reads a Kafka topic: one polling thread, positions kept by the table, never by Kafka.
//!
//! A session looks up the stream (cluster, topic, generation), takes partitions and reads. It ends
//! and begins again when the topic turns out to be another one, has more partitions, or librdkafka
//! gives up; what was read is committed first.

mod config;
mod reader;
mod rebalance;
mod session;
mod stream;

use std::sync::Arc;

use linkfunnel_model::Clock;
use linkfunnel_store::Store;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub use config::{KafkaConfig, OnLostRange, Start};

use crate::committer::Committer;
use crate::error::{Error, Result};
use crate::metrics::IngestMetrics;
use crate::status::{IngestHandle, ReaderState, StatusCell};
use crate::vault::Vault;

/// What every session of a reader shares.
#[derive(Clone)]
struct Shared {
    config: Arc<KafkaConfig>,
    committer: Arc<Committer>,
    vault: Arc<Vault>,
    metrics: Arc<IngestMetrics>,
    status: StatusCell,
    runtime: Handle,
    shutdown: CancellationToken,
}

impl Shared {
    /// Makes the table's offsets in memory as new as they can be, before partitions are taken.
    fn refresh(&self) {
        let store = self.committer.store();
        let refreshed = self
            .runtime
            .block_on(async { tokio::time::timeout(stream::ASK_WITHIN, store.refresh()).await });
        match refreshed {
            Ok(Ok(())) => {}
            // Starting too early is safe: the table leaves out what it holds.
            Ok(Err(error)) => {
                let error = Error::from(error).chain();
                tracing::warn!(error, "starting from the offsets known so far");
            }
            Err(_) => {
                tracing::warn!("the table does not answer; starting from the offsets known so far")
            }
        }
    }
}

/// Starts reading a topic into `store`, on a thread of its own, and a committer on the current
/// tokio runtime. Does not wait for the broker: see [`IngestHandle::status`]. After `shutdown`
/// everything taken in is committed, partitions are handed back, and both end.
///
/// # Panics
/// Outside a tokio runtime.
pub fn start_kafka(
    config: KafkaConfig,
    store: Store,
    vault: Arc<Vault>,
    metrics: Arc<IngestMetrics>,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<IngestHandle> {
    let mut commit = config.commit;
    commit.shared_table |= config.group.is_some();
    let committer = Committer::new(store, metrics.clone(), clock, commit);
    let shared = Shared {
        committer: Arc::new(committer),
        config: Arc::new(config),
        vault,
        metrics,
        status: StatusCell::new("the broker"),
        runtime: Handle::current(),
        shutdown,
    };
    let (committer, committing) = (shared.committer.clone(), CancellationToken::new());
    let stop_committing = committing.clone();
    shared
        .runtime
        .spawn(async move { committer.run(committing).await });
    let (end, ended) = tokio::sync::oneshot::channel();
    let status = shared.status.clone();
    std::thread::Builder::new()
        .name("ingest-kafka".into())
        .spawn(move || {
            let result = session::run(&shared);
            stop_committing.cancel();
            shared.status.state(ReaderState::Stopped {
                why: result.as_ref().err().cloned(),
            });
            // Nobody may be waiting.
            let _ = end.send(result);
        })
        .map_err(|e| Error::Stopped {
            why: format!("no thread for Kafka: {e}"),
        })?;
    Ok(IngestHandle { status, ended })
}
