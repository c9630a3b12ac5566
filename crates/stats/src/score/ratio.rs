//! The score statistic of a supposed ratio of two rates, and the interval made of it.

use super::{z as standardised, z_of_no_effect};
use crate::{Counts, root::root};

/// The farthest logarithm of a ratio that is looked at: no counts have an interval that far.
const FARTHEST: f64 = 600.0;

/// z(R) of a supposed ratio R > 0 of the rate of one to that of zero. Both have units. Finite; falls as R rises.
///
/// The most likely q0 is a root of N·R·q0² − (R(n1 + x0) + n0 + x1)·q0 + x1 + x0 = 0, and q1 = R·q0. The variance is
/// q1(1 − q1)/n1 + R²·q0(1 − q0)/n0. The discriminant is written as a sum of what is never negative:
/// (R(n1 + x0) − (n0 + x1))² + 4R·f1·f0.
pub(crate) fn z(one: Counts, zero: Counts, supposed: f64) -> f64 {
    let no_effect = supposed.to_bits() == 1.0_f64.to_bits();
    if no_effect || (one.successes() == 0 && zero.successes() == 0) {
        return z_of_no_effect(one, zero);
    }
    let ((x1, f1, n1), (x0, f0, n0)) = (one.floats(), zero.floats());
    let all = n1 + n0;
    let (up, down) = (supposed * (n1 + x0), n0 + x1);
    let spread = (up - down).hypot((4.0 * supposed * f1).sqrt() * f0.sqrt());
    let q0 = 2.0 * (x1 + x0) / (up + down + spread);
    let rest_0 = remainder(supposed * (all + f0) - down, spread, supposed, f0, all);
    let inverse = 1.0 / supposed;
    let spread = spread * inverse;
    let rest_1 = remainder(inverse * (all + f1) - (n1 + x0), spread, inverse, f1, all);
    let variance = supposed * q0 * (rest_1 / n1 + supposed * rest_0 / n0);
    standardised(x1 / n1 - supposed * (x0 / n0), variance, all)
}

/// 1 − q0, without losing the digits of a q0 near one; of one, with the arms and the ratio turned round.
fn remainder(up: f64, spread: f64, supposed: f64, failures: f64, all: f64) -> f64 {
    let rest = if up >= 0.0 {
        (up + spread) / (2.0 * all * supposed)
    } else {
        2.0 * failures * (1.0 - supposed) / (spread - up)
    };
    rest.clamp(0.0, 1.0)
}

/// All ratios R with |z(R)| ≤ `critical`: the lower end, 0 where one has no successes; and the upper, None (no end) where
/// zero has none.
pub(crate) fn interval(one: Counts, zero: Counts, critical: f64) -> (f64, Option<f64>) {
    let low = log_least(one, zero, critical).map_or(0.0, f64::exp);
    let high = log_least(zero, one, critical).map(|log| (-log).exp());
    (low, high)
}

/// The logarithm of the ratio at which z(R) comes down to `critical`; None where it is never above. The bracket grows from no
/// effect, so that it is left out exactly where the test of it says so.
fn log_least(one: Counts, zero: Counts, critical: f64) -> Option<f64> {
    if one.successes() == 0 {
        return None;
    }
    let over = |log: f64| z(one, zero, log.exp()) - critical;
    let upwards = over(0.0) > 0.0;
    let mut step: f64 = if upwards { 0.5 } else { -0.5 };
    while (over(step) > 0.0) == upwards {
        step *= 2.0;
        if step.abs() > FARTHEST {
            return None;
        }
    }
    Some(root(0.0, step, over))
}
