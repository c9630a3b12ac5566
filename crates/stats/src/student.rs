//! Student's t by its tails.

use std::f64::consts::PI;

use crate::integral::log_tail;
use crate::logarithm::{ln_1p_less, stirling_rest};
use crate::normal;
use crate::root::root;

/// Above these degrees it is the normal distribution to the last digit that matters: the tails differ by a share of t⁴/4ν.
const NORMAL_FROM: f64 = 1e15;

/// P(|T| > |t|) with `freedom` > 0 degrees, which need not be whole; down to 1e-300.
///
/// With t = √ν·sinh(u) the density is cosh(u)^−ν·Γ((ν + 1)/2)/(√π·Γ(ν/2)) du, whose logarithm is concave.
pub(crate) fn two_sided(t: f64, freedom: f64) -> f64 {
    if freedom > NORMAL_FROM {
        return normal::two_sided(t);
    }
    let half = freedom / 2.0;
    // ln Γ(half + ½) − ln Γ(half), in which no large numbers cancel.
    let gammas = 0.5 * half.ln() + half * ln_1p_less(0.5 / half) + stirling_rest(half + 0.5)
        - stirling_rest(half);
    // ln cosh u, to its last digits where u is small.
    let log = |u: f64| -freedom * (2.0 * (u / 2.0).sinh().powi(2)).ln_1p();
    let start = (t.abs() / freedom.sqrt()).asinh();
    let tail = log_tail(log, start, 1.0 / freedom.sqrt());
    (tail + gammas - 0.5 * PI.ln() + std::f64::consts::LN_2)
        .exp()
        .min(1.0)
}

/// P(T > t).
pub(crate) fn upper_tail(t: f64, freedom: f64) -> f64 {
    let beyond = two_sided(t, freedom) / 2.0;
    if t > 0.0 { beyond } else { 1.0 - beyond }
}

/// The t beyond which α lies on both sides together.
pub(crate) fn critical(alpha: f64, freedom: f64) -> f64 {
    let over = |log_t: f64| (two_sided(log_t.exp(), freedom).max(f64::MIN_POSITIVE) / alpha).ln();
    let mut high = 1.0;
    while over(high) > 0.0 && high < 600.0 {
        high *= 2.0;
    }
    root(-40.0, high, over).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// mpmath at 40 digits: incomplete beta.
    #[test]
    fn tails_hold_to_1e_300() {
        let printed = [
            (2.0, 5.3, 0.09871235302286574),
            (10.0, 50.0, 1.6077334688335437e-13),
            (40.0, 100.0, 2.462107602140071e-63),
            (0.1, 3.0, 0.9266523488008058),
            (1e5, 1.0, 6.366197723463607e-06),
            (1e-3, 0.5, 0.9994606476684876),
            (30.0, 1e4, 2.0443270474255706e-189),
            (36.0, 1e9, 8.368766888166301e-284),
            (1e60, 5.0, 1.8980334491124725e-299),
        ];
        for (t, freedom, tail) in printed {
            let got = two_sided(t, freedom);
            assert!(
                (got / tail - 1.0_f64).abs() < 1e-12,
                "{t} {freedom}: {got} for {tail}"
            );
        }
    }

    #[test]
    fn both_sides_of_a_tail_make_one() {
        for (t, freedom) in [(0.0, 3.0), (1.3, 0.7), (-2.1, 50.0)] {
            let both = upper_tail(t, freedom) + upper_tail(-t, freedom);
            assert!((both - 1.0).abs() < 1e-15);
        }
        // One degree is Cauchy's distribution: 1/4 lies above 1.
        assert!((upper_tail(1.0, 1.0) - 0.25).abs() < 1e-14);
        assert!((upper_tail(-1.0, 1.0) - 0.75).abs() < 1e-14);
    }

    #[test]
    fn the_critical_value_turns_the_tail_round() {
        // Printed in every table: 12.7062, 2.2281, 1.9600.
        for (freedom, t) in [(1.0, 12.706_204_736_174_7), (10.0, 2.228_138_851_986_274)] {
            assert!((critical(0.05, freedom) - t).abs() < 1e-11);
        }
        assert!((critical(0.05, 1e17) - crate::Z_95).abs() < 1e-12);
        for freedom in [0.7, 1.0, 3.3, 50.0, 1e6, 1e12] {
            for alpha in [0.4, 0.05, 1e-9, 1e-60] {
                let t = critical(alpha, freedom);
                assert!(
                    (two_sided(t, freedom) / alpha - 1.0).abs() < 1e-11,
                    "{freedom} {alpha}"
                );
            }
        }
    }
}
