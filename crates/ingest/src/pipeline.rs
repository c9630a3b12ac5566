//! Messages of one stream into sealed segments, partition by partition.
//!
//! Every message that is handed in becomes exactly one row, event or reject, at its offset; a
//! sealed segment covers all offsets from its first to its last message.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use linkfunnel_model::{Event, Field, Value};
use linkfunnel_store::{
    EventBatchBuilder, Fingerprint, HotSegment, RejectBatchBuilder, RejectKind, RejectRow,
    RowPosition, StreamPartition,
};

use crate::decode::{Interpreter, Reject, Row};
use crate::error::Result;
use crate::metrics::IngestMetrics;
use crate::quality::{Quality, TooManyBad};
use crate::recent::{Recent, copy_key};

/// One message as it comes from a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'a> {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// `None`: a tombstone.
    pub(crate) payload: Option<&'a [u8]>,
    /// When it arrived, µs since the epoch.
    pub(crate) received_at_us: i64,
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// A segment with what its commit has to say about its last message.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) segment: Arc<HotSegment>,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) bytes: usize,
}

/// Rows under construction, per partition.
pub(crate) struct Pipeline {
    stream: Arc<str>,
    interpreter: Interpreter,
    metrics: Arc<IngestMetrics>,
    quality: Quality,
    partitions: BTreeMap<i32, Building>,
    bytes: usize,
    /// Last arrivals since the last seal, per tenant and source (µs since the epoch).
    arrivals: HashMap<String, Vec<(&'static str, i64)>>,
    totals: Totals,
    reported: Totals,
    recent: Option<Recent>,
}

/// What has been taken in since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) events: u64,
    /// Of the events, those known to be copies; only counted when asked for.
    pub(crate) copies: u64,
    pub(crate) dead_letters: u64,
    pub(crate) suppressed: u64,
    pub(crate) bytes: u64,
}

struct Building {
    epoch: u64,
    events: EventBatchBuilder,
    rejects: RejectBatchBuilder,
    bytes: usize,
    first: Option<i64>,
    last: i64,
    fingerprint: Option<Fingerprint>,
}

impl Building {
    fn new(epoch: u64) -> Self {
        Building {
            epoch,
            events: EventBatchBuilder::new(),
            rejects: RejectBatchBuilder::new(),
            bytes: 0,
            first: None,
            last: -1,
            fingerprint: None,
        }
    }
}

impl Pipeline {
    pub(crate) fn new(
        stream: Arc<str>,
        interpreter: Interpreter,
        metrics: Arc<IngestMetrics>,
        too_many_bad: Option<TooManyBad>,
    ) -> Pipeline {
        Pipeline {
            stream,
            interpreter,
            metrics,
            quality: Quality::new(too_many_bad),
            partitions: BTreeMap::new(),
            bytes: 0,
            arrivals: HashMap::new(),
            totals: Totals::default(),
            reported: Totals::default(),
            recent: None,
        }
    }

    /// Counts copies from now on, among the latest `most` events.
    pub(crate) fn tell_copies_apart(&mut self, most: usize) {
        self.recent = Some(Recent::new(most));
    }

    /// What has been taken in since the start.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// Starts a partition, or starts it anew without what was not sealed.
    pub(crate) fn attach(&mut self, partition: i32, epoch: u64) {
        self.detach(partition);
        self.partitions.insert(partition, Building::new(epoch));
    }

    /// Forgets a partition and what was not sealed of it.
    pub(crate) fn detach(&mut self, partition: i32) {
        if let Some(gone) = self.partitions.remove(&partition) {
            self.bytes -= gone.bytes;
        }
    }

    /// Bytes of rows not yet sealed, estimated.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether more messages are bad than the limit allows, with the reason in words.
    pub(crate) fn too_bad(&self) -> Option<String> {
        self.quality.exceeded()
    }

