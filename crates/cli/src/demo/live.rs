//! The demo's live traffic: generated events, each produced when its time has come.
//!
//! The embedded broker keeps only the last 5 MiB of a partition, so the producer waits whenever the
//! consumer is more than [`MAX_AHEAD`] messages behind; nothing is overwritten before it was read.

use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use linkfunnel_ingest::IngestStatus;
use linkfunnel_testkit::generate::{Delivery, GenerateConfig, Generator};
use parking_lot::Mutex;

use crate::clock;
use crate::failure::{Failure, Result};
use crate::produce::Topic;

/// Messages that may wait in the broker: at 1 kB each well below what a partition keeps.
const MAX_AHEAD: u64 = 2_000;
/// Companies of one run: the next run's numbers begin so much later, so no id is used twice.
const COMPANIES_A_SECOND: u64 = 1_000;
const SECOND_US: i64 = 1_000_000;
/// Longest sleep, so that the wish to stop is seen.
const NAP: Duration = Duration::from_millis(20);

/// Traffic from before it is live, so that journeys are under way when it begins.
const WARM_UP_US: i64 = 120 * SECOND_US;
/// Events a second up to which the whole warm-up is made; above it is shorter.
const WARM_RATE: f64 = 500.0;
/// After the warm-up a stream has two fifths of its lasting rate (measured): longer journeys, invitations and payments come
/// later.
const YOUNG: f64 = 2.4;

/// Traffic that goes on from a moment: what was delivered before it, then the rest.
pub(crate) struct Traffic {
    generator: Peekable<Generator>,
    from_us: i64,
}

impl Traffic {
    /// About `rate` events a second from `from_us` on.
    pub(crate) fn new(rate: u32, from_us: i64) -> Result<Self> {
        let run = u64::try_from(from_us / SECOND_US).unwrap_or(0);
        let rate = f64::from(rate);
        #[expect(clippy::cast_possible_truncation, reason = "at most two minutes")]
        #[expect(clippy::cast_precision_loss, reason = "exact: below 2^53")]
        let warm_us = (WARM_UP_US as f64 * (WARM_RATE / rate).min(1.0)) as i64;
        let generator = Generator::new(GenerateConfig {
            first_company: 10_000_001 + run * COMPANIES_A_SECOND,
            ..GenerateConfig::live(run, from_us - warm_us, rate * YOUNG)
        })?;
        Ok(Traffic {
            generator: generator.peekable(),
            from_us,
        })
    }

    /// The next message from before the moment.
    pub(crate) fn next_before(&mut self) -> Option<Delivery> {
        let from_us = self.from_us;
        self.generator
            .next_if(|delivery| delivery.deliver_at_us <= from_us)
    }
}

/// The running producer.
pub(crate) struct Live {
    stop: Arc<AtomicBool>,
    failure: Arc<Mutex<Option<Failure>>>,
    thread: JoinHandle<()>,
}

impl Live {
    /// Starts producing; `watch` tells how far it has been read.
    pub(crate) fn start(
        brokers: &str,
        topic: &str,
        traffic: Traffic,
        watch: impl Fn() -> IngestStatus + Send + 'static,
    ) -> Result<Self> {
        let topic = Topic::open(brokers, topic)?;
        let stop = Arc::new(AtomicBool::new(false));
        let failure = Arc::new(Mutex::new(None));
        let (stopping, failed) = (Arc::clone(&stop), Arc::clone(&failure));
        let thread = std::thread::Builder::new()
            .name("demo-live".into())
            .spawn(move || {
                if let Err(error) = produce(traffic, topic, &stopping, &watch) {
                    *failed.lock() = Some(error);
                }
            })?;
        Ok(Live {
            stop,
            failure,
            thread,
        })
    }

    /// Why producing ended, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.lock().take()
    }

    /// Ends producing.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        // It looks every few milliseconds; a panic of its own has been printed.
        let _ = self.thread.join();
    }
}

fn produce(
    traffic: Traffic,
    mut topic: Topic,
    stop: &AtomicBool,
    watch: &impl Fn() -> IngestStatus,
) -> Result<()> {
    for delivery in traffic.generator {
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let early_us = delivery.deliver_at_us - clock::now_us();
            let ahead = topic.sent().saturating_sub(read(&watch()));
            if early_us <= 0 && ahead < MAX_AHEAD {
                break;
            }
            let early = Duration::from_micros(u64::try_from(early_us).unwrap_or(0));
            std::thread::sleep(if early.is_zero() { NAP } else { early.min(NAP) });
        }
        topic.send(&delivery)?;
    }
    Ok(())
}

/// Messages of this run that have been read.
fn read(status: &IngestStatus) -> u64 {
    status
        .partitions
        .iter()
        .filter_map(|p| p.position)
        .map(i64::unsigned_abs)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_traffic_begins_at_about_the_rate_asked_for() {
        let now_us = 1_790_812_800_000_000;
        let mut traffic = Traffic::new(500, now_us).unwrap();
        let before = std::iter::from_fn(|| traffic.next_before()).count();
        assert!(before > 10_000, "{before}");
        let minute = now_us + 60 * SECOND_US;
        let live = traffic
            .generator
            .take_while(|d| d.deliver_at_us < minute)
            .count();
        assert!((400 * 60..600 * 60).contains(&live), "{live} in a minute");
    }
}
