//! The split's health: how often a fair split alarms, and how many units a bent one needs until it does.

use std::io::{self, Write};

use linkfunnel_stats::{ALARM_P, SampleRatioSequence, Share, sample_ratio};

use super::dice::Dice;
use super::markdown::{rate, share, table, thousands};
use super::runs::{count, simulate};

/// Whether a split alarmed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alarms {
    /// The fixed test, read once, at the end.
    pub(crate) once: bool,
    /// The fixed test misused: read every day.
    pub(crate) daily: bool,
    /// The anytime form, read every day.
    pub(crate) anytime: bool,
}

/// A split of two arms as it grows.
struct Split {
    units: [u64; 2],
    sequence: SampleRatioSequence,
}

impl Split {
    fn new() -> Split {
        Split {
            units: [0, 0],
            sequence: SampleRatioSequence::new(&[1, 1]),
        }
    }

    /// A day more, of `units` each of which falls to the first arm with a chance of `share`.
    fn grow(&mut self, dice: &mut Dice, units: u64, share: f64) {
        let first = dice.successes(units, share);
        let day = [first, units - first];
        self.units = [self.units[0] + day[0], self.units[1] + day[1]];
        self.sequence.observe(&day).expect("two arms");
    }

    fn fixed(&self) -> bool {
        let arms = self.units.map(|units| Share { units, weight: 1 });
        sample_ratio(&arms, 1).expect("there are units").alarm
    }

    fn anytime(&self) -> bool {
        self.sequence.p() < ALARM_P
    }
}

/// Runs fair splits of so many days.
pub(crate) fn fair(days: u64, units_a_day: u64, runs: u64, seed: u64) -> Vec<Alarms> {
    simulate(runs, seed, |dice| {
        let mut split = Split::new();
        let (mut once, mut daily) = (false, false);
        for _ in 0..days {
            split.grow(dice, units_a_day, 0.5);
            once = split.fixed();
            daily |= once;
        }
        Alarms {
            once,
            daily,
            anytime: split.anytime(),
        }
    })
}

/// Writes the table of false alarms.
pub(crate) fn write_fair(out: &mut dyn Write, runs: u64, seed: u64) -> io::Result<()> {
    const DAYS: u64 = 60;
    let mut rows = Vec::new();
    for (units, seed) in [10, 50, 300, 3_000].into_iter().zip(seed..) {
        let alarms = fair(DAYS, units, runs, seed);
        rows.push(vec![
            thousands(units),
            share(&alarms, |alarms| alarms.once),
            share(&alarms, |alarms| alarms.anytime),
            share(&alarms, |alarms| alarms.daily),
        ]);
    }
    let words = format!(
        "Share of fair splits of {DAYS} days that alarmed, at p < 0.001: {} splits a row.",
        thousands(runs)
    );
    let head = [
        "units a day",
        "fixed, read once at the end",
        "anytime, read every day",
        "fixed, read every day",
    ];
    table(out, "Sample ratio: false alarms", &words, &head, &rows)
}

/// Steps at which a bent split is looked at.
const STEPS: usize = 200;

/// Units at which half, and four of five, of the bent splits are found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needed {
    /// By the fixed test, read once, there.
    pub(crate) once: [Option<u64>; 2],
    /// By the anytime form, read at every step until there.
    pub(crate) anytime: [Option<u64>; 2],
}

/// Runs splits whose first arm gets `share` of the units, looked at 200 times, `units_a_step` apart.
pub(crate) fn bent(share: f64, units_a_step: u64, runs: u64, seed: u64) -> Needed {
    let found = simulate(runs, seed, |dice| {
        let mut split = Split::new();
        let mut step = || {
            split.grow(dice, units_a_step, share);
            (split.fixed(), split.anytime())
        };
        (0..STEPS).map(|_| step()).collect::<Vec<_>>()
    });
    let first = |tenths: u64, of: fn((bool, bool)) -> bool| {
        let many = |step: &usize| count(&found, |run| of(run[*step])) * 10 >= tenths * runs;
        let step = (0..STEPS).find(many)?;
        Some((step as u64 + 1) * units_a_step)
    };
    Needed {
        once: [5, 8].map(|tenths| first(tenths, |(once, _)| once)),
        anytime: [5, 8].map(|tenths| first(tenths, |(_, anytime)| anytime)),
    }
}

/// Writes the table of bent splits.
pub(crate) fn write_bent(out: &mut dyn Write, runs: u64, seed: u64) -> io::Result<()> {
    let mut rows = Vec::new();
    let cases = [(0.55, 50), (0.52, 250), (0.51, 1_000)];
    for ((share, units_a_step), seed) in cases.into_iter().zip(seed..) {
        let needed = bent(share, units_a_step, runs, seed);
        let units = |units: Option<u64>| units.map_or("more".into(), thousands);
        rows.push(vec![
            format!("{} to {}", rate(share), rate(1.0 - share)),
            thousands(units_a_step),
            units(needed.once[0]),
            units(needed.once[1]),
            units(needed.anytime[0]),
            units(needed.anytime[1]),
        ]);
    }
    let words = format!(
        "Units of both arms at which half, and four of five, of the splits that should be 1 : 1 and are not have alarmed: {} \
         splits a row. The fixed test is read once, there; the anytime form at every step until there.",
        thousands(runs)
    );
    let head = [
        "true split",
        "units a step",
        "fixed, half",
        "fixed, 80 %",
        "anytime, half",
        "anytime, 80 %",
    ];
    table(
        out,
        "Sample ratio: units to find a bent split",
        &words,
        &head,
        &rows,
    )
}
