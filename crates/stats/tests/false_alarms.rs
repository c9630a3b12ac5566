//! Experiments without an effect: how often each way of looking calls one. The tables are written by the example `simulate`.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../examples/simulate/tables/mod.rs"]
mod tables;

use linkfunnel_stats::{Counts, Effect, Harm, SampleRatioSequence, Sequence, Verdict};
use tables::arms::Rates;
use tables::companies::{Called, Market, Sizes};
use tables::dice::Dice;
use tables::family::{Steps, wrong_calls};
use tables::guardrails::{Kind, at_the_end};
use tables::looking::{Calls, Looking};
use tables::runs::{count, simulate_on};
use tables::{false_alarms, split};

/// So many of `runs` at most, where each is one with a chance of so many in a thousand: five standard deviations above the
/// mean.
fn at_most(runs: u64, in_a_thousand: u64) -> u64 {
    let mean = runs * in_a_thousand / 1_000;
    mean + 5 * mean.isqrt() + 1
}

#[test]
fn twenty_looks_make_at_most_one_false_alarm_in_eighteen_and_peeking_makes_five() {
    let (runs, seed) = (10_000, 1_000);
    println!("seed {seed}");
    for (rate, seed) in [0.02, 0.12, 0.5, 0.8].into_iter().zip(seed..) {
        let calls = false_alarms::without_effect(rate, runs, seed);
        let fixed = count(&calls, |calls| calls.fixed.is_some());
        let planned = count(&calls, |calls| calls.planned.is_some());
        let continuous = count(&calls, |calls| calls.continuous.is_some());
        let peeked = count(&calls, |calls| calls.peeked.is_some());
        let all = format!("{rate}: {fixed} {planned} {continuous} {peeked} of {runs}");
        let most = runs * 55 / 1_000;
        assert!(
            fixed <= most && planned <= most && continuous <= most,
            "{all}"
        );
        assert!(peeked > runs / 5, "{all}");
        assert!(
            fixed.min(planned) > runs * 4 / 100,
            "not for want of power, {all}"
        );
    }
}

#[test]
fn what_comes_out_does_not_depend_on_the_threads() {
    let looking = Looking::new(5, 40);
    let on = |threads| -> Vec<Calls> {
        simulate_on(threads, 1_001, 9, |dice| {
            looking.run(dice, Rates::alike(0.3))
        })
    };
    let one = on(1);
    assert_eq!(one.len(), 1_001);
    assert!(count(&one, |calls| calls.peeked.is_some()) > 50);
    for threads in [2, 3, 7] {
        assert_eq!(on(threads), one, "{threads} threads");
    }
}

/// Companies are assigned and journeys analysed. Where companies are of one size forty are enough for the delta method too;
/// else what counts is how many of one size would be as uncertain, some two hundred and more (500 companies here; the example
/// prints the whole table).
#[test]
fn journeys_of_companies_make_false_alarms_and_the_ratio_a_company_makes_none() {
    let (runs, seed) = (4_000, 11);
    println!("seed {seed}");
    let markets = [
        (Sizes::Even(20), 0.0, 40),
        (Sizes::LogNormal(5.0, 1.0), 0.0, 500),
        (Sizes::LogNormal(5.0, 1.0), 0.3, 500),
    ];
    for ((sizes, tilt, companies), seed) in markets.into_iter().zip(seed..) {
        let market = Market { sizes, tilt };
        let called = market.without_effect(companies, runs, seed);
        let ways: [fn(&Called) -> bool; 2] = [|called| called.delta, |called| called.clusters];
        let by_company = ways.map(|way| count(&called, way));
        let naive = count(&called, |called| called.journeys);
        let what = format!("{market:?}: {by_company:?} and {naive} of {runs}");
        for wrong in by_company {
            assert!(wrong <= at_most(runs, 50), "{what}");
            assert!(wrong >= runs * 3 / 100, "not for want of power, {what}");
        }
        assert!(naive > runs / 4, "{what}");
    }
}

