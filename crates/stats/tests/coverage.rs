//! Young cohorts tell the truth: where the estimate is given, its interval holds the true rate as often as it says.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use linkfunnel_stats::{Moment, Survival};

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

/// A cohort in which 7 of 10 convert, most of them soon; subjects enter evenly over `age`, and are watched to its end.
fn cohort(dice: &mut Dice, age: u64) -> Survival {
    let (mut at_risk_at_end, mut matured) = (0, 0);
    let mut times = vec![(0, 0); usize::try_from(WINDOW + 1).unwrap()];
    for _ in 0..SUBJECTS {
        let watched = dice.below(age);
        // The least of two even draws: half have converted after three tenths of the window.
        let after = dice.below(WINDOW + 1).min(dice.below(WINDOW + 1));
        let converts = dice.below(10) < 7;
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
            let survival = cohort(&mut Dice(seed * 7_919 + age), age);
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
        assert!(cohort(&mut Dice(seed), WINDOW).converted_by_end().is_err());
    }
}
