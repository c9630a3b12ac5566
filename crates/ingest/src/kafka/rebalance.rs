//! librdkafka's callbacks: partitions come and go, errors, statistics.
//!
//! All run inside `poll` on the polling thread. A partition that is taken from us in good order is
//! committed before it is given up; one that was lost belongs to another process already, so what
//! of it is in memory is dropped and the other process reads it again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Statistics, TopicPartitionList};

use super::reader::{ReaderRef, numbers};

/// The consumer's context.
pub(super) struct Callbacks {
    reader: ReaderRef,
    /// When an error was told last: a broker that is down fails many times a second.
    warned: Mutex<HashMap<i32, Instant>>,
}

/// The same error is told again after this time.
const WARN_EVERY: Duration = Duration::from_secs(30);

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Logs come through the queue of messages, inside `poll`.
        self.reader.called_back();
        if let Some(id) = topic_id(message) {
            self.reader.topic_is(id);
        }
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition comes by here too, on its way to `poll`.
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        if code == RDKafkaErrorCode::PartitionEOF {
            return;
        }
        self.reader.called_back();
        let mut warned = self.warned.lock();
        if warned
            .get(&(code as i32))
            .is_none_or(|at| at.elapsed() > WARN_EVERY)
        {
            warned.insert(code as i32, Instant::now());
            tracing::warn!(%error, reason, "Kafka is in trouble; reading goes on when it is back");
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.reader.statistics(&statistics);
    }
}

impl ConsumerContext for Callbacks {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.reader.called_back();
        let partitions = numbers(list);
        let step_by_step = matches!(
            consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        let result = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(consumer, &partitions, step_by_step)
        } else {
            self.revoked(consumer, &partitions);
            match step_by_step {
                true => consumer.incremental_unassign(list),
                false => consumer.unassign(),
            }
        };
        if let Err(error) = result {
            self.reader
                .begin_again(crate::Error::kafka("taking or giving up partitions", error).chain());
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        self.reader.called_back();
        if let Err(error) = result {
            tracing::debug!(%error, "offsets for lag tools were not taken");
        }
    }
}

impl Callbacks {
    /// Calls back to `reader`.
    pub(super) fn new(reader: ReaderRef) -> Callbacks {
        Callbacks {
            reader,
            warned: Mutex::default(),
        }
    }

    fn assigned(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[i32],
        step_by_step: bool,
    ) -> KafkaResult<()> {
        self.reader.counted("assign");
        tracing::info!(?partitions, "partitions assigned");
        self.reader.shared.refresh();
        let starts = self.reader.attach(partitions)?;
        match step_by_step {
            true => consumer.incremental_assign(&starts),
            false => consumer.assign(&starts),
        }
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        if consumer.assignment_lost() {
            self.reader.counted("lost");
            tracing::warn!(
                ?partitions,
                "partitions lost; what of them is not committed is dropped"
            );
        } else {
            self.reader.counted("revoke");
            tracing::info!(?partitions, "partitions revoked; committing what was read");
            if !self.reader.flush(partitions) {
                tracing::error!(
                    ?partitions,
                    "not everything was committed before giving up partitions; their next owner reads it again"
                );
            }
        }
        self.reader.detach(partitions);
    }
}

/// The new id in librdkafka's words `Topic NAME changed id from OLD to NEW`.
///
/// librdkafka follows a topic that was deleted and made again while it reads, and goes on at its
/// old offset (a FIXME in its `rd_kafka_topic_metadata_update`): what the new topic holds before it
/// would be lost. Nothing but this line of its debug log tells; a fetch names the topic by its id,
/// so the line is written before the first message of the new topic can be there.
fn topic_id(message: &str) -> Option<&str> {
    let (_, ids) = message.split_once(" changed id from ")?;
    ids.split_once(" to ").map(|(_, new)| new.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_s_new_id_is_found_in_the_log() {
        let line = "[thrd:main]: Topic events changed id from AAAAAAAAAAAAAAAAAAAAAA to x9kW1hM6QZmSQsRZL0CGYA";
        assert_eq!(topic_id(line), Some("x9kW1hM6QZmSQsRZL0CGYA"));
        assert_eq!(
            topic_id("[thrd:main]: Topic events [0] Leader 1 Epoch 0"),
            None
        );
    }
}
