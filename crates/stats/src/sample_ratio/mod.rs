//! Do the arms have the units that the split should have given them? If not, something between assignment and analysis loses
//! units of one arm, and no result of the experiment means anything.
//!
//! **χ²** against the configured split, Σ (nᵢ − n·wᵢ)²/(n·wᵢ); of two arms with fewer than [`EXACT_BELOW`] units together the
//! **exact binomial** test instead (the sum of all outcomes at most as probable as the one seen). Arms of weight 0 are left
//! out; arms without units are kept: they are the worst case. It alarms at p < [`ALARM_P`], if the greatest deviation of a
//! share is above [`LEAST_DEVIATION`] too: among millions of units a loss too small to matter is significant.

mod anytime;

pub use anytime::{CONCENTRATION, SampleRatioSequence};

use crate::{Null, chi_squared, difference, float};

/// Below so many units two arms are tested exactly.
pub const EXACT_BELOW: u64 = 1_000;

/// An alarm's p is below this.
pub const ALARM_P: f64 = 0.001;

/// An alarm's greatest deviation of a share from its configured one is above this: 0.1 of a percentage point.
pub const LEAST_DEVIATION: f64 = 0.001;

/// An arm as configured and as seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Units seen.
    pub units: u64,
    /// Its part of the split, relative to the other arms' weights.
    pub weight: u32,
}

/// Which test looked at the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RatioTest {
    /// χ².
    ChiSquared,
    /// The exact binomial test, two-sided.
    Binomial,
}

impl RatioTest {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            RatioTest::ChiSquared => "chi_squared",
            RatioTest::Binomial => "exact_binomial",
        }
    }
}

/// What the split looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio {
    /// The test.
    pub test: RatioTest,
    /// Its p.
    pub p: f64,
    /// p times the segments tested together, at most 1 (Bonferroni).
    pub corrected_p: f64,
    /// The greatest deviation of an arm's share from its configured one; 0..=1.
    pub deviation: f64,
    /// Whether the corrected p and the deviation are both beyond their limits.
    pub alarm: bool,
}

/// Tests the split of one population; `tests` is the number of segments that are tested together, 1 for the whole.
///
/// # Errors
/// [`Null::NoUnits`] where no arm has any; [`Null::NoSplit`] where fewer than two arms have a weight.
pub fn sample_ratio(arms: &[Share], tests: u64) -> Result<SampleRatio, Null> {
    let split = Split::new(arms)?;
    let units = split.units();
    if units == 0 {
        return Err(Null::NoUnits);
    }
    let exact = split.arms.len() == 2 && units < u128::from(EXACT_BELOW);
    let (test, p) = if exact {
        (RatioTest::Binomial, split.binomial())
    } else {
        (RatioTest::ChiSquared, split.chi_squared())
    };
    let deviation = split.deviation();
    let corrected_p = (p * float(tests.max(1))).min(1.0);
    Ok(SampleRatio {
        test,
        p,
        corrected_p,
        deviation,
        alarm: corrected_p < ALARM_P && deviation > LEAST_DEVIATION,
    })
}

/// The arms with a weight, at least two.
struct Split {
    arms: Vec<Share>,
    weight: u64,
}

impl Split {
    fn new(arms: &[Share]) -> Result<Split, Null> {
        let arms: Vec<Share> = arms.iter().copied().filter(|arm| arm.weight > 0).collect();
        if arms.len() < 2 {
            return Err(Null::NoSplit);
        }
        let weight = arms.iter().map(|arm| u64::from(arm.weight)).sum();
        Ok(Split { arms, weight })
    }

    fn units(&self) -> u128 {
        self.arms.iter().map(|arm| u128::from(arm.units)).sum()
    }

    /// An arm's configured share.
    fn share(&self, arm: Share) -> f64 {
        f64::from(arm.weight) / float(self.weight)
    }

    /// An arm's units less what its share of all would be; exact before it is rounded. Units times weights are below
    /// 2^128 for as many arms as memory holds.
    fn off(&self, arm: Share) -> f64 {
        let seen = u128::from(arm.units) * u128::from(self.weight);
        let due = self.units() * u128::from(arm.weight);
        let off = difference::wide(seen.abs_diff(due)) / float(self.weight);
        if seen >= due { off } else { -off }
    }

    fn deviation(&self) -> f64 {
        let units = difference::wide(self.units());
        let off = |arm: &Share| self.off(*arm).abs() / units;
        self.arms.iter().map(off).fold(0.0, f64::max)
    }

