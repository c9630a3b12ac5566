//! Whether two rates differ by more than chance: the p of "they are equal", two-sided.
//!
//! **Many subjects: the score test** of Miettinen and Nurminen (1985), Statistics in Medicine 4, 213–226, of no difference:
//! z = (p1 − p0) / sqrt(p(1 − p)(1/n1 + 1/n0) · N/(N − 1)), p the rate of both together; p-value = erfc(|z|/√2). It is
//! Pearson's chi-squared with N − 1 for N.
//!
//! **Few: Fisher's exact test.** Given all four margins the successes of one side are hypergeometric; the p-value is the sum
//! of all tables that are at most as probable as the one seen (what R and scipy do). It stands where an expected cell is
//! below [`LEAST_EXPECTED`] (Cochran 1954, Biometrics 10, 417–451), and then sums at most about sqrt(5·N) tables.

use crate::comparison::least_expected_is_below;
use crate::score::z_of_no_effect;
use crate::{Counts, float, normal};

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
    let (one_counts, zero_counts) = (checked(one), checked(zero));
    if least_expected_is_below(LEAST_EXPECTED, one_counts, zero_counts) {
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
pub fn score(one: (u64, u64), zero: (u64, u64)) -> Option<f64> {
    let (one, zero) = (checked(one), checked(zero));
    if one.units() == 0 || zero.units() == 0 {
        return None;
    }
    Some(normal::two_sided(z_of_no_effect(one, zero)))
}

/// The most tables that [`fisher`] sums; with an expected cell below [`LEAST_EXPECTED`] it never needs a thousandth.
const MOST_TABLES: usize = 2_000_000;

/// The p of Fisher's exact test, two-sided. None where a side has no subjects, or where more than two million tables
/// would have to be summed: there the score test is exact enough for anybody. Below 1e-300 it is 0.
///
/// Cost: linear in the tables that are not too improbable for a float, some forty standard deviations each way.
///
/// # Panics
/// As [`difference`].
pub fn fisher(one: (u64, u64), zero: (u64, u64)) -> Option<f64> {
    let (mut one, mut zero) = (checked(one), checked(zero));
    if one.units() == 0 || zero.units() == 0 {
        return None;
    }
    // The same tables with the rarer outcome and the smaller side in the corner, where their numbers have room.
    let sum = |a: u64, b: u64| u128::from(a) + u128::from(b);
    if sum(one.successes(), zero.successes()) > sum(one.failures(), zero.failures()) {
        (one, zero) = (one.mirrored(), zero.mirrored());
    }
    if one.units() > zero.units() {
        (one, zero) = (zero, one);
    }
    at_most_as_probable(one, zero)
}

/// [`fisher`] of tables whose rarer outcome are the successes and whose smaller side is one.
fn at_most_as_probable(one: Counts, zero: Counts) -> Option<f64> {
    let ((x1, n1), (x0, n0)) = (
        (one.successes(), one.units()),
        (zero.successes(), zero.units()),
    );
    let (x, n) = (
        u128::from(x1) + u128::from(x0),
        u128::from(n1) + u128::from(n0),
    );
    let least = narrow(x.saturating_sub(u128::from(n0)));
    let most = narrow(x.min(u128::from(n1)));
    // Probability of k + 1 ÷ that of k.
    let ratio = |k: u64| {
        let (above, zero_fails) = (u128::from(k) + 1, u128::from(n0) + u128::from(k) + 1 - x);
        float(n1 - k) * wide(x - u128::from(k)) / (wide(above) * wide(zero_fails))
    };
    let mode = mode(n1, x, n).clamp(least, most);
    let weights = outcomes(least..=most, mode, ratio);
    (weights.len() <= MOST_TABLES).then(|| share(weights, x1))
}

/// Outcomes with their weights relative to `mode`'s, each way until a weight is 0; `ratio` is the probability of k + 1 ÷ that
/// of k. If there are more than [`MOST_TABLES`] it stops there.
pub(crate) fn outcomes(
    range: std::ops::RangeInclusive<u64>,
    mode: u64,
    ratio: impl Fn(u64) -> f64,
) -> Vec<(u64, f64)> {
    let mut weights = vec![(mode, 1.0)];
    let downwards = (*range.start()..mode).rev().map(|k| (k, 1.0 / ratio(k)));
    let upwards = (mode..*range.end()).map(|k| (k + 1, ratio(k)));
    extend(&mut weights, downwards);
    extend(&mut weights, upwards);
    weights
}

fn extend(weights: &mut Vec<(u64, f64)>, steps: impl Iterator<Item = (u64, f64)>) {
    let mut weight = 1.0;
    for (k, factor) in steps {
        weight *= factor;
        if weight == 0.0 || weights.len() > MOST_TABLES {
            break;
        }
        weights.push((k, weight));
    }
}

/// The most probable count of successes of one, or one near it: (n1 + 1)(x + 1) ÷ (n + 2), rounded down.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float of at most n1; where it is rounded up the caller cuts it"
)]
fn mode(n1: u64, x: u128, n: u128) -> u64 {
    let (units, successes) = (u128::from(n1) + 1, x + 1);
    let exact = units.checked_mul(successes).map(|all| all / (n + 2));
    exact.map_or_else(
        || (wide(units) * (wide(successes) / wide(n + 2))) as u64,
        narrow,
    )
}

/// The share of the outcomes that are at most as probable as the one `seen`; an outcome not listed weighs nothing.
pub(crate) fn share(mut weights: Vec<(u64, f64)>, seen: u64) -> f64 {
    weights.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some((_, limit)) = weights.iter().find(|(k, _)| *k == seen).copied() else {
        return 0.0;
    };
    let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let extreme = weights
        .iter()
        .map(|(_, weight)| *weight)
        .take_while(|w| *w <= limit * EQUALLY_PROBABLE);
    (extreme.sum::<f64>() / all).min(1.0)
}

/// A count that fits because it is at most another u64; else the greatest.
fn narrow(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio of counts needs no more digits than a float has"
)]
pub(crate) fn wide(count: u128) -> f64 {
    count as f64
}

fn checked((x, n): (u64, u64)) -> Counts {
    Counts::new(x, n).unwrap_or_else(|error| panic!("{error}"))
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
    #[should_panic(expected = "3 successes of 2 units")]
    fn more_successes_than_subjects_is_a_bug() {
        fisher((3, 2), (0, 1));
    }
}
