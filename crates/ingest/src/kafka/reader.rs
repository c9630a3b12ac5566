//! What a session knows of its partitions, and what it does with messages, ends and time.
//!
//! Lives on the polling thread: librdkafka calls back (rebalances, statistics) inside `poll`, on
//! the same thread, so the lock around the state is never waited for.

mod lost;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use linkfunnel_store::StreamPartition;
use parking_lot::Mutex;
use rdkafka::Statistics;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message, Timestamp};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Shared;
use super::config::Start;
use super::rebalance::Callbacks;
use super::stream::{Stream, fingerprint};
use crate::SHUTDOWN_COMMIT_WITHIN;
use crate::decode::Interpreter;
use crate::pipeline::{Incoming, Pipeline};
use crate::status::PartitionStatus;
use crate::watermark::Watermark;

/// A broker that has not answered for this long proves nothing about the end of a partition.
const ANSWERED_WITHIN_US: i64 = 5_000_000;

/// The watermark of a partition that has proved nothing yet: 1970.
const UNKNOWN_US: i64 = 0;

/// One session's view of the stream.
pub(super) struct Reader {
    pub(super) shared: Shared,
    pub(super) stream: Stream,
    state: Mutex<State>,
}

struct State {
    pipeline: Pipeline,
    partitions: BTreeMap<i32, Partition>,
    /// When the queue was last seen empty, or the session began (µs since the epoch).
    queue_empty_us: i64,
    /// Until when each broker is known to have answered.
    answered_us: HashMap<i32, i64>,
    /// Counts callbacks: a `poll` that ran one says nothing about the queue being empty.
    callbacks: u64,
    paused: bool,
    /// The topic's id as the session first heard of it.
    topic_id: Option<String>,
    again: Option<String>,
}

#[derive(Default)]
struct Partition {
    /// The next offset to take in; `None` before it is known.
    position: Option<i64>,
    reported: Option<i64>,
    end: Option<i64>,
    leader: i32,
    watermark: Watermark,
    published_us: Option<i64>,
    caught_up: bool,
    lost: Option<(i64, i64)>,
}

impl Reader {
    pub(super) fn new(shared: Shared, stream: Stream) -> Reader {
        let interpreter = Interpreter {
            decoder: shared.config.decoder,
            vault: shared.vault.clone(),
            defaults: shared.config.defaults.clone(),
        };
        let pipeline = Pipeline::new(
            stream.name.clone(),
            interpreter,
            shared.metrics.clone(),
            shared.config.too_many_bad,
        );
        let state = State {
            pipeline,
            partitions: BTreeMap::new(),
            queue_empty_us: shared.committer.now_us(),
            answered_us: HashMap::new(),
            callbacks: 0,
            paused: false,
            topic_id: None,
            again: None,
        };
        Reader {
            shared,
            stream,
            state: Mutex::new(state),
        }
    }

    fn at(&self, partition: i32) -> StreamPartition {
        StreamPartition::new(self.stream.name.clone(), partition)
    }

    fn now_us(&self) -> i64 {
        self.shared.committer.now_us()
    }

