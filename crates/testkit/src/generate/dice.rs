//! Seeded randomness: every company and every journey throws its own dice, so that any of them can be made again from its number alone.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One second in µs.
pub(crate) const SECOND: i64 = 1_000_000;
/// One minute in µs.
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// One hour in µs.
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// One day of 24 hours in µs.
pub(crate) const DAY: i64 = 24 * HOUR;

/// A source of random choices with a number of its own.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// Dice for the `n`th thing of a kind (`salt` tells kinds apart).
    pub(crate) fn new(seed: u64, salt: u64, n: u64) -> Self {
        Dice(ChaCha8Rng::seed_from_u64(mix(
            mix(seed ^ mix(salt)).wrapping_add(n)
        )))
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform in 0..n; n > 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    /// Any 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.random()
    }

    /// The index of one item, by weight (need not sum to one).
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        weights.len().saturating_sub(1)
    }

    /// A log-normal time in µs with the given median.
    pub(crate) fn lognormal(&mut self, median_us: i64, sigma: f64) -> i64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.unit()).cos();
        whole(median_us as f64 * (sigma * normal).exp())
    }

    /// An exponential time in µs with the given mean.
    pub(crate) fn exponential(&mut self, mean_us: f64) -> i64 {
        whole(-mean_us * (1.0 - self.unit()).ln())
    }

    /// A uniform time in µs, `low` included, `high` not.
    pub(crate) fn between(&mut self, low_us: i64, high_us: i64) -> i64 {
        self.0.random_range(low_us..high_us)
    }
}

/// A float of µs as a whole number of them; times here are far below 2⁵³.
pub(crate) fn whole(us: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, and times are far below 2^53 µs"
    )]
    let whole = us.round() as i64;
    whole
}

/// SplitMix64's finaliser: spreads neighbouring numbers over all 64 bits.
pub(crate) fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_throws_the_same_dice() {
        let throw = |n| {
            let mut dice = Dice::new(7, 1, n);
            (dice.bits(), dice.below(100), dice.lognormal(SECOND, 0.5))
        };
        assert_eq!(throw(3), throw(3));
        assert_ne!(throw(3), throw(4));
    }

    #[test]
    fn half_of_a_log_normal_lies_below_its_median() {
        let mut dice = Dice::new(1, 1, 1);
        let below = (0..10_000)
            .filter(|_| dice.lognormal(MINUTE, 1.0) < MINUTE)
            .count();
        assert!((4_800..5_200).contains(&below), "{below}");
    }

    #[test]
    fn weights_are_honoured() {
        let mut dice = Dice::new(1, 2, 1);
        let second = (0..10_000)
            .filter(|_| dice.weighted(&[3.0, 1.0, 0.0]) == 1)
            .count();
        assert!((2_300..2_700).contains(&second), "{second}");
    }
}
