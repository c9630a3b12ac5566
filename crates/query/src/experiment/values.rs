//! What one unit says of each metric: times, and what its events add up to.

use datafusion::error::Result;
use linkfunnel_funnel::Entry;

use super::measure::Run;
use super::plan::{ATTR_SCALE, Amount, Measured};
use super::sightings::Unit;
use super::tally::Stat;
use crate::judge::Subject;

/// What one unit says of one metric besides whether it got to a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    Pair(i64, i64),
    /// When it got there after exposure, if it did; how long it was followed, and how long it can be. All µs.
    Timed {
        at_us: Option<u64>,
        followed_us: u64,
        window_us: u64,
    },
    /// Nothing yet: its window still runs.
    Nothing,
}

impl Found {
    pub(super) fn count(self, stat: &mut Stat) -> Result<()> {
        match (self, stat) {
            (Found::Pair(x, y), stat) => stat.add(x, y)?,
            (
                Found::Timed {
                    at_us,
                    followed_us,
                    window_us,
                },
                Stat::Times(times),
            ) => times.add(at_us, followed_us, window_us),
            _ => {}
        }
        Ok(())
    }
}

/// The events of a unit before and after its exposure.
pub(super) struct Values<'v> {
    pub(super) run: &'v Run<'v>,
    pub(super) unit: Unit,
    pub(super) before: Subject<'v>,
    pub(super) after: Subject<'v>,
}

impl Values<'_> {
    pub(super) fn found(
        &self,
        measured: Measured,
        entry: &Entry<'_>,
        got: u64,
        counts: bool,
    ) -> Found {
        if let Measured::Time(step) = measured {
            return self.time(step, entry, got);
        }
        if !counts {
            return Found::Nothing;
        }
        let last = self.run.plan.rules.steps().len() - 1;
        match measured {
            Measured::Mean(value) => Found::Pair(self.covariate(value), self.value(value)),
            Measured::Ratio(of, by) => Found::Pair(self.value(by), self.value(of)),
            Measured::Cost(value) => {
                Found::Pair(self.value(value), i64::from(got >> last & 1 == 1))
            }
            Measured::Step(_) | Measured::Subjects(_) | Measured::Time(_) => Found::Nothing,
        }
    }

    /// When the step was taken, or got past unseen: then with the next one that was taken.
    fn time(&self, step: usize, entry: &Entry<'_>, got: u64) -> Found {
        let is_past = got >> step & 1 == 1;
        let next = || (step..=entry.furthest).find_map(|next| entry.time_us(next));
        let at_us = entry.time_us(step).or_else(|| next().filter(|_| is_past));
        Found::Timed {
            at_us: at_us.map(|us| us.abs_diff(self.unit.at_us)),
            // the clock of the rules starts a microsecond before exposure
            followed_us: entry.followed_us.map_or(0, |us| us.saturating_sub(1)),
            window_us: self.window_us().unsigned_abs(),
        }
    }

    fn window_us(&self) -> i64 {
        self.run.plan.rules.window_us() - 1
    }

    /// What the events inside the window add up to.
    fn value(&self, value: usize) -> i64 {
        let last_us = self.unit.at_us.saturating_add(self.window_us());
        let end = self.after.hits.partition_point(|hit| hit.at_us <= last_us);
        self.sum(&self.after, 0..end, value)
    }

    /// The same of the time before exposure.
    fn covariate(&self, value: usize) -> i64 {
        let first_us = self
            .unit
            .at_us
            .saturating_sub(self.run.experiment.covariate_us);
        let begin = self.before.hits.partition_point(|hit| hit.at_us < first_us);
        self.sum(&self.before, begin..self.before.hits.len(), value)
    }

    fn sum(&self, of: &Subject<'_>, hits: std::ops::Range<usize>, value: usize) -> i64 {
        let adds = |hit: &usize| of.hits[*hit].outcomes >> value & 1 == 1;
        let amount = |hit: usize| match self.run.experiment.values[value] {
            Amount::One => 1,
            Amount::Whole(place) => of.number(hit, place).unwrap_or(0),
            Amount::Attr(source) => self
                .run
                .labels
                .text(of.value(hit, source))
                .map_or(0, thousandths),
        };
        hits.filter(adds).map(amount).fold(0, i64::saturating_add)
    }
}

/// A number's text in thousandths; 0 of what is no number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast of a float saturates, and sums refuse what is so large"
)]
fn thousandths(text: &str) -> i64 {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    let number = number.unwrap_or(0.0);
    (number * f64::from(ATTR_SCALE)).round() as i64
}
