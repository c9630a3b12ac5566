//! The standard normal distribution by its tails: never one minus the other, so that they hold down to 1e-300.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// P(Z > z), to a relative error of 1e-13 down to 1e-300.
pub fn upper_tail(z: f64) -> f64 {
    0.5 * libm::erfc(z * FRAC_1_SQRT_2)
}

/// P(|Z| > |z|): the two-sided p of a z.
pub fn two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() * FRAC_1_SQRT_2)
}

/// The density of the standard normal distribution at z.
pub(crate) fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// Newton's steps from [`quantile`]'s start: five are enough down to 1e-300.
const STEPS: usize = 12;

/// The z above which `tail` of the distribution lies: P(Z > z) = tail, for tails of 1e-300..=0.5.
///
/// Newton's method on the logarithm of the tail, which is concave; from sqrt(−2 ln 2·tail), which is never below the root, it
/// comes down to it without overshooting.
pub(crate) fn quantile(tail: f64) -> f64 {
    let mut z = (-2.0 * (2.0 * tail).ln()).max(0.0).sqrt();
    for _ in 0..STEPS {
        let at = upper_tail(z);
        let step = (at / tail).ln() * at / density(z);
        z += step;
        if step.abs() <= 1e-15 * z {
            break;
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Z_95;

    /// mpmath at 40 digits.
    #[test]
    fn tails_hold_to_1e_300() {
        let printed = [
            (1.959_963_984_540_054, 0.025_000_000_000_000_011),
            (5.0, 2.866_515_718_791_939e-7),
            (10.0, 7.619_853_024_160_526e-24),
            (37.0, 5.725_571_222_524_577e-300),
        ];
        for (z, tail) in printed {
            assert!((upper_tail(z) / tail - 1.0).abs() < 2e-13, "{z}");
            assert!((two_sided(-z) / tail - 2.0).abs() < 4e-13, "{z}");
        }
    }

    #[test]
    fn the_quantile_turns_the_tail_round() {
        assert!((quantile(0.025) - Z_95).abs() < 1e-15);
        assert!(quantile(0.5).abs() < 1e-15);
        for exponent in 1..=300 {
            let tail = 0.4 * 10_f64.powi(-exponent);
            assert!((upper_tail(quantile(tail)) / tail - 1.0).abs() < 1e-12);
        }
    }
}
