//! Up to which time everything that had arrived is in the view (design §5, Watermark).
//!
//! Per partition the running maximum of
//! * the time at which the end was met: an end-of-partition event says that at some moment since
//!   the queue was last seen empty the broker had nothing more; while nothing follows, the time up
//!   to which the broker is known to have answered (an unreachable broker proves nothing);
//! * while behind, the lesser of the clock and the broker's LogAppendTime, if the topic has it.
//!
//! A producer's CreateTime and an event's `occurred_at` are never looked at, so a wrong clock
//! cannot close windows. A time counts only once the rows before it are published.

/// The watermark of one partition under way. Times in µs since the epoch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watermark {
    candidate_us: Option<i64>,
    at_end: bool,
    met_end_once: bool,
}

impl Watermark {
    /// A message was taken in; `append_time_us`: when the broker appended it, if it says.
    pub(crate) fn message(&mut self, append_time_us: Option<i64>, now_us: i64) {
        self.at_end = false;
        if let Some(appended) = append_time_us {
            self.raise(appended.min(now_us));
        }
    }

    /// The end was met; the queue was last seen empty at `queue_empty_us`, so the news is younger.
    pub(crate) fn end(&mut self, queue_empty_us: i64) {
        self.at_end = true;
        self.met_end_once = true;
        self.raise(queue_empty_us);
    }

    /// Nothing is waiting to be taken in; the broker is known to have answered at `answered_us`.
    pub(crate) fn idle(&mut self, answered_us: i64) {
        if self.at_end {
            self.raise(answered_us);
        }
    }

    /// The end was met exactly at `us` (a local log, whose end is ours to know).
    pub(crate) fn met_end_at(&mut self, us: i64) {
        self.end(us);
    }

    /// The watermark, once everything taken in so far has been published; `allowed_delay_us` is
    /// taken off.
    pub(crate) fn published(&self, allowed_delay_us: i64) -> Option<i64> {
        self.candidate_us.map(|us| us - allowed_delay_us)
    }

    /// Whether the end has been met since the partition was attached.
    pub(crate) fn met_end_once(&self) -> bool {
        self.met_end_once
    }

    /// Whether nothing has come since the end was met.
    pub(crate) fn at_end(&self) -> bool {
        self.at_end
    }

    fn raise(&mut self, us: i64) {
        self.candidate_us = Some(self.candidate_us.map_or(us, |held| held.max(us)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_has_never_met_its_end_has_no_watermark() {
        let mut watermark = Watermark::default();
        watermark.message(None, 10);
        watermark.idle(20);
        assert_eq!(watermark.published(0), None);
    }

    #[test]
    fn behind_only_the_broker_s_own_time_counts_and_never_beyond_the_clock() {
        let mut watermark = Watermark::default();
        watermark.message(Some(5), 10);
        assert_eq!(watermark.published(0), Some(5));
        watermark.message(Some(99), 10);
        assert_eq!(watermark.published(0), Some(10));
        watermark.message(None, 50);
        assert_eq!(watermark.published(0), Some(10));
    }

    #[test]
    fn it_moves_on_at_the_end_while_the_broker_answers_and_never_back() {
        let mut watermark = Watermark::default();
        watermark.end(100);
        watermark.idle(120);
        assert_eq!(watermark.published(5), Some(115));
        watermark.idle(90);
        watermark.message(None, 130);
        watermark.idle(140);
        assert_eq!(watermark.published(0), Some(120));
    }
}