    /// Takes in a message. Fails only when a key cannot be had; then the message has left no trace
    /// and can be handed in again. Messages of partitions that are not attached are ignored.
    pub(crate) fn handle(&mut self, message: Incoming<'_>) -> Result<()> {
        let Some(building) = self.partitions.get_mut(&message.partition) else {
            return Ok(());
        };
        let row = self
            .interpreter
            .row(message.payload, message.received_at_us)?;
        let at = RowPosition {
            stream: &self.stream,
            partition: message.partition,
            offset: message.offset,
            index: 0,
        };
        let before = building.events.bytes() + building.rejects.bytes();
        let dead = match &row {
            Row::Event(event) => {
                building.events.push(at, message.received_at_us, event);
                note_arrival(&mut self.arrivals, event, message.received_at_us);
                for name in event.dropped_fields() {
                    self.metrics.dropped(name);
                }
                self.totals.events += 1;
                if let Some(recent) = &mut self.recent {
                    self.totals.copies += u64::from(!recent.insert(copy_key(event)));
                }
                false
            }
            Row::Reject(reject) => {
                push_reject(&mut building.rejects, at, message.received_at_us, reject);
                self.metrics
                    .rejects
                    .with_label_values(&[&*reject.code])
                    .inc();
                match reject.kind {
                    RejectKind::DeadLetter => self.totals.dead_letters += 1,
                    RejectKind::Suppressed => self.totals.suppressed += 1,
                }
                reject.kind == RejectKind::DeadLetter
            }
        };
        let grown = building.events.bytes() + building.rejects.bytes() - before;
        building.bytes += grown;
        self.bytes += grown;
        building.first.get_or_insert(message.offset);
        building.last = message.offset;
        building.fingerprint = message.fingerprint;
        self.totals.bytes += message.payload.map_or(0, |p| p.len() as u64);
        self.quality.count(dead, message.received_at_us);
        Ok(())
    }

    /// Seals what has been taken in, of every partition or of `only`. `now_us`: the clock.
    pub(crate) fn seal(&mut self, only: Option<&[i32]>, now_us: i64) -> Vec<Sealed> {
        let mut sealed = Vec::new();
        for (partition, building) in &mut self.partitions {
            if only.is_some_and(|only| !only.contains(partition)) {
                continue;
            }
            let Some(first) = building.first.take() else {
                continue;
            };
            let segment = HotSegment {
                at: StreamPartition::new(self.stream.clone(), *partition),
                first,
                last: building.last,
                epoch: building.epoch,
                events: building.events.finish(),
                rejects: building.rejects.finish(),
                sealed_at_us: now_us,
            };
            self.bytes -= std::mem::take(&mut building.bytes);
            let bytes = segment.bytes();
            sealed.push(Sealed {
                segment: Arc::new(segment),
                fingerprint: building.fingerprint,
                bytes,
            });
        }
        self.report();
        sealed
    }

    /// Adds what was counted since the last time to the metrics: once a seal, not once a message.
    fn report(&mut self) {
        let (now, then) = (self.totals, self.reported);
        let rows = |kind: &str, count| self.metrics.rows.with_label_values(&[kind]).inc_by(count);
        rows("event", now.events - then.events);
        rows("dead_letter", now.dead_letters - then.dead_letters);
        rows("suppressed", now.suppressed - then.suppressed);
        self.metrics.bytes.inc_by(now.bytes - then.bytes);
        self.reported = now;
        for (tenant, sources) in self.arrivals.drain() {
            for (source, at_us) in sources {
                self.metrics.arrived(&tenant, source, at_us);
            }
        }
    }
}

