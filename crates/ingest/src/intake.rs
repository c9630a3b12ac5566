//! Events offered over HTTP: decoded and told apart here, then written to where ingest reads.
//!
//! With Kafka they are produced with acks=all and answered after the ack; without, they are
//! appended to the local log and answered after its fsync. What is written holds no secret: events
//! after decoding and pseudonyms, refused ones sealed with the tenant's key.
//!
//! **Refused events become dead letters too**, although their sender is told: senders that only log
//! a 200 would lose them otherwise, and after a rule is mended they can be replayed. Suppressed
//! ones (consent denied, empty) are only told, nothing of them is kept.
//!
//! `duplicate` is best effort, from what this process took in lately; it drops nothing. Every copy
//! is written, and the table's scan counts copies once, exactly.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use linkfunnel_model::{Clock, Defaults, Event, Refusal, decode, root};
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use serde::Serialize;

use crate::Fault;
use crate::decode::{envelope, reject, too_many_tenants};
use crate::error::{Error, Result};
use crate::local_log::{LocalLog, LogRecord};
use crate::metrics::IngestMetrics;
use crate::recent::{MAX_RECENT, Recent, copy_key};
use crate::vault::Vault;

/// How long an event may wait for room in the producer's queue.
const QUEUE_WITHIN: Duration = Duration::from_secs(5);
/// How long Kafka may take to acknowledge, in ms; then the sender is told to try again.
const DELIVERY_TIMEOUT_MS: &str = "20000";

/// Refused events larger than this keep only their beginning: sealed and written as text they must
/// fit into what a broker takes by default (1 MB).
const MAX_REFUSED_BYTES: usize = 512 * 1024;

/// What became of an offered event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Written durably.
    Accepted,
    /// Written durably, and known to have been taken in before: it changes no answer.
    Duplicate,
    /// Refused for this reason, and kept as a dead letter unless it is suppressed.
    Rejected(Refusal),
}

/// Where an intake with Kafka produces to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KafkaTarget {
    /// `host:port,…`.
    pub brokers: String,
    /// The topic, which must exist or be creatable.
    pub topic: String,
    /// Further librdkafka properties, such as `security.protocol`.
    pub properties: Vec<(String, String)>,
}

/// Bounds and hooks of an intake.
#[derive(Clone)]
pub struct IntakeOptions {
    /// Events remembered for the verdict `duplicate`. Default [`MAX_RECENT`].
    pub recent: usize,
    /// Called with `after_append` between the durable write and the answer.
    pub fault: Option<Fault>,
}

impl Default for IntakeOptions {
    fn default() -> Self {
        IntakeOptions {
            recent: MAX_RECENT,
            fault: None,
        }
    }
}

enum Target {
    Log(LocalLog),
    Kafka {
        producer: FutureProducer,
        topic: String,
    },
}

/// Takes events in over HTTP.
pub struct Intake {
    target: Target,
    vault: Arc<Vault>,
    metrics: Arc<IngestMetrics>,
    clock: Clock,
    recent: Mutex<Recent>,
    fault: Option<Fault>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

/// One message on its way out.
struct Outgoing {
    tenant: String,
    /// Tenant and coarsest id: events of one root stay in order. `None` for rejects.
    key: Option<String>,
    bytes: Vec<u8>,
}

impl Intake {
    /// An intake that appends to the local log.
    pub fn local(
        log: LocalLog,
        vault: Arc<Vault>,
        metrics: Arc<IngestMetrics>,
        clock: Clock,
        options: IntakeOptions,
    ) -> Intake {
        Intake::new(Target::Log(log), vault, metrics, clock, options)
    }

