//! The planned numbers of units find what they promise, as often as they promise: simulated experiments with a true effect.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../examples/simulate/tables/mod.rs"]
mod tables;

use tables::arms::Rates;
use tables::power::{Found, Way};
use tables::split;

const RUNS: u64 = 4_000;

/// At the number of units needed for four of five.
fn found(way: Way, seed: u64) -> Found {
    let rates = Rates {
        one: 0.4,
        zero: 0.3,
    };
    way.find(rates, RUNS, seed)
}

#[track_caller]
fn in_percent(found: &Found, least: u64, most: u64) {
    let (many, seed) = (found.at.len() as u64, found.seed);
    let range = RUNS * least / 100..=RUNS * most / 100;
    assert!(range.contains(&many), "{many} of {RUNS}, seed {seed}");
}

#[test]
fn the_fixed_number_finds_four_of_five() {
    in_percent(&found(Way::Fixed, 71), 78, 82);
}

#[test]
fn the_number_of_planned_looks_finds_four_of_five() {
    for looks in [5, 20] {
        let found = found(Way::Planned(looks), 72);
        in_percent(&found, 78, 82);
        let median = found.at[found.at.len() / 2];
        assert!(
            median * 10 <= looks * 7,
            "{median} of {looks}: no earlier than once"
        );
    }
}

#[test]
fn the_number_of_looking_at_any_time_finds_four_of_five_or_more() {
    in_percent(&found(Way::Continuous, 73), 78, 88);
    in_percent(&found(Way::Tuned, 74), 78, 88);
}

/// By the normal approximation the fixed test needs (3.2905 + 0.8416)²/(4·0.02²) = 10 671 units for four of five.
#[test]
fn a_split_of_52_to_48_is_found_by_the_number_that_the_formula_says_and_by_twice_that_at_any_time()
{
    let (units_a_step, seed) = (250, 75);
    println!("seed {seed}");
    let needed = split::bent(0.52, units_a_step, 1_000, seed);
    let once = needed.once[1].unwrap();
    assert!(once.abs_diff(10_671) <= 3 * units_a_step, "{once}");
    let anytime = needed.anytime[1].unwrap();
    assert!((once..=2 * once).contains(&anytime), "{anytime}");
}
