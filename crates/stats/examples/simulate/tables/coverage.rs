//! Experiments with a known effect: how often the intervals hold the truth.

use std::io::{self, Write};

use linkfunnel_stats::{Effect, Interval, Level, Sequence, compare};

use super::arms::{Arms, Rates};
use super::dice::Dice;
use super::markdown::{rate, share, table, thousands};
use super::runs::simulate;

const LOOKS: u64 = 20;

/// Which intervals held the truth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// The score's interval of the difference, at the end.
    pub(crate) difference: bool,
    /// The score's interval of the ratio, at the end.
    pub(crate) ratio: bool,
    /// The continuous interval of the difference at the end.
    pub(crate) continuous: bool,
    /// The continuous interval at every one of the twenty looks.
    pub(crate) always: bool,
}

/// Runs experiments of `units` an arm, a multiple of twenty.
pub(crate) fn known(rates: Rates, units: u64, runs: u64, seed: u64) -> Vec<Held> {
    simulate(runs, seed, |dice| one(dice, rates, units))
}

fn one(dice: &mut Dice, rates: Rates, units: u64) -> Held {
    let truth = rates.one - rates.zero;
    let mut arms = Arms::default();
    let (mut continuous, mut always) = (true, true);
    for _ in 0..LOOKS {
        arms.grow(dice, units / LOOKS, rates);
        // Where nothing varies there is no interval, and nothing wrong is said.
        let effect = Effect::of_rates(arms.one, arms.zero);
        let interval = effect.map(|effect| Sequence::default().look(effect).interval);
        continuous = interval.is_ok_and(|interval| holds(interval, truth)) || interval.is_err();
        always &= continuous;
    }
    let end = compare(arms.one, arms.zero, Level::default()).expect("both have units");
    let ratio = Interval {
        low: end.ratio.low.unwrap_or(0.0),
        high: end.ratio.high.unwrap_or(f64::MAX),
    };
    Held {
        difference: holds(end.difference.interval, truth),
        ratio: holds(ratio, rates.one / rates.zero),
        continuous,
        always,
    }
}

fn holds(interval: Interval, truth: f64) -> bool {
    interval.low <= truth && truth <= interval.high
}

/// Writes the table.
pub(crate) fn write(out: &mut dyn Write, runs: u64, seed: u64) -> io::Result<()> {
    let effects = [(0.02, 0.024), (0.12, 0.132), (0.5, 0.55), (0.8, 0.84)];
    let cases = effects
        .into_iter()
        .flat_map(|effect| [100, 400, 2_000, 10_000].map(|units| (effect, units)));
    let mut rows = Vec::new();
    for (((zero, one), units), seed) in cases.zip(seed..) {
        let held = known(Rates { one, zero }, units, runs, seed);
        rows.push(vec![
            format!("{} to {}", rate(zero), rate(one)),
            thousands(units),
            share(&held, |held| held.difference),
            share(&held, |held| held.ratio),
            share(&held, |held| held.continuous),
            share(&held, |held| held.always),
        ]);
    }
    let words = format!(
        "Share of 95 % intervals that hold the true effect: {} experiments a row. The first three columns are read at the \
         end, the last holds at all of {LOOKS} equal looks.",
        thousands(runs)
    );
    let head = [
        "effect",
        "units an arm",
        "score, difference",
        "score, ratio",
        "continuous at the end",
        "continuous at every look",
    ];
    table(out, "Coverage", &words, &head, &rows)
}