    /// An intake that produces to Kafka. Does not wait for the broker.
    pub fn kafka(
        target: &KafkaTarget,
        vault: Arc<Vault>,
        metrics: Arc<IngestMetrics>,
        clock: Clock,
        options: IntakeOptions,
    ) -> Result<Intake> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &target.brokers)
            .set("client.id", "linkfunnel-intake")
            .set("linger.ms", "2")
            .set("delivery.timeout.ms", DELIVERY_TIMEOUT_MS);
        for (name, value) in &target.properties {
            config.set(name, value);
        }
        // Not for the configuration to weaken.
        config.set("acks", "all").set("enable.idempotence", "true");
        let producer: FutureProducer = config
            .create()
            .map_err(|e| Error::kafka("making the producer", e))?;
        let target = Target::Kafka {
            producer,
            topic: target.topic.clone(),
        };
        Ok(Intake::new(target, vault, metrics, clock, options))
    }

    fn new(
        target: Target,
        vault: Arc<Vault>,
        metrics: Arc<IngestMetrics>,
        clock: Clock,
        options: IntakeOptions,
    ) -> Intake {
        let recent = Mutex::new(Recent::new(options.recent));
        Intake {
            target,
            vault,
            metrics,
            clock,
            recent,
            fault: options.fault,
        }
    }

    /// Takes in events, each the JSON of one event, and answers for each in the same order once
    /// all are written durably. `defaults` fill in what an event is silent about and name the
    /// tenant that refused ones belong to.
    ///
    /// # Errors
    /// When they could not be written, as a whole: some may have been. Offering all of them again
    /// is safe.
    pub async fn accept(&self, defaults: &Defaults<'_>, events: &[&[u8]]) -> Result<Vec<Verdict>> {
        let now_us = (self.clock)();
        let decoded = events
            .iter()
            .map(|json| (decode(json, defaults, now_us), *json))
            .collect();
        self.accept_decoded(defaults, decoded, now_us).await
    }

    /// As [`Intake::accept`], for events that were decoded already; each comes with the bytes that
    /// are kept when it was refused.
    pub async fn accept_decoded(
        &self,
        defaults: &Defaults<'_>,
        events: Vec<(Result<Event<'_>, Refusal>, &[u8])>,
        now_us: i64,
    ) -> Result<Vec<Verdict>> {
        let mut verdicts = Vec::with_capacity(events.len());
        let mut outgoing = Vec::with_capacity(events.len());
        let mut keys = HashSet::with_capacity(events.len());
        for (decoded, bytes) in events {
            let decoded = match decoded {
                Ok(event) => self.pseudonymised(event)?,
                Err(refusal) => Err(refusal),
            };
            verdicts.push(match decoded {
                Ok(event) => {
                    let key = copy_key(&event);
                    let known = !keys.insert(key) || self.recent.lock().contains(key);
                    outgoing.push(message(&event));
                    if known {
                        Verdict::Duplicate
                    } else {
                        Verdict::Accepted
                    }
                }
                Err(refusal) => {
                    if !refusal.is_suppressed() {
                        outgoing.push(self.dead_letter(&defaults.tenant, &refusal, bytes)?);
                    }
                    Verdict::Rejected(refusal)
                }
            });
        }
        if !outgoing.is_empty() {
            self.write(outgoing, now_us).await?;
        }
        if let Some(fault) = &self.fault {
            fault("after_append");
        }
        let mut recent = self.recent.lock();
        for key in keys {
            recent.insert(key);
        }
        drop(recent);
        self.count(&verdicts);
        Ok(verdicts)
    }

    fn pseudonymised<'a>(&self, mut event: Event<'a>) -> Result<Result<Event<'a>, Refusal>> {
        match self.vault.apply(&mut event) {
            Ok(()) => Ok(Ok(event)),
            Err(Error::TooManyTenants { limit }) => Ok(Err(too_many_tenants(limit))),
            Err(error) => Err(error),
        }
    }

    fn dead_letter(&self, tenant: &str, refusal: &Refusal, bytes: &[u8]) -> Result<Outgoing> {
        let reject = reject(
            &self.vault,
            tenant,
            refusal.clone(),
            bytes,
            MAX_REFUSED_BYTES,
        )?;
        Ok(Outgoing {
            tenant: tenant.to_owned(),
            key: None,
            bytes: envelope(&reject),
        })
    }

    async fn write(&self, outgoing: Vec<Outgoing>, now_us: i64) -> Result<()> {
        match &self.target {
            Target::Log(log) => {
                let record = |o: Outgoing| LogRecord {
                    tenant: o.tenant,
                    arrived_at_us: now_us,
                    bytes: o.bytes,
                };
                log.append(outgoing.into_iter().map(record).collect())
                    .await?;
            }
            Target::Kafka { producer, topic } => {
                let sends = outgoing.iter().map(|o| async move {
                    let mut record = FutureRecord::to(topic).payload(&o.bytes);
                    if let Some(key) = &o.key {
                        record = record.key(key);
                    }
                    producer.send(record, QUEUE_WITHIN).await
                });
                for sent in futures::future::join_all(sends).await {
                    sent.map_err(|(e, _)| Error::kafka(format!("producing to {topic}"), e))?;
                }
            }
        }
        Ok(())
    }

    fn count(&self, verdicts: &[Verdict]) {
        for verdict in verdicts {
            let label = match verdict {
                Verdict::Accepted => "accepted",
                Verdict::Duplicate => "duplicate",
                Verdict::Rejected(_) => "rejected",
            };
            self.metrics.intake.with_label_values(&[label]).inc();
        }
    }

    /// Waits, at most `within`, until everything produced has been acknowledged. Blocks.
    pub fn flush(&self, within: Duration) {
        if let Target::Kafka { producer, .. } = &self.target
            && let Err(error) = producer.flush(within)
        {
            tracing::warn!(
                error = Error::kafka("flushing the producer", error).chain(),
                "not everything was acknowledged"
            );
        }
    }

    pub(crate) fn now_us(&self) -> i64 {
        (self.clock)()
    }
}

