//! Intervals hold the truth as often as they say: of two rates, read once or at every look, and of the expected rate of
//! young cohorts, where it is given.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../examples/simulate/tables/mod.rs"]
mod tables;

use linkfunnel_stats::{Level, Moment, Survival};
use tables::arms::Rates;
use tables::coverage::known;
use tables::runs::count;

const WINDOW: u64 = 1_000;
const COHORTS: u64 = 2_000;
const SUBJECTS: u64 = 300;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for a simulation of fixed seeds.
struct Dice(u64);

impl Dice {
    /// A whole number below `end`, which is far below 2^32.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((bits ^ (bits >> 31)) >> 32) * end) >> 32
    }
}

/// A cohort in which so many of 10 convert, most of them soon; subjects enter evenly over `age`, and are watched to its end.
fn cohort(dice: &mut Dice, converting: u64, age: u64) -> Survival {
    let (mut at_risk_at_end, mut matured) = (0, 0);
    let mut times = vec![(0, 0); usize::try_from(WINDOW + 1).unwrap()];
    for _ in 0..SUBJECTS {
        let watched = dice.below(age);
        // The least of two even draws: half have converted after three tenths of the window.
        let after = dice.below(WINDOW + 1).min(dice.below(WINDOW + 1));
        let converts = dice.below(10) < converting;
        matured += u64::from(watched >= WINDOW);
        match (converts && after <= watched, watched >= WINDOW) {
            (true, _) => times[usize::try_from(after).unwrap()].0 += 1,
            (false, true) => at_risk_at_end += 1,
            (false, false) => times[usize::try_from(watched).unwrap()].1 += 1,
        }
    }
    let moments = (0..).zip(times).filter(|(_, counts)| *counts != (0, 0));
    let moments: Vec<Moment> = moments
        .map(|(time, (converted, censored))| Moment {
            time,
            converted,
            censored,
        })
        .collect();
    Survival::new(&moments, at_risk_at_end, matured)
}

#[test]
fn the_expected_rate_of_a_young_cohort_covers_the_true_one() {
    for age in [1_005, 1_020, 1_050, 1_200, 1_500, 2_000, 4_000] {
        let (mut given, mut covered) = (0, 0);
        for seed in 0..COHORTS {
            let survival = cohort(&mut Dice(seed * 7_919 + age), 7, age);
            if let Ok(estimate) = survival.converted_by_end() {
                given += 1;
                let interval = estimate.interval;
                covered += u64::from(interval.low <= 0.7 && 0.7 <= interval.high);
            }
        }
        assert!(given > 500, "given for {given} of {COHORTS} at age {age}");
        let (least, most) = (given * 935 / 1000, given * 965 / 1000);
        assert!(
            (least..=most).contains(&covered),
            "{covered} of {given} at age {age}"
        );
    }
}

#[test]
fn a_cohort_younger_than_its_window_has_no_expected_rate() {
    for seed in 0..50 {
        assert!(
            cohort(&mut Dice(seed), 7, WINDOW)
                .converted_by_end()
                .is_err()
        );
    }
}

#[test]
fn the_difference_of_two_young_cohorts_covers_the_true_one_and_is_mirrored() {
    let level = Level::default();
    for (one, zero, age) in [
        (7_u8, 6_u8, 1_200),
        (5, 5, 2_000),
        (2, 1, 4_000),
        (9, 8, 1_500),
    ] {
        let truth = (f64::from(one) - f64::from(zero)) / 10.0;
        let (mut given, mut covered) = (0, 0);
        for seed in 0..COHORTS {
            let mut dice = Dice(seed * 6_007 + age);
            let one = cohort(&mut dice, u64::from(one), age);
            let zero = cohort(&mut dice, u64::from(zero), age);
            let Ok(found) = one.above(&zero, level) else {
                continue;
            };
            let back = zero.above(&one, level).unwrap();
            assert_eq!(
                (found.value, found.interval.low, found.interval.high),
                (-back.value, -back.interval.high, -back.interval.low)
            );
            given += 1;
            let interval = found.interval;
            covered += u64::from(interval.low <= truth && truth <= interval.high);
        }
        assert!(given > 1_000, "given for {given} of {COHORTS} at age {age}");
        let (least, most) = (given * 935 / 1000, given * 970 / 1000);
        assert!(
            (least..=most).contains(&covered),
            "{covered} of {given} where {one} and {zero} of 10 convert"
        );
    }
}

/// Four thousand experiments a case: five standard deviations are 1.7 points.
#[test]
fn intervals_of_a_known_effect_hold_it_19_times_of_20_and_the_continuous_one_at_every_look() {
    let (runs, seed) = (4_000, 81);
    println!("seed {seed}");
    let effects = [(0.02, 0.024), (0.12, 0.132), (0.5, 0.55), (0.8, 0.84)];
    for ((zero, one), seed) in effects.into_iter().zip(seed..) {
        let held = known(Rates { one, zero }, 1_000, runs, seed);
        let difference = count(&held, |held| held.difference);
        let ratio = count(&held, |held| held.ratio);
        for once in [difference, ratio] {
            let range = runs * 933 / 1_000..=runs * 967 / 1_000;
            assert!(range.contains(&once), "{zero} to {one}: {once} of {runs}");
        }
        let always = count(&held, |held| held.always);
        assert!(
            always >= runs * 95 / 100,
            "{zero} to {one}: {always} of {runs}"
        );
        let at_the_end = count(&held, |held| held.continuous);
        assert!(
            at_the_end > always,
            "{zero} to {one}: {at_the_end} {always}"
        );
    }
}
