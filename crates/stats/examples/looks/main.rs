//! False alarms of the three ways of looking at an experiment: `cargo run -p linkfunnel-stats --example looks`.
//!
//! Writes a Markdown table of the share of A/A experiments, each looked at twenty times, in which a difference was called.

mod simulation;

use std::io::{self, Write};

use simulation::{LOOKS, UNITS_A_LOOK, alarms};

const RUNS: u64 = 10_000;
const SEED: u64 = 1;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{RUNS} A/A experiments a row, {LOOKS} looks, {UNITS_A_LOOK} units an arm between them, seed {SEED}\n"
    )?;
    writeln!(
        out,
        "| rate | fixed, read at the end | planned looks | continuous | fixed, read at every look |"
    )?;
    writeln!(out, "|---|---|---|---|---|")?;
    for percent in [2, 12, 50, 80] {
        let alarms = alarms(percent, RUNS, SEED);
        let share = |count: u64| {
            format!(
                "{}.{:02} %",
                count * 100 / RUNS,
                count * 10_000 / RUNS % 100
            )
        };
        let [fixed, planned, continuous, peeked] = [
            alarms.fixed,
            alarms.planned,
            alarms.continuous,
            alarms.peeked,
        ]
        .map(share);
        writeln!(
            out,
            "| {percent} % | {fixed} | {planned} | {continuous} | {peeked} |"
        )?;
    }
    Ok(())
}
