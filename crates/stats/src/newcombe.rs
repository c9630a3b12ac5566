//! The interval of a difference: how far two rates may really be apart.

use crate::wilson::wilson_at;
use crate::{Estimate, Interval, Z_95, float};

/// The difference of two independent proportions, `of.0 / of.1` − `from.0 / from.1`, with Newcombe's hybrid score interval,
/// 95 %, without continuity correction. Between −1 and 1.
///
/// With d = p1 − p0 and Wilson's interval (l, u) of each: d − sqrt((p1 − l1)² + (u0 − p0)²) to
/// d + sqrt((u1 − p1)² + (p0 − l0)²). It never leaves −1..=1 and needs no minimum of subjects.
///
/// Source: Newcombe, R. G. (1998), "Interval estimation for the difference between independent proportions: comparison of
/// eleven methods", Statistics in Medicine 17, 873–890, method 10.
///
/// Both are (successes, subjects). None where either side has no subjects: there is nothing to say.
///
/// # Panics
/// If successes are above subjects: the caller has miscounted.
pub fn newcombe(of: (u64, u64), from: (u64, u64)) -> Option<Estimate> {
    newcombe_at(of, from, Z_95)
}

/// [`newcombe`] at another z than that of 95 %.
pub(crate) fn newcombe_at(of: (u64, u64), from: (u64, u64), z: f64) -> Option<Estimate> {
    let (one, zero) = (wilson_at(of.0, of.1, z)?, wilson_at(from.0, from.1, z)?);
    let estimate = |(successes, n): (u64, u64), interval| Estimate {
        value: float(successes) / float(n),
        interval,
    };
    Some(square_and_add(estimate(of, one), estimate(from, zero)))
}

/// A difference of two shares from an interval of each, all of one level: its limits lie as far off as those of the two do
/// together. Between −1 and 1.
///
/// Source: Zou, G. Y. and Donner, A. (2008), "Construction of confidence limits about effect measures: a general approach",
/// Statistics in Medicine 27, 1693–1702; with Wilson's intervals it is Newcombe's method 10.
pub(crate) fn square_and_add(one: Estimate, zero: Estimate) -> Estimate {
    let value = one.value - zero.value;
    let below = (one.value - one.interval.low).hypot(zero.interval.high - zero.value);
    let above = (one.interval.high - one.value).hypot(zero.value - zero.interval.low);
    Estimate {
        value,
        interval: Interval {
            low: (value - below).max(-1.0),
            high: (value + above).min(1.0),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight examples of Newcombe (1998), table II, method 10, to the four decimals printed there.
    #[test]
    fn the_published_examples_come_out() {
        let cases = [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((6, 7), (2, 7), 0.0582, 0.8062),
            ((5, 56), (0, 29), -0.0381, 0.1926),
            ((0, 10), (0, 20), -0.1611, 0.2775),
            ((0, 10), (0, 10), -0.2775, 0.2775),
            ((10, 10), (0, 20), 0.6791, 1.0),
            ((10, 10), (0, 10), 0.6075, 1.0),
        ];
        for (of, from, low, high) in cases {
            let interval = newcombe(of, from).unwrap().interval;
            let off = (interval.low - low).abs().max((interval.high - high).abs());
            assert!(off <= 0.000_05, "{of:?} {from:?}: {interval:?}");
        }
    }

    #[test]
    fn a_side_without_subjects_gives_nothing() {
        assert_eq!(newcombe((0, 0), (1, 2)), None);
        assert_eq!(newcombe((1, 2), (0, 0)), None);
    }

    #[test]
    fn the_difference_lies_inside_and_the_other_way_round_is_its_mirror() {
        for (n1, n0) in [(1, 1), (3, 8), (12, 5), (20, 20)] {
            for x1 in 0..=n1 {
                for x0 in 0..=n0 {
                    let there = newcombe((x1, n1), (x0, n0)).unwrap();
                    let back = newcombe((x0, n0), (x1, n1)).unwrap();
                    let (a, b) = (there.interval, back.interval);
                    assert!(-1.0 <= a.low && a.low <= there.value, "{x1}/{n1} {x0}/{n0}");
                    assert!(
                        there.value <= a.high && a.high <= 1.0,
                        "{x1}/{n1} {x0}/{n0}"
                    );
                    assert!((a.low + b.high).abs() < 1e-12 && (a.high + b.low).abs() < 1e-12);
                }
            }
        }
    }
}
