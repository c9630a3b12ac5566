//! Experiments without an effect: how often each way of looking calls one. The table is written by the example `looks`.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../examples/looks/simulation.rs"]
mod simulation;

mod dice;

use dice::Dice;
use linkfunnel_stats::{Counts, Effect, Harm, SampleRatioSequence, Sequence, Verdict};

#[test]
fn twenty_looks_make_at_most_one_false_alarm_in_eighteen_and_peeking_makes_five() {
    let (runs, seed) = (10_000, 1);
    println!("seed {seed}");
    for percent in [2, 12, 50, 80] {
        let alarms = simulation::alarms(percent, runs, seed);
        let most = runs * 55 / 1_000;
        assert!(alarms.fixed <= most, "{percent} %: {alarms:?}");
        assert!(alarms.planned <= most, "{percent} %: {alarms:?}");
        assert!(alarms.continuous <= most, "{percent} %: {alarms:?}");
        assert!(alarms.peeked > runs / 5, "{percent} %: {alarms:?}");
        let spends = alarms.fixed.min(alarms.planned);
        assert!(
            spends > runs * 4 / 100,
            "not for want of power, {percent} %: {alarms:?}"
        );
    }
}

/// A fair split of some 6 400 units, looked at a hundred times; each of the 64 bits is a unit's arm.
#[test]
fn a_fair_split_looked_at_daily_alarms_no_oftener_than_said() {
    let (runs, seed) = (4_000_u64, 3);
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let (mut rare, mut often) = (0, 0);
    for _ in 0..runs {
        let mut split = SampleRatioSequence::new(&[1, 1]);
        for _ in 0..100 {
            let ones = u64::from(dice.bits().count_ones());
            split.observe(&[ones, 64 - ones]).unwrap();
        }
        rare += u64::from(split.p() < 0.05);
        often += u64::from(split.p() < 0.5);
    }
    assert!(rare <= runs * 5 / 100, "{rare} of {runs}");
    assert!(often <= runs / 2 && often > 0, "{often} of {runs}");
}

#[test]
fn a_split_that_loses_a_tenth_of_an_arm_is_noticed() {
    let mut split = SampleRatioSequence::new(&[1, 1]);
    for _ in 0..20 {
        split.observe(&[500, 450]).unwrap();
    }
    assert!(split.p() < 0.001, "{}", split.p());
}

/// The harm is the margin exactly: neither side may be called, at any of twenty looks, oftener than α says.
#[test]
fn a_guardrail_at_its_margin_is_passed_or_failed_by_chance_no_oftener_than_said() {
    let (runs, seed, margin) = (4_000_u64, 4, 0.05);
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let (mut passed, mut failed) = (0, 0);
    for _ in 0..runs {
        let (mut one, mut zero) = (Counts::default(), Counts::default());
        let (mut pass, mut fail) = (false, false);
        for _ in 0..20 {
            for (arm, rate) in [(&mut one, 0.45), (&mut zero, 0.5)] {
                let successes = (0..250).filter(|_| dice.share() < rate).count() as u64;
                *arm = arm.merge(Counts::new(successes, 250).unwrap()).unwrap();
            }
            let effect = Effect::of_rates(one, zero).unwrap();
            let got = Sequence::default()
                .guardrail(effect, margin, Harm::Fall)
                .unwrap();
            pass |= got.verdict == Verdict::Pass;
            fail |= got.verdict == Verdict::Fail;
        }
        passed += u64::from(pass);
        failed += u64::from(fail);
    }
    for wrong in [passed, failed] {
        assert!(
            wrong > 0 && wrong <= runs * 5 / 100,
            "{passed} {failed} of {runs}"
        );
    }
}