/// Few companies of very different size, of which a few hold most journeys: the delta method's variance is too small, the
/// jackknife's with the degrees of the effective companies is not.
#[test]
fn twenty_companies_of_very_different_size_make_one_false_alarm_in_twenty_by_the_jackknife() {
    let (runs, seed) = (3_000, 15);
    println!("seed {seed}");
    let all_sizes = [
        Sizes::LogNormal(5.0, 1.0),
        Sizes::LogNormal(5.0, 1.5),
        Sizes::Pareto(1.5, 1_000.0),
    ];
    for (sizes, seed) in all_sizes.into_iter().zip(seed..) {
        let market = Market { sizes, tilt: 0.0 };
        let called = market.without_effect(20, runs, seed);
        let clusters = count(&called, |called| called.clusters);
        let delta = count(&called, |called| called.delta);
        let what = format!("{market:?}: {clusters} and {delta} of {runs}");
        assert!(clusters <= at_most(runs, 50), "{what}");
        assert!(
            clusters >= runs * 35 / 1_000,
            "not for want of power, {what}"
        );
        assert!(delta > at_most(runs, 50), "{what}");
    }
}

#[test]
fn a_fair_split_alarms_once_in_a_thousand_read_once_and_never_oftener_read_daily_as_meant() {
    let (runs, seed) = (10_000, 21);
    println!("seed {seed}");
    let alarms = split::fair(60, 100, runs, seed);
    let once = count(&alarms, |alarms| alarms.once);
    let anytime = count(&alarms, |alarms| alarms.anytime);
    let daily = count(&alarms, |alarms| alarms.daily);
    let what = format!("{once} {anytime} {daily} of {runs}");
    assert!(once > 0 && once <= at_most(runs, 1), "{what}");
    assert!(anytime <= at_most(runs, 1), "{what}");
    assert!(daily > runs / 200, "{what}");
}

#[test]
fn a_guardrail_read_once_at_its_margin_passes_and_fails_one_time_in_twenty() {
    let (runs, seed) = (10_000, 31);
    println!("seed {seed}");
    let cases = [
        (
            Kind::Points(0.02),
            Rates {
                one: 0.78,
                zero: 0.8,
            },
        ),
        (
            Kind::Relative(0.1),
            Rates {
                one: 0.108,
                zero: 0.12,
            },
        ),
    ];
    for ((kind, rates), seed) in cases.into_iter().zip(seed..) {
        let got = at_the_end(rates, kind, 1_000, runs, seed);
        let passed = count(&got, |got| got.verdict == Verdict::Pass);
        let failed = count(&got, |got| got.verdict == Verdict::Fail);
        for wrong in [passed, failed] {
            assert!(wrong <= at_most(runs, 50), "{kind:?}: {wrong} of {runs}");
            assert!(wrong > runs * 4 / 100, "{kind:?}: {wrong} of {runs}");
        }
    }
}

/// Three variants, two metrics, one control for all; once one variant is truly better, which must not hide other mistakes.
#[test]
fn a_family_of_six_tests_makes_one_mistake_in_twenty_by_holm_and_one_in_seven_without() {
    let (runs, seed) = (10_000, 41);
    println!("seed {seed}");
    let steps = Steps {
        first: 0.6,
        then: 0.7,
    };
    for (better, seed) in [0.0, 0.1].into_iter().zip(seed..) {
        let wrong = wrong_calls(steps, better, 2_000, runs, seed);
        let holm = count(&wrong, |wrong| wrong.holm);
        let bonferroni = count(&wrong, |wrong| wrong.bonferroni);
        let uncorrected = count(&wrong, |wrong| wrong.uncorrected);
        let what = format!("{better}: {holm} {bonferroni} {uncorrected} of {runs}");
        assert!(holm <= at_most(runs, 50), "{what}");
        assert!(bonferroni <= holm && bonferroni > runs / 50, "{what}");
        assert!(uncorrected > runs / 8, "{what}");
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