fn note_arrival(
    arrivals: &mut HashMap<String, Vec<(&'static str, i64)>>,
    event: &Event<'_>,
    at_us: i64,
) {
    let Some(Value::Vocab(source)) = event.get(Field::Source) else {
        return;
    };
    let tenant = event.tenant();
    if !arrivals.contains_key(tenant) {
        arrivals.insert(tenant.to_owned(), Vec::new());
    }
    let Some(sources) = arrivals.get_mut(tenant) else {
        return;
    };
    match sources.iter_mut().find(|(name, _)| name == source) {
        Some((_, last)) => *last = at_us.max(*last),
        None => sources.push((source, at_us)),
    }
}

fn push_reject(
    rejects: &mut RejectBatchBuilder,
    at: RowPosition<'_>,
    received_at_us: i64,
    reject: &Reject,
) {
    let row = RejectRow {
        kind: reject.kind,
        code: &reject.code,
        pointer: &reject.pointer,
        detail: &reject.detail,
        payload: reject.payload.as_deref(),
        key_id: reject.key_id.as_deref(),
    };
    rejects.push(at, &reject.tenant, received_at_us, &row);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Decoder, StreamDefaults};
    use crate::vault::Vault;

    const NOW_US: i64 = 1_790_000_000_000_000;

    fn pipeline() -> Pipeline {
        let interpreter = Interpreter {
            decoder: Decoder::Json,
            vault: Arc::new(Vault::from_secret(b"s", &[])),
            defaults: StreamDefaults::default(),
        };
        let metrics = Arc::new(IngestMetrics::new(&prometheus::Registry::new()).unwrap());
        let mut pipeline = Pipeline::new("s".into(), interpreter, metrics, None);
        pipeline.attach(0, 7);
        pipeline
    }

    fn message(offset: i64, payload: &[u8]) -> Incoming<'_> {
        Incoming {
            partition: 0,
            offset,
            payload: Some(payload),
            received_at_us: NOW_US,
            fingerprint: None,
        }
    }

    #[test]
    fn a_segment_covers_everything_since_the_last_one() {
        let mut pipeline = pipeline();
        assert!(pipeline.seal(None, NOW_US).is_empty());
        let event = br#"{"event_id":"e","event":"attempt.opened","occurred_at":"2026-01-01T00:00:00Z","user_id":"u"}"#;
        pipeline.handle(message(3, event)).unwrap();
        pipeline.handle(message(9, b"bad")).unwrap();
        assert!(pipeline.bytes() > 0);
        let sealed = pipeline.seal(None, NOW_US);
        let segment = &sealed[0].segment;
        assert_eq!((segment.first, segment.last, segment.epoch), (3, 9, 7));
        assert_eq!(
            (segment.events.num_rows(), segment.rejects.num_rows()),
            (1, 1)
        );
        assert_eq!(pipeline.bytes(), 0);
        assert!(pipeline.seal(None, NOW_US).is_empty());
    }

    #[test]
    fn a_detached_partition_leaves_nothing_behind() {
        let mut pipeline = pipeline();
        pipeline.handle(message(0, b"bad")).unwrap();
        pipeline.detach(0);
        pipeline.handle(message(1, b"bad")).unwrap();
        assert!(pipeline.seal(None, NOW_US).is_empty());
        assert_eq!(pipeline.bytes(), 0);
    }

    proptest::proptest! {
        /// Whatever the bytes, they end as exactly one row.
        #[test]
        fn any_bytes_become_exactly_one_row(messages: Vec<Option<Vec<u8>>>) {
            let mut pipeline = pipeline();
            for (offset, payload) in (0..).zip(&messages) {
                let message = Incoming { payload: payload.as_deref(), ..message(offset, b"") };
                pipeline.handle(message).unwrap();
            }
            let rows: usize = pipeline
                .seal(None, NOW_US)
                .iter()
                .map(|s| s.segment.events.num_rows() + s.segment.rejects.num_rows())
                .sum();
            proptest::prop_assert_eq!(rows, messages.len());
        }

        /// Broken and twisted versions of a good event too.
        #[test]
        fn a_damaged_event_becomes_exactly_one_row(cut in 0usize..160, at in 0usize..160, byte: u8) {
            let good = br#"{"event_id":"e","event":"attempt.opened","occurred_at":"2026-01-01T00:00:00Z","user_id":"u","attrs":{"a":1.5,"b":"x"},"experiments":[{"id":"a"}]}"#;
            let mut bytes = good[..good.len().saturating_sub(cut).max(1)].to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let mut pipeline = pipeline();
            pipeline.handle(message(0, &bytes)).unwrap();
            let sealed = pipeline.seal(None, NOW_US);
            let segment = &sealed[0].segment;
            proptest::prop_assert_eq!(segment.events.num_rows() + segment.rejects.num_rows(), 1);
        }
    }
}
