//! What a lender with few units a week can find in some weeks, looking weekly.

use std::io::{self, Write};

use linkfunnel_stats::{Allocation, Direction, Level, Looking as Planning, rate_found};

use super::arms::Rates;
use super::looking::{Call, Calls, Looking};
use super::markdown::{percent, rate, table, thousands};
use super::runs::{count, simulate};

/// Units a week, half of them in each arm.
const WEEKLY: u64 = 300;

/// The true effect: five points.
const EFFECT: f64 = 0.05;

/// Writes the table.
pub(crate) fn write(out: &mut dyn Write, runs: u64, seed: u64) -> io::Result<()> {
    let rates = [0.12, 0.4, 0.6, 0.8];
    let cases = rates
        .into_iter()
        .flat_map(|zero| [4_u32, 8].map(|weeks| (zero, weeks)));
    let mut rows = Vec::new();
    for ((zero, weeks), seed) in cases.zip(seed..) {
        let one = zero + EFFECT;
        let looking = Looking::new(weeks as usize, WEEKLY / 2);
        let calls = simulate(runs, seed, |dice| looking.run(dice, Rates { one, zero }));
        let found = |of: fn(&Calls) -> Option<Call>| {
            let right = |calls: &Calls| of(calls).is_some_and(|call| call.up);
            percent(count(&calls, right), runs)
        };
        rows.push(vec![
            format!("{} to {}", rate(zero), rate(one)),
            weeks.to_string(),
            found(|calls| calls.fixed),
            found(|calls| calls.planned),
            found(|calls| calls.continuous),
            rate(nearest_found(zero, u64::from(weeks) * WEEKLY / 2)),
        ]);
    }
    let words = format!(
        "Chance to find a true effect of five points with {WEEKLY} units a week, half of them in each arm, looked at \
         weekly; {} runs a row. On the right the rate that the fixed test would find four times of five.",
        thousands(runs)
    );
    let head = [
        "effect",
        "weeks",
        "fixed, read once at the end",
        "planned looks",
        "continuous",
        "found with 80 %",
    ];
    table(out, "Little traffic", &words, &head, &rows)
}

/// The rate above `zero` that so many units an arm tell from it with a power of 80 %.
fn nearest_found(zero: f64, units: u64) -> f64 {
    let even = Allocation::new(1, 1.0).expect("one to one");
    let (up, once) = (Direction::Up, Planning::Fixed);
    rate_found(zero, up, 0.8, units, even, once, Level::default())
        .expect("a goal")
        .expect("hundreds of units find something")
}
