//! Where a function changes its sign: bisection that takes the faster step where it is safe.

/// Enough for any bracket of floats: most need ten.
const STEPS: usize = 400;

/// The zero of `f` between `a` and `b`, at whose ends it has opposite signs (or is zero), to two units in the last place.
///
/// Chandrupatla's method: inverse quadratic interpolation inside the bracket where the three last points are in a shape that
/// makes it trustworthy, bisection elsewhere. It gives what bisection would, in a fifth of the steps. `f` may be ±infinite or
/// huge at its ends.
///
/// Source: Chandrupatla, T. R. (1997), "A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear
/// function without using derivatives", Advances in Engineering Software 28, 145–149.
pub(crate) fn root(a: f64, b: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (mut near, mut far) = ((a, f(a)), (b, f(b)));
    let mut share: f64 = 0.5;
    for _ in 0..STEPS {
        let best = if near.1.abs() < far.1.abs() {
            near
        } else {
            far
        };
        let width = (far.0 - near.0).abs();
        let least = (2.0 * f64::EPSILON * best.0.abs() + f64::MIN_POSITIVE) / width;
        if best.1 == 0.0 || width == 0.0 || least > 0.5 {
            return best.0;
        }
        let share_now = share.clamp(least, 1.0 - least);
        let x = near.0 + share_now * (far.0 - near.0);
        let new = (x, f(x));
        let old = if (new.1 > 0.0) == (near.1 > 0.0) {
            near
        } else {
            std::mem::replace(&mut far, near)
        };
        near = new;
        share = interpolated(near, far, old).unwrap_or(0.5);
    }
    near.0
}

/// How far the next point lies on the way from `near` to `far`, by inverse quadratic interpolation; None where that is
/// unsafe.
fn interpolated(near: (f64, f64), far: (f64, f64), old: (f64, f64)) -> Option<f64> {
    let ((x1, f1), (x2, f2), (x3, f3)) = (near, far, old);
    let along = (x1 - x2) / (x3 - x2);
    let up = (f1 - f2) / (f3 - f2);
    let safe = up * up < along && (1.0 - up) * (1.0 - up) < 1.0 - along;
    let share = f1 / (f2 - f1) * (f3 / (f2 - f3))
        + (x3 - x1) / (x2 - x1) * (f1 / (f3 - f1)) * (f2 / (f3 - f2));
    (safe && share.is_finite()).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_bisection_finds() {
        type Case<'a> = (&'a dyn Fn(f64) -> f64, f64, f64);
        let functions: [Case<'_>; 5] = [
            (&|x| x * x - 2.0, 0.0, 2.0),
            (&|x| x.exp() - 1e-9, -50.0, 3.0),
            (&|x| 1.0 / x - 1e19, 0.0, 1.0),
            (&|x| (x - 0.3).powi(9), 0.0, 1.0),
            (&|x| 0.1 - x.powi(3), -1.0, 1.0),
        ];
        for (at, (f, a, b)) in functions.iter().enumerate() {
            let (mut low, mut high) = (*a, *b);
            for _ in 0..2_000 {
                let middle = f64::midpoint(low, high);
                let side = if (f(middle) > 0.0) == (f(*a) > 0.0) {
                    &mut low
                } else {
                    &mut high
                };
                *side = middle;
            }
            let found = root(*a, *b, f);
            // The ninth power is flat: any x within 1e-2 of its zero is below 1e-18.
            let within = if at == 3 { 1e-9 } else { 1e-14 * low.abs() };
            assert!((found - low).abs() <= within, "{at}: {found} for {low}");
        }
    }
}