    /// Takes partitions, each from behind what the table holds, and says where they begin.
    pub(super) fn attach(&self, partitions: &[i32]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            let start = self.attach_one(*partition);
            list.add_partition_offset(&self.shared.config.topic, *partition, start)?;
        }
        Ok(list)
    }

    fn attach_one(&self, partition: i32) -> Offset {
        let mut state = self.state.lock();
        let epoch = self.shared.committer.next_epoch();
        state.pipeline.attach(partition, epoch);
        self.shared
            .committer
            .attach(&self.stream.name, partition, epoch);
        let position = self.shared.committer.committed(partition).map(|c| c + 1);
        state.partitions.insert(
            partition,
            Partition {
                position,
                leader: -1,
                ..Partition::default()
            },
        );
        // Until it knows better, the view must not claim to be complete on this partition's behalf.
        self.shared
            .committer
            .store()
            .set_watermark(self.at(partition), UNKNOWN_US);
        match (position, self.shared.config.start) {
            (Some(next), _) => Offset::Offset(next),
            (None, Start::Beginning) => Offset::Beginning,
            (None, Start::End) => Offset::End,
        }
    }

    /// Lets partitions go, with whatever of them is not committed.
    pub(super) fn detach(&self, partitions: &[i32]) {
        let mut state = self.state.lock();
        for partition in partitions {
            state.pipeline.detach(*partition);
            state.partitions.remove(partition);
            self.shared.committer.detach(*partition);
            self.shared
                .committer
                .store()
                .remove_watermark(&self.at(*partition));
            self.shared.metrics.detach(&self.stream.name, *partition);
        }
    }

    /// Shows and commits what was taken in of `partitions`; true when all is in the table.
    pub(super) fn flush(&self, partitions: &[i32]) -> bool {
        let sealed = self
            .state
            .lock()
            .pipeline
            .seal(Some(partitions), self.now_us());
        self.shared.committer.publish(sealed);
        let committing = self
            .shared
            .committer
            .commit_all(Some(partitions), SHUTDOWN_COMMIT_WITHIN);
        self.shared.runtime.block_on(committing)
    }

    /// The partitions that are attached.
    pub(super) fn attached(&self) -> Vec<i32> {
        self.state.lock().partitions.keys().copied().collect()
    }

    /// Asks for this session to end and another to begin.
    pub(super) fn begin_again(&self, why: impl Into<String>) {
        self.state.lock().again.get_or_insert(why.into());
    }

    /// Why another session is to begin, if one is.
    pub(super) fn again(&self) -> Option<String> {
        self.state.lock().again.clone()
    }

    /// The topic's id is `id` now: another session begins when it was another one before.
    pub(super) fn topic_is(&self, id: &str) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let first = state.topic_id.get_or_insert_with(|| id.to_owned());
        if first != id {
            let topic = &self.shared.config.topic;
            state
                .again
                .get_or_insert_with(|| format!("the topic {topic} was deleted and made again"));
        }
    }

    /// Takes in a message.
    pub(super) fn message(&self, message: &BorrowedMessage<'_>) {
        let now_us = self.now_us();
        let appended_us = match message.timestamp() {
            Timestamp::LogAppendTime(ms) => Some(ms.saturating_mul(1_000)),
            _ => None,
        };
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.again.is_some() {
            // It may be of another topic than the one that this session reads.
            return;
        }
        let Some(partition) = state.partitions.get_mut(&message.partition()) else {
            return;
        };
        if partition
            .position
            .is_some_and(|next| message.offset() < next)
        {
            return;
        }
        let incoming = Incoming {
            partition: message.partition(),
            offset: message.offset(),
            payload: message.payload(),
            received_at_us: appended_us.unwrap_or(now_us),
            fingerprint: Some(fingerprint(message)),
        };
        match state.pipeline.handle(incoming) {
            Ok(()) => {
                partition.position = Some(message.offset() + 1);
                partition.watermark.message(appended_us, now_us);
            }
            Err(error) => {
                tracing::error!(
                    error = error.chain(),
                    partition = message.partition(),
                    offset = message.offset(),
                    "a message cannot be taken in yet"
                );
                state.again.get_or_insert_with(|| error.chain());
            }
        }
    }

    /// The end of a partition was met.
    pub(super) fn end(&self, partition: i32) {
        let mut state = self.state.lock();
        let empty_us = state.queue_empty_us;
        if let Some(partition) = state.partitions.get_mut(&partition) {
            partition.watermark.end(empty_us);
        }
    }

    /// How many callbacks have run; to be asked before a `poll`.
    pub(super) fn callbacks(&self) -> u64 {
        self.state.lock().callbacks
    }

    /// A `poll` that began at `polled_at_us` returned nothing.
    pub(super) fn nothing(&self, polled_at_us: i64, callbacks_before: u64) {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.callbacks != callbacks_before {
            return;
        }
        state.queue_empty_us = polled_at_us;
        for partition in state.partitions.values_mut() {
            if let Some(answered_us) = state.answered_us.get(&partition.leader)
                && polled_at_us - answered_us < ANSWERED_WITHIN_US
            {
                partition.watermark.idle(polled_at_us.min(*answered_us));
            }
        }
    }

    /// librdkafka's statistics: who answered when, where partitions end, how many there are.
    pub(super) fn statistics(&self, statistics: &Statistics) {
        let now_us = self.now_us();
        let mut state = self.state.lock();
        let state = &mut *state;
        state.callbacks += 1;
        for broker in statistics.brokers.values() {
            if broker.nodeid >= 0 && broker.state == "UP" && broker.rxidle >= 0 {
                state
                    .answered_us
                    .insert(broker.nodeid, now_us - broker.rxidle);
            }
        }
        let Some(topic) = statistics.topics.get(&self.shared.config.topic) else {
            return;
        };
        for (id, seen) in &topic.partitions {
            if let Some(partition) = state.partitions.get_mut(id) {
                partition.leader = seen.broker;
                partition.end = Some(seen.hi_offset).filter(|end| *end >= 0);
            }
        }
        let count = topic.partitions.keys().filter(|id| **id >= 0).count();
        if self.shared.config.group.is_none()
            && count > state.partitions.len()
            && !state.partitions.is_empty()
        {
            let why = format!("the topic has {count} partitions now");
            state.again.get_or_insert(why);
        }
    }

    /// Some other callback ran inside `poll`.
    pub(super) fn called_back(&self) {
        self.state.lock().callbacks += 1;
    }

    /// Seals and shows what was taken in, moves watermarks, holds memory within bounds. Returns why
    /// to stop, if too much is bad.
    pub(super) fn tick(&self, consumer: &BaseConsumer<Callbacks>) -> Result<(), String> {
        let now_us = self.now_us();
        let (sealed, too_bad) = {
            let mut state = self.state.lock();
            (state.pipeline.seal(None, now_us), state.pipeline.too_bad())
        };
        self.shared.committer.publish(sealed);
        self.watermarks(now_us);
        self.hold_memory(consumer);
        self.report_offsets(consumer);
        self.report();
        too_bad.map_or(Ok(()), Err)
    }

    /// Whether enough has been taken in to seal before the next tick is due.
    pub(super) fn wants_tick(&self) -> bool {
        self.state.lock().pipeline.bytes() >= self.shared.config.limits.seal_bytes
    }

    /// Everything taken in is published now, so the watermarks hold.
    fn watermarks(&self, now_us: i64) {
        let mut state = self.state.lock();
        for (id, partition) in &mut state.partitions {
            partition.caught_up |= partition.watermark.met_end_once();
            let Some(us) = partition
                .watermark
                .published(self.shared.config.allowed_delay_us)
            else {
                continue;
            };
            if partition.published_us != Some(us) {
                self.shared
                    .committer
                    .store()
                    .set_watermark(self.at(*id), us);
                partition.published_us = Some(us);
            }
            self.shared
                .metrics
                .watermark(&self.stream.name, *id, now_us - us);
        }
    }

    /// Pauses everything while too much is in memory; resumes when a quarter of it is free again.
    fn hold_memory(&self, consumer: &BaseConsumer<Callbacks>) {
        let mut state = self.state.lock();
        let held = self.shared.committer.bytes() + state.pipeline.bytes();
        let limit = self.shared.config.limits.memory_bytes;
        let wanted = if state.paused {
            held > limit / 4 * 3
        } else {
            held >= limit
        };
        if wanted != state.paused {
            let result = match (consumer.assignment(), wanted) {
                (Ok(list), true) => consumer.pause(&list),
                (Ok(list), false) => consumer.resume(&list),
                (Err(error), _) => Err(error),
            };
            match result {
                Ok(()) => state.paused = wanted,
                Err(error) => tracing::warn!(%error, "pausing or resuming failed; trying again"),
            }
            if wanted {
                tracing::warn!(
                    held_bytes = held,
                    "memory for uncommitted rows is full; reading pauses"
                );
            } else {
                tracing::info!("reading goes on");
            }
        } else if wanted {
            // Partitions assigned since then are paused too; pausing twice does nothing.
            if let Ok(list) = consumer.assignment() {
                let _ = consumer.pause(&list);
            }
        }
        self.shared.metrics.paused.set(i64::from(state.paused));
    }

    /// Tells Kafka how far the table is, for tools that show lag; nobody reads it back.
    fn report_offsets(&self, consumer: &BaseConsumer<Callbacks>) {
        let mut list = TopicPartitionList::new();
        for (id, partition) in &mut self.state.lock().partitions {
            let committed = self.shared.committer.committed(*id);
            if committed > partition.reported
                && let Some(committed) = committed
                && list
                    .add_partition_offset(
                        &self.shared.config.topic,
                        *id,
                        Offset::Offset(committed + 1),
                    )
                    .is_ok()
            {
                partition.reported = Some(committed);
            }
        }
        if list.count() > 0
            && let Err(error) = consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "offsets for lag tools were not taken");
        }
    }

    fn report(&self) {
        let state = self.state.lock();
        let mut partitions = Vec::with_capacity(state.partitions.len());
        for (id, partition) in &state.partitions {
            let lag = match (partition.position, partition.end) {
                _ if partition.watermark.at_end() => 0,
                (Some(position), Some(end)) => (end - position).max(0),
                (None, Some(end)) => end,
                _ => 0,
            };
            let labels = [&*self.stream.name, &id.to_string()];
            self.shared.metrics.lag.with_label_values(&labels).set(lag);
            partitions.push(PartitionStatus {
                partition: *id,
                position: partition.position,
                committed: self.shared.committer.committed(*id),
                end: partition.end,
                caught_up: partition.caught_up,
                watermark_us: partition.published_us,
                lost: partition.lost,
            });
        }
        let paused = state.paused;
        drop(state);
        self.shared.status.update(|status| {
            status.partitions = partitions;
            status.paused = paused;
            status.uncommitted_bytes = self.shared.committer.bytes();
            status.commit_error = self.shared.committer.last_error();
        });
    }

    pub(super) fn counted(&self, kind: &str) {
        self.shared
            .metrics
            .rebalances
            .with_label_values(&[kind])
            .inc();
    }
}

/// The partition numbers of a list.
pub(super) fn numbers(list: &TopicPartitionList) -> Vec<i32> {
    list.elements()
        .iter()
        .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
        .collect()
}

/// Shared by the callbacks and the session.
pub(super) type ReaderRef = Arc<Reader>;
