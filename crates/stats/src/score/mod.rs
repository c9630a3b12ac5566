//! The score statistic of Miettinen and Nurminen: one test and two intervals that always agree.
//!
//! For two independent rates, one (x1 of n1) and zero (x0 of n0), N = n1 + n0, and a supposed difference D or ratio R, z is
//! the observed deviation over its standard error, the variances taken at the pair of rates that are most likely among
//! those which obey the supposition, times N/(N − 1). The test supposes no effect (D = 0, which is R = 1); an interval is
//! all suppositions whose |z| is at most that of the level. So p < α exactly where both intervals leave no effect out.
//!
//! Source: Miettinen, O. and Nurminen, M. (1985), "Comparative analysis of two rates", Statistics in Medicine 4, 213–226.

mod difference;
mod ratio;

pub(crate) use difference::{interval as difference_interval, z as z_of_difference};
pub(crate) use ratio::{interval as ratio_interval, z as z_of_ratio};

use crate::difference::wide;
use crate::{Counts, float};

/// Rate of one minus rate of zero, to the last digits whatever the counts; −1..=1. Both have units.
pub(crate) fn observed_difference(one: Counts, zero: Counts) -> f64 {
    let cross = |a: Counts, b: Counts| u128::from(a.successes()) * u128::from(b.units());
    let (there, back) = (cross(one, zero), cross(zero, one));
    let apart = wide(there.abs_diff(back)) / (float(one.units()) * float(zero.units()));
    let apart = apart.min(1.0);
    if there >= back { apart } else { -apart }
}

/// z of no effect: of D = 0 and of R = 1. Both have units; 0 where nobody or everybody succeeded.
pub(crate) fn z_of_no_effect(one: Counts, zero: Counts) -> f64 {
    let ((x1, f1, n1), (x0, f0, n0)) = (one.floats(), zero.floats());
    let all = n1 + n0;
    let pooled = ((x1 + x0) / all) * ((f1 + f0) / all);
    let variance = pooled * (1.0 / n1 + 1.0 / n0);
    z(observed_difference(one, zero), variance, all)
}

/// A deviation over its standard error, with the factor N/(N − 1); finite: ±MAX where the variance is 0, and 0 of 0.
fn z(deviation: f64, variance: f64, all: f64) -> f64 {
    if deviation == 0.0 {
        return 0.0;
    }
    let error = (variance * (all / (all - 1.0))).sqrt();
    if error > 0.0 {
        (deviation / error).clamp(-f64::MAX, f64::MAX)
    } else {
        f64::MAX.copysign(deviation)
    }
}