fn message(event: &Event<'_>) -> Outgoing {
    let mut bytes = Vec::with_capacity(512);
    event.to_json(&mut bytes);
    let tenant = event.tenant().to_owned();
    let key = root(event).map(|(kind, id)| format!("{tenant}/{}/{id}", kind.as_str()));
    Outgoing { tenant, key, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_790_000_000_000_000;

    struct Bench {
        _folder: tempfile::TempDir,
        log: LocalLog,
        intake: Intake,
    }

    fn bench(recent: usize) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let log = LocalLog::open(&folder.path().join("log.redb")).unwrap();
        let intake = Intake::local(
            log.clone(),
            Arc::new(Vault::from_secret(b"s", &[])),
            Arc::new(IngestMetrics::new(&prometheus::Registry::new()).unwrap()),
            Arc::new(|| NOW_US),
            IntakeOptions {
                recent,
                fault: None,
            },
        );
        Bench {
            _folder: folder,
            log,
            intake,
        }
    }

    fn event(id: &str) -> Vec<u8> {
        format!(r#"{{"event_id":"{id}","event":"attempt.opened","occurred_at":"2026-01-01T00:00:00Z","user_id":"ann","email":"ann@example.com"}}"#)
            .into_bytes()
    }

    async fn offer(bench: &Bench, events: &[Vec<u8>]) -> Vec<Verdict> {
        let events: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
        bench
            .intake
            .accept(&Defaults::default(), &events)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn an_event_is_accepted_once_and_then_known_and_every_copy_is_written() {
        let bench = bench(100);
        let first = offer(&bench, &[event("a"), event("b"), event("a")]).await;
        assert_eq!(
            first,
            [Verdict::Accepted, Verdict::Accepted, Verdict::Duplicate]
        );
        assert_eq!(offer(&bench, &[event("b")]).await, [Verdict::Duplicate]);
        assert_eq!(bench.log.end(), 4);
    }

    #[tokio::test]
    async fn what_is_written_holds_neither_ids_nor_secrets() {
        let bench = bench(100);
        offer(
            &bench,
            &[event("a"), b"ann@example.com is not JSON".to_vec()],
        )
        .await;
        for entry in bench.log.read(0, 1 << 20).unwrap() {
            let text = String::from_utf8(entry.record.bytes).unwrap();
            assert!(
                !text.contains("ann@example.com") && !text.contains("\"ann\""),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_refused_event_is_told_and_kept_and_a_suppressed_one_only_told() {
        let bench = bench(100);
        let denied = br#"{"event_id":"e","event":"attempt.opened","occurred_at":"2026-01-01T00:00:00Z","user_id":"u","privacy":{"analytics_consent":"denied"}}"#;
        let verdicts = offer(&bench, &[b"{".to_vec(), denied.to_vec()]).await;
        let codes: Vec<&str> = verdicts
            .iter()
            .map(|v| match v {
                Verdict::Rejected(refusal) => refusal.code,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(codes, ["not_json", "consent_denied"]);
        assert_eq!(bench.log.end(), 1);
    }
}
