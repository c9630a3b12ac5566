//! The tail of a density whose logarithm is concave, as an integral: good to 1e-13 of itself however small it is.

/// Step of the quadrature, and the range of its variable.
const STEP: f64 = 1.0 / 16.0;
const FIRST: f64 = -3.75;

/// Beyond this fall of the logarithm nothing is left for a float: e^−50.
const DEEP: f64 = 50.0;

/// A density whose logarithm, less that of its peak, is below this has no tail left.
const NOTHING: f64 = -800.0;

/// ln ∫ exp(`log`(x)) dx from `from` to infinity, where `log` is concave and falls from `from` on; `length` is a guess of
/// how far it takes to fall by one. The density is about one at its peak.
///
/// x = from + ℓ·exp(s − exp(−s)), ℓ the length in which the logarithm falls by one; the sum over equal steps of s then
/// converges exponentially (the double exponential formula for half-infinite ranges).
///
/// Source: Takahasi, H. and Mori, M. (1974), "Double exponential formulas for numerical integration", Publications of RIMS 9,
/// 721–741.
pub(crate) fn log_tail(log: impl Fn(f64) -> f64, from: f64, length: f64) -> f64 {
    log_tail_of(log, from, length, |_| 1.0)
}

/// [`log_tail`] of the density times a positive factor of the distance from `from` that grows no faster than the density
/// falls.
pub(crate) fn log_tail_of(
    log: impl Fn(f64) -> f64,
    from: f64,
    length: f64,
    factor: impl Fn(f64) -> f64,
) -> f64 {
    let start = log(from);
    if start < NOTHING {
        return f64::NEG_INFINITY;
    }
    let length = falls_by_one(|v| start - log(from + v), length);
    let mut sum = 0.0;
    let mut s = FIRST;
    loop {
        let inner = (-s).exp();
        let v = (s - inner).exp();
        let fall = start - log(from + length * v);
        sum += v * (1.0 + inner) * (-fall).exp() * factor(length * v);
        if fall > DEEP || s > 8.0 {
            break;
        }
        s += STEP;
    }
    start + (sum * STEP * length).ln()
}

/// The length, within a factor of 1.2, in which `fall` reaches 1; it rises from 0.
fn falls_by_one(fall: impl Fn(f64) -> f64, guess: f64) -> f64 {
    let mut length = guess;
    let growing = fall(length) < 1.0;
    let factor: f64 = if growing { 1.2 } else { 1.0 / 1.2 };
    for _ in 0..4_000 {
        let next = length * factor;
        if (fall(next) < 1.0) != growing || next == 0.0 || !next.is_finite() {
            break;
        }
        length = next;
    }
    length
}