    fn chi_squared(&self) -> f64 {
        let units = difference::wide(self.units());
        let part = |arm: &Share| self.off(*arm).powi(2) / (units * self.share(*arm));
        let freedom = u32::try_from(self.arms.len() - 1).unwrap_or(u32::MAX);
        chi_squared::upper_tail(self.arms.iter().map(part).sum(), freedom)
    }

    /// Of the first of two arms.
    fn binomial(&self) -> f64 {
        let (one, zero) = (self.arms[0], self.arms[1]);
        let units = one.units + zero.units;
        let odds = f64::from(one.weight) / f64::from(zero.weight);
        // Probability of k + 1 ÷ that of k.
        let ratio = |k: u64| float(units - k) / float(k + 1) * odds;
        let weights = difference::outcomes(0..=units, mode(units, self.share(one)), ratio);
        difference::share(weights, one.units)
    }
}

/// The most probable of 0..=units at a probability, or one beside it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "of fewer than a thousand units"
)]
fn mode(units: u64, probability: f64) -> u64 {
    (float(units + 1) * probability).min(float(units)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(arms: &[(u64, u32)]) -> Vec<Share> {
        arms.iter()
            .map(|(units, weight)| Share {
                units: *units,
                weight: *weight,
            })
            .collect()
    }

    fn of(arms: &[(u64, u32)]) -> SampleRatio {
        sample_ratio(&shares(arms), 1).unwrap()
    }

    #[test]
    fn two_arms_are_tested_exactly_below_a_thousand() {
        assert_eq!(of(&[(499, 1), (500, 1)]).test, RatioTest::Binomial);
        assert_eq!(of(&[(500, 1), (500, 1)]).test, RatioTest::ChiSquared);
        assert_eq!(of(&[(5, 1), (5, 1), (5, 1)]).test, RatioTest::ChiSquared);
    }

    /// χ² of 500²/20 500: the tail of a normal number beyond 3.4921.
    #[test]
    fn the_known_split_of_10_000_to_10_500_comes_out() {
        let split = of(&[(10_000, 1), (10_500, 1)]);
        assert!((split.p - 4.791_464e-4).abs() < 5e-11, "{}", split.p);
        assert_eq!((split.test, split.alarm), (RatioTest::ChiSquared, true));
        assert_eq!(of(&[(10_000, 3), (10_500, 3), (9, 0)]), split);
    }

    /// Ten of ten at evens: 2/1024.
    #[test]
    fn the_exact_test_counts_outcomes() {
        assert!((of(&[(10, 1), (0, 1)]).p - 2.0 / 1_024.0).abs() < 1e-15);
        assert!((of(&[(5, 50), (5, 50)]).p - 1.0).abs() < 1e-15);
        assert!(
            (of(&[(0, 1), (2, 2)]).p - 1.0).abs() < 1e-15,
            "4/9, 4/9, 1/9"
        );
    }

    #[test]
    fn an_arm_without_units_is_kept_and_one_without_weight_left_out() {
        assert!(of(&[(5_000, 1), (0, 1)]).alarm);
        let three = of(&[(5_000, 1), (5_010, 1), (0, 1)]);
        assert!(three.alarm && (three.deviation - 1.0 / 3.0).abs() < 1e-12);
        assert!(!of(&[(5_000, 1), (5_010, 1), (700, 0)]).alarm);
    }

    #[test]
    fn a_deviation_too_small_to_matter_is_no_alarm() {
        let tiny = of(&[(500_900_000, 1), (499_100_000, 1)]);
        assert!(tiny.p < 1e-100 && !tiny.alarm, "{tiny:?}");
        assert!(of(&[(501_100_000, 1), (498_900_000, 1)]).alarm);
    }

    #[test]
    fn segments_tested_together_share_the_alarm() {
        let arms = shares(&[(5_100, 1), (4_760, 1)]);
        let (alone, together) = (
            sample_ratio(&arms, 1).unwrap(),
            sample_ratio(&arms, 10).unwrap(),
        );
        assert!(alone.alarm && !together.alarm, "{alone:?}");
        assert!((together.corrected_p - 10.0 * alone.p).abs() < 1e-15);
    }

    #[test]
    fn no_units_or_no_split_is_a_null() {
        let code = |arms: &[(u64, u32)]| sample_ratio(&shares(arms), 1).unwrap_err().code();
        assert_eq!(code(&[(0, 1), (0, 1)]), "no_units");
        assert_eq!(code(&[(5, 1), (5, 0)]), "no_split");
        assert_eq!(code(&[]), "no_split");
    }
}
