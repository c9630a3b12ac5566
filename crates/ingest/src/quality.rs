//! Stops a stream loudly when too much of it is bad: a wrong topic or a broken producer should be
//! seen by a person, not fill the dead letters for a week.

/// The limit, as configured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TooManyBad {
    /// Stop when more than this share of messages are dead letters, in percent.
    pub percent: f64,
    /// Within windows of this many seconds.
    pub seconds: u32,
    /// But not before a window has seen this many messages.
    pub at_least: u64,
}

impl Default for TooManyBad {
    /// More than 50 % in 60 s, of at least 1 000 messages.
    fn default() -> Self {
        TooManyBad {
            percent: 50.0,
            seconds: 60,
            at_least: 1_000,
        }
    }
}

/// Counts of the running window and the one before it: an approximation of a sliding window that
/// needs two pairs of numbers.
#[derive(Debug)]
pub(crate) struct Quality {
    limit: Option<TooManyBad>,
    window: i64,
    now: (u64, u64),
    before: (u64, u64),
}

impl Quality {
    pub(crate) fn new(limit: Option<TooManyBad>) -> Self {
        Quality {
            limit,
            window: 0,
            now: (0, 0),
            before: (0, 0),
        }
    }

    /// Counts one message that arrived at `at_us` (µs since the epoch).
    pub(crate) fn count(&mut self, bad: bool, at_us: i64) {
        let Some(limit) = self.limit else { return };
        let window = at_us / (i64::from(limit.seconds.max(1)) * 1_000_000);
        if window > self.window {
            self.before = if window == self.window + 1 {
                self.now
            } else {
                (0, 0)
            };
            self.now = (0, 0);
            self.window = window;
        }
        self.now.0 += 1;
        self.now.1 += u64::from(bad);
    }

    /// Why to stop, if the limit is exceeded.
    #[expect(clippy::cast_precision_loss, reason = "a share in percent")]
    pub(crate) fn exceeded(&self) -> Option<String> {
        let limit = self.limit?;
        let (seen, bad) = (self.now.0 + self.before.0, self.now.1 + self.before.1);
        let percent = 100.0 * bad as f64 / (seen.max(1)) as f64;
        (seen >= limit.at_least && percent > limit.percent).then(|| {
            format!(
                "{bad} of the last {seen} messages are bad, more than {} % in {} s; look at the dead letters, mend the producer or raise the limit",
                limit.percent, limit.seconds
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(messages: u64, bad: u64) -> Quality {
        let mut quality = Quality::new(Some(TooManyBad {
            percent: 20.0,
            seconds: 10,
            at_least: 10,
        }));
        for i in 0..messages {
            quality.count(i < bad, 1_000_000);
        }
        quality
    }

    #[test]
    fn it_stops_only_beyond_the_share_and_only_after_enough_messages() {
        assert_eq!(quality(9, 9).exceeded(), None);
        assert_eq!(quality(10, 2).exceeded(), None);
        assert!(
            quality(10, 3)
                .exceeded()
                .unwrap()
                .starts_with("3 of the last 10 messages are bad")
        );
    }

    #[test]
    fn old_messages_are_forgotten() {
        let mut quality = quality(10, 3);
        quality.count(false, 11_000_000);
        assert!(
            quality.exceeded().is_some(),
            "the window before still counts"
        );
        quality.count(false, 41_000_000);
        assert_eq!(quality.exceeded(), None);
    }
}
