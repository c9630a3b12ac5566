//! The interval of a rate: how far x of n may be from the truth.

use crate::{Interval, Z_95, float};

/// Wilson's score interval of a proportion, 95 %, without continuity correction.
///
/// With p = x/n and z = 1.95996…: (p + z²/2n ± z·sqrt(p(1−p)/n + z²/4n²)) / (1 + z²/n).
/// It is written here with n multiplied through, and its ends at x = 0 and x = n are exactly 0 and 1.
///
/// Source: Wilson, E. B. (1927), "Probable inference, the law of succession, and statistical inference", JASA 22,
/// 209–212. Unlike p ± z·se it stays inside 0..=1 and holds its coverage for few subjects (Brown, Cai, DasGupta 2001).
///
/// `successes` of `n`, both counts of subjects. None for n = 0: there is nothing to say.
///
/// # Panics
/// If `successes` is above `n`: the caller has miscounted.
pub fn wilson(successes: u64, n: u64) -> Option<Interval> {
    wilson_at(successes, n, Z_95)
}

/// [`wilson`] at another z than that of 95 %.
pub(crate) fn wilson_at(successes: u64, n: u64, z: f64) -> Option<Interval> {
    assert!(successes <= n, "{successes} successes of {n}");
    if n == 0 {
        return None;
    }
    let (x, failures, total) = (float(successes), float(n - successes), float(n));
    let z2 = z * z;
    let spread = z * (x * failures / total + z2 / 4.0).sqrt();
    let low = if successes == 0 {
        0.0
    } else {
        (x + z2 / 2.0 - spread) / (total + z2)
    };
    let high = if successes == n {
        1.0
    } else {
        (x + z2 / 2.0 + spread) / (total + z2)
    };
    Some(Interval {
        low: low.max(0.0),
        high: high.min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gives_no_interval() {
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn none_and_all_reach_exactly_to_the_ends() {
        for n in [1, 2, 10, 1_000_000, u64::MAX] {
            let (none, all) = (wilson(0, n).unwrap(), wilson(n, n).unwrap());
            assert!(
                none.low.to_bits() == 0.0_f64.to_bits() && all.high.to_bits() == 1.0_f64.to_bits()
            );
            assert!(none.high > 0.0 && none.high < 1.0 && all.low > 0.0);
            assert!((none.high - (1.0 - all.low)).abs() < 1e-12, "mirror images");
        }
    }

    #[test]
    fn the_rate_lies_inside_its_interval() {
        for n in 1..60 {
            for x in 0..=n {
                let interval = wilson(x, n).unwrap();
                let rate = float(x) / float(n);
                assert!(interval.low <= rate && rate <= interval.high, "{x} of {n}");
                assert!(interval.low >= 0.0 && interval.high <= 1.0);
            }
        }
    }

    #[test]
    #[should_panic(expected = "3 successes of 2")]
    fn more_successes_than_subjects_is_a_bug() {
        wilson(3, 2);
    }
}
