//! Messages that retention took before they were read.
//!
//! librdkafka says that a position is out of range but rdkafka hands that over without topic and
//! partition, so every position is compared with what the broker still has.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Partition, Reader};
use crate::error::Error;
use crate::kafka::config::OnLostRange;
use crate::kafka::rebalance::Callbacks;
use crate::kafka::stream::ASK_WITHIN;

impl Reader {
    /// A position is outside of what the broker has: finds whose (librdkafka does not say), names
    /// the range that was lost, and stops or goes on as configured.
    pub(in crate::kafka) fn out_of_range(&self, consumer: &BaseConsumer<Callbacks>) {
        let positions: Vec<(i32, i64)> = {
            let state = self.state.lock();
            let known =
                |(id, p): (&i32, &Partition)| Some((*id, p.position?)).filter(|_| p.lost.is_none());
            state.partitions.iter().filter_map(known).collect()
        };
        let mut found = false;
        for (partition, next) in positions {
            match consumer.fetch_watermarks(&self.shared.config.topic, partition, ASK_WITHIN) {
                Ok((low, _)) if next < low => {
                    found = true;
                    self.lost(consumer, partition, next, low);
                }
                Ok((_, high)) if next > high => {
                    return self.begin_again(format!(
                        "partition {partition} ends at {high}, before {next}"
                    ));
                }
                Ok(_) => {}
                Err(error) => {
                    return self
                        .begin_again(Error::kafka("asking for a partition's ends", error).chain());
                }
            }
        }
        if !found {
            self.begin_again("a position was out of range and no longer is");
        }
    }

    fn lost(&self, consumer: &BaseConsumer<Callbacks>, partition: i32, next: i64, low: i64) {
        self.shared.metrics.lost_ranges.inc();
        self.shared
            .metrics
            .lost_offsets
            .inc_by((low - next).max(0).cast_unsigned());
        let goes_on = self.shared.config.on_lost_range == OnLostRange::Continue;
        tracing::error!(
            partition,
            first = next,
            last = low - 1,
            goes_on,
            "retention took messages before they were read; they are lost to us"
        );
        if !goes_on {
            let mut state = self.state.lock();
            if let Some(partition) = state.partitions.get_mut(&partition) {
                partition.lost = Some((next, low - 1));
            }
            return;
        }
        if let Some(partition) = self.state.lock().partitions.get_mut(&partition) {
            partition.position = Some(low);
        }
        if let Err(error) = self.reposition(consumer, partition, low) {
            self.begin_again(Error::kafka("going on behind a lost range", error).chain());
        }
    }

    /// Takes a partition out of the assignment and back in: after an error of range librdkafka
    /// does not seek.
    fn reposition(
        &self,
        consumer: &BaseConsumer<Callbacks>,
        partition: i32,
        offset: i64,
    ) -> KafkaResult<()> {
        let topic = &self.shared.config.topic;
        let (mut out, mut back) = (TopicPartitionList::new(), TopicPartitionList::new());
        out.add_partition(topic, partition);
        back.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        consumer.incremental_unassign(&out)?;
        consumer.incremental_assign(&back)
    }
}
