//! Whether two rates differ by more than chance: the p of "they are equal", two-sided.
//!
//! **Many subjects: the score test** of Miettinen and Nurminen (1985), Statistics in Medicine 4, 213–226, of no difference:
//! z = (p1 − p0) / sqrt(p(1 − p)(1/n1 + 1/n0) · N/(N − 1)), p the rate of both together; p-value = erfc(|z|/√2). It is
//! Pearson's chi-squared with N − 1 for N.
//!
//! **Few: Fisher's exact test.** Given all four margins the successes of one side are hypergeometric; the p-value is the sum
//! of all tables that are at most as probable as the one seen (what R and scipy do). It stands where an expected cell is
//! below [`LEAST_EXPECTED`] (Cochran 1954, Biometrics 10, 417–451), and then sums at most about sqrt(5·N) tables.

use crate::float;

/// Below this expected count of a cell Fisher's test stands in the place of the score test.
pub const LEAST_EXPECTED: u64 = 5;

/// Tables that are this much more probable than the one seen still count as equally so: their difference is rounding. The
/// same tolerance as R's and scipy's.
const EQUALLY_PROBABLE: f64 = 1.0 + 1e-7;

/// Which test a p-value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Fisher's exact test.
    Fisher,
    /// The score test of Miettinen and Nurminen.
    Score,
}

/// A p-value and its test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tested {
    /// The probability of such a difference, or a more extreme one, where there is none; 0..=1.
    pub p: f64,
    /// The test.
    pub test: Test,
}

/// Tests whether two rates are equal, each (successes, subjects): [`fisher`] where an expected cell is below
/// [`LEAST_EXPECTED`], else [`score`]. None where a side has no subjects.
///
/// # Panics
/// If successes are above subjects: the caller has miscounted.
pub fn difference(one: (u64, u64), zero: (u64, u64)) -> Option<Tested> {
    let (x, n) = (one.0 + zero.0, one.1 + zero.1);
    let least = u128::from(x.min(n - x)) * u128::from(one.1.min(zero.1));
    if least < u128::from(LEAST_EXPECTED) * u128::from(n) {
        let p = fisher(one, zero)?;
        Some(Tested {
            p,
            test: Test::Fisher,
        })
    } else {
        let p = score(one, zero)?;
        Some(Tested {
            p,
            test: Test::Score,
        })
    }
}

/// The p of the score test, two-sided; 1 where nobody or everybody succeeded. None where a side has no subjects.
///
/// # Panics
/// As [`difference`].
pub fn score((x1, n1): (u64, u64), (x0, n0): (u64, u64)) -> Option<f64> {
    check((x1, n1), (x0, n0));
    if n1 == 0 || n0 == 0 {
        return None;
    }
    let (x, n) = (x1 + x0, n1 + n0);
    if x == 0 || x == n {
        return Some(1.0);
    }
    let p = float(x) / float(n);
    let together = p * (float(n - x) / float(n));
    let variance = together * (1.0 / float(n1) + 1.0 / float(n0)) * (float(n) / float(n - 1));
    let z = (float(x1) / float(n1) - float(x0) / float(n0)) / variance.sqrt();
    Some(libm::erfc(z.abs() / std::f64::consts::SQRT_2))
}

/// The p of Fisher's exact test, two-sided. None where a side has no subjects. Below 1e-300 it is 0.
///
/// Cost: linear in the least margin.
///
/// # Panics
/// As [`difference`].
pub fn fisher((x1, n1): (u64, u64), (x0, n0): (u64, u64)) -> Option<f64> {
    check((x1, n1), (x0, n0));
    if n1 == 0 || n0 == 0 {
        return None;
    }
    let x = x1 + x0;
    let (least, most) = (x.saturating_sub(n0), x.min(n1));
    // Probability of k + 1 ÷ that of k.
    let ratio = |k: u64| float(n1 - k) * float(x - k) / (float(k + 1) * float(n0 + k + 1 - x));
    let mode = (u128::from(n1) + 1) * (u128::from(x) + 1) / (u128::from(n1 + n0) + 2);
    let mode = u64::try_from(mode).map_or(most, |mode| mode.clamp(least, most));
    let mut weights = Vec::new();
    let mut weight = 1.0;
    for k in (least..mode).rev() {
        weight /= ratio(k);
        weights.push((k, weight));
    }
    weights.push((mode, 1.0));
    weight = 1.0;
    for k in mode..most {
        weight *= ratio(k);
        weights.push((k + 1, weight));
    }
    weights.sort_by(|a, b| a.1.total_cmp(&b.1));
    let seen = weights
        .iter()
        .find(|(k, _)| *k == x1)
        .expect("it is among the tables")
        .1;
    let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let extreme = weights
        .iter()
        .map(|(_, weight)| *weight)
        .take_while(|w| *w <= seen * EQUALLY_PROBABLE);
    Some((extreme.sum::<f64>() / all).min(1.0))
}

fn check(one: (u64, u64), zero: (u64, u64)) {
    for (x, n) in [one, zero] {
        assert!(x <= n, "{x} successes of {n}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_examples_come_out() {
        // Miettinen and Nurminen's statistic of 1200/10000 against 1320/10000: z = 2.556904.
        let p = score((1320, 10_000), (1200, 10_000)).unwrap();
        assert!((p - 0.010_560_84).abs() < 5e-9, "{p}");
        // The lady tasting tea, 3 of 4 right (Fisher 1935): 34/70.
        let p = fisher((3, 4), (1, 4)).unwrap();
        assert!((p - 34.0 / 70.0).abs() < 1e-12, "{p}");
    }

    #[test]
    fn nobody_and_everybody_differ_from_nobody_and_everybody_by_nothing() {
        for x in [0, 100] {
            assert_eq!(score((x, 100), (x, 100)), Some(1.0));
            assert_eq!(fisher((x, 100), (x, 100)), Some(1.0));
        }
        assert_eq!(difference((0, 0), (1, 2)), None);
        assert_eq!(difference((1, 2), (0, 0)), None);
    }

    #[test]
    fn fisher_stands_in_where_an_expected_cell_is_below_five() {
        let test = |one, zero| difference(one, zero).unwrap().test;
        // Ten of 200 succeed: expected 5 a side.
        assert_eq!(test((4, 100), (6, 100)), Test::Score);
        assert_eq!(test((4, 100), (5, 100)), Test::Fisher);
        assert_eq!(test((96, 100), (95, 100)), Test::Fisher);
    }

    #[test]
    fn a_p_value_is_a_probability_and_does_not_mind_which_side_is_which() {
        for (n1, n0) in [(1, 1), (3, 9), (20, 20), (7, 31)] {
            for (x1, x0) in (0..=n1).flat_map(|x1| (0..=n0).map(move |x0| (x1, x0))) {
                for test in [fisher, score] {
                    let p = test((x1, n1), (x0, n0)).unwrap();
                    let back = test((x0, n0), (x1, n1)).unwrap();
                    assert!((0.0..=1.0).contains(&p), "{x1}/{n1} {x0}/{n0}: {p}");
                    assert!((p - back).abs() < 1e-9, "{x1}/{n1} {x0}/{n0}: {p} {back}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "3 successes of 2")]
    fn more_successes_than_subjects_is_a_bug() {
        fisher((3, 2), (0, 1));
    }
}
