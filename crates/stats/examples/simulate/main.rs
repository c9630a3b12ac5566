//! What the statistics do in experiments whose truth is known:
//! `cargo run --release -p linkfunnel-stats --example simulate`.
//!
//! Writes Markdown tables. Seeds are fixed, and the numbers do not depend on how many cores there are.

mod tables;

use std::io;

use tables::{companies, coverage, false_alarms, family, guardrails, power, small_traffic, split};

/// Experiments a row, unless the table says otherwise.
const RUNS: u64 = 10_000;

fn main() -> io::Result<()> {
    let out = &mut io::stdout().lock();
    false_alarms::write(out, RUNS, 1_000)?;
    power::write(out, RUNS, 2_000)?;
    small_traffic::write(out, RUNS, 3_000)?;
    coverage::write(out, 2 * RUNS, 4_000)?;
    companies::write(out, 2 * RUNS, 5_000)?;
    split::write_fair(out, 10 * RUNS, 6_000)?;
    split::write_bent(out, RUNS, 7_000)?;
    guardrails::write(out, 2 * RUNS, 8_000)?;
    family::write(out, 2 * RUNS, 9_000)
}
