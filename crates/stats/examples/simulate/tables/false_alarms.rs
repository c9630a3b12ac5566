//! Experiments without an effect: how often each way of looking calls one.

use std::io::{self, Write};

use super::arms::Rates;
use super::looking::{Calls, Looking};
use super::markdown::{rate, share, table, thousands};
use super::runs::simulate;

const LOOKS: usize = 20;
const UNITS_A_LOOK: u64 = 250;

/// Runs experiments in which both arms have one rate, each looked at twenty times.
pub(crate) fn without_effect(rate: f64, runs: u64, seed: u64) -> Vec<Calls> {
    let looking = Looking::new(LOOKS, UNITS_A_LOOK);
    simulate(runs, seed, |dice| looking.run(dice, Rates::alike(rate)))
}

/// Writes the table.
pub(crate) fn write(out: &mut dyn Write, runs: u64, seed: u64) -> io::Result<()> {
    let mut rows = Vec::new();
    for (true_rate, seed) in [0.02, 0.12, 0.5, 0.8].into_iter().zip(seed..) {
        let calls = without_effect(true_rate, runs, seed);
        rows.push(vec![
            rate(true_rate),
            share(&calls, |calls| calls.fixed.is_some()),
            share(&calls, |calls| calls.planned.is_some()),
            share(&calls, |calls| calls.continuous.is_some()),
            share(&calls, |calls| calls.peeked.is_some()),
        ]);
    }
    let words = format!(
        "Share of A/A experiments in which a difference was called at α = 5 %: {} a row, {LOOKS} looks each, \
         {UNITS_A_LOOK} units an arm between them.",
        thousands(runs)
    );
    let head = [
        "rate of both arms",
        "fixed, read once at the end",
        "planned looks",
        "continuous",
        "fixed, read at every look",
    ];
    table(out, "False alarms", &words, &head, &rows)
}
