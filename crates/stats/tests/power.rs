//! The planned numbers of units find what they promise, as often as they promise: simulated experiments with a true effect.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod dice;

use dice::Dice;
use linkfunnel_stats::{
    Allocation, Counts, Effect, Goal, Level, Looking, PHI, Plan, Sequence, compare, units_needed,
};

const FROM: f64 = 0.3;
const TO: f64 = 0.4;
const LOOKS: usize = 5;
const RUNS: u64 = 4_000;

fn successes(dice: &mut Dice, units: u64, rate: f64) -> u64 {
    (0..units).filter(|_| dice.share() < rate).count() as u64
}

/// How many of the experiments with the units needed call the effect at one of their looks.
fn found(looking: Looking<'_>, stops: &dyn Fn(usize, Counts, Counts) -> bool, seed: u64) -> u64 {
    let goal = Goal::new(FROM, TO, 0.8).unwrap();
    let allocation = Allocation::new(1, 1.0).unwrap();
    let total = units_needed(goal, allocation, looking, Level::default())
        .unwrap()
        .total;
    let looks = LOOKS as u64;
    let a_look = (total / 2).div_ceil(looks);
    let mut dice = Dice(seed);
    let mut found = 0;
    for _ in 0..RUNS {
        let (mut one, mut zero) = (Counts::default(), Counts::default());
        for look in 0..LOOKS {
            for (arm, rate) in [(&mut one, TO), (&mut zero, FROM)] {
                let more = Counts::new(successes(&mut dice, a_look, rate), a_look).unwrap();
                *arm = arm.merge(more).unwrap();
            }
            if stops(look, one, zero) {
                found += 1;
                break;
            }
        }
    }
    found
}

#[test]
fn the_fixed_number_finds_four_of_five() {
    let at_the_end = |look, one, zero| {
        look + 1 == LOOKS && compare(one, zero, Level::default()).unwrap().p < 0.05
    };
    let found = found(Looking::Fixed, &at_the_end, 71);
    assert!(
        (RUNS * 78 / 100..=RUNS * 82 / 100).contains(&found),
        "{found} of {RUNS}, seed 71"
    );
}

#[test]
fn the_number_of_planned_looks_finds_four_of_five() {
    let plan = Plan::equal(LOOKS, Level::default(), PHI).unwrap();
    let crosses = |look: usize, one, zero| {
        compare(one, zero, Level::default()).unwrap().z >= plan.boundaries()[look]
    };
    let found = found(Looking::Planned(plan.looks(), PHI), &crosses, 72);
    assert!(
        (RUNS * 78 / 100..=RUNS * 82 / 100).contains(&found),
        "{found} of {RUNS}, seed 72"
    );
}

#[test]
fn the_number_of_looking_at_any_time_finds_four_of_five_or_more() {
    let leaves_out = |_, one, zero| {
        let effect = Effect::of_rates(one, zero);
        effect.is_ok_and(|effect| Sequence::default().look(effect).interval.low > 0.0)
    };
    let found = found(Looking::Continuous(5_000), &leaves_out, 73);
    assert!(
        (RUNS * 78 / 100..=RUNS * 88 / 100).contains(&found),
        "{found} of {RUNS}, seed 73"
    );
}
