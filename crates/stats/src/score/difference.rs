//! The score statistic of a supposed difference of two rates, and the interval made of it.

use super::{observed_difference, z_of_no_effect};
use crate::{Counts, Interval, root::root};

/// z(D) of a supposed difference −1 ≤ D ≤ 1. Both have units. Finite; falls as D rises.
pub(crate) fn z(one: Counts, zero: Counts, supposed: f64) -> f64 {
    if supposed == 0.0 {
        return z_of_no_effect(one, zero);
    }
    let ((x1, f1, n1), (x0, f0, n0)) = (one.floats(), zero.floats());
    if x1 + x0 > f1 + f0 {
        // Rates near one are told by their failures, where the digits are.
        return -z(one.mirrored(), zero.mirrored(), -supposed);
    }
    let supposed = supposed.clamp(-1.0, 1.0);
    let (above_1, above_0) = (supposed.max(0.0), (-supposed).max(0.0));
    let least = constrained(
        Side {
            x: x1,
            f: f1,
            above: above_1,
        },
        Side {
            x: x0,
            f: f0,
            above: above_0,
        },
    );
    let (q1, q0) = (least + above_1, least + above_0);
    let variance = q1 * (1.0 - q1).max(0.0) / n1 + q0 * (1.0 - q0).max(0.0) / n0;
    super::z(observed_difference(one, zero) - supposed, variance, n1 + n0)
}

/// One arm: successes, failures, and how far its rate lies above the lesser of the two.
#[derive(Clone, Copy)]
struct Side {
    x: f64,
    f: f64,
    above: f64,
}

/// The lesser of the two most likely rates, given their distance: where the derivative of the log likelihood,
/// x1/q1 − f1/(1 − q1) + x0/q0 − f0/(1 − q0), passes zero. It falls throughout, and each arm's part is zero at that arm's
/// own rate: the root is between the two of them, or at the end of what is possible.
fn constrained(one: Side, zero: Side) -> f64 {
    let most = 1.0 - one.above.max(zero.above);
    let own = |side: Side| (side.x / (side.x + side.f) - side.above).clamp(0.0, most);
    let part = |side: Side, least: f64| {
        let rate = least + side.above;
        let up = if side.x > 0.0 { side.x / rate } else { 0.0 };
        let down = if side.f > 0.0 {
            side.f / (1.0 - rate).max(0.0)
        } else {
            0.0
        };
        up - down
    };
    let slope = |least: f64| part(one, least) + part(zero, least);
    let (low, high) = (own(one).min(own(zero)), own(one).max(own(zero)));
    // An end that the slope does not turn at is the root itself: the likelihood still rises there, or falls already.
    if high <= 0.0 || slope(low) <= 0.0 {
        return low;
    }
    if slope(high) >= 0.0 {
        return high;
    }
    root(low, high, slope)
}

/// All differences D with |z(D)| ≤ `critical`; inside −1..=1.
pub(crate) fn interval(one: Counts, zero: Counts, critical: f64) -> Interval {
    let low = least(one, zero, critical);
    let high = -least(zero, one, critical);
    Interval { low, high }
}

/// The lower end: where z(D) comes down to `critical`. The bracket stops at no effect, so that it is left out exactly where
/// the test of it says so.
fn least(one: Counts, zero: Counts, critical: f64) -> f64 {
    let seen = observed_difference(one, zero);
    if seen <= -1.0 {
        return -1.0;
    }
    let over = |supposed: f64| z(one, zero, supposed) - critical;
    if over(0.0) > 0.0 {
        root(0.0, seen, over)
    } else {
        root(-1.0, seen.min(0.0), over)
    }
}
