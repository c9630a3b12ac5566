//! What to believe of two or more rates: the chance that one is the greatest, and what choosing another would lose.
//!
//! Each rate has a Beta prior and, after its counts, a Beta posterior; rates are independent. Chances and losses are
//! integrals over the narrower posterior, by equal steps of its logit, in which the integrand is smooth and log-concave:
//! the sum converges exponentially and holds for small counts as for large ones, in the tails too. (A closed sum exists
//! for whole priors and few successes; tests hold the integral to it.)

use crate::beta::Beta;
use crate::{Counts, Error, Null};

/// What is believed before any unit: Beta(successes, failures).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    successes: f64,
    failures: f64,
}

impl Default for Prior {
    /// All rates alike: Beta(1, 1).
    fn default() -> Prior {
        Prior {
            successes: 1.0,
            failures: 1.0,
        }
    }
}

impl Prior {
    /// As if so many units had succeeded and failed before; each 0.1..=1e9.
    ///
    /// # Errors
    /// [`Error::Prior`] outside.
    pub fn new(successes: f64, failures: f64) -> Result<Prior, Error> {
        for count in [successes, failures] {
            if !(0.1..=1e9).contains(&count) {
                return Err(Error::Prior(count));
            }
        }
        Ok(Prior {
            successes,
            failures,
        })
    }

    fn after(self, counts: Counts) -> Beta {
        let (successes, failures, _) = counts.floats();
        Beta::new(self.successes + successes, self.failures + failures)
    }
}

/// The treatment beside the control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Belief {
    /// Chance that the treatment's rate is the higher one.
    pub chance_to_win: f64,
    /// Chance that it is the lower one: as a tail, not as one minus the other.
    pub chance_to_lose: f64,
    /// By how much the control is higher, in the mean, 0 where it is not: what choosing the treatment loses; points ÷ 100.
    pub loss_if_treatment: f64,
    /// What choosing the control loses.
    pub loss_if_control: f64,
}

/// Believes of two rates.
///
/// # Errors
/// [`Null::NoUnits`] where an arm has none.
pub fn believe(treatment: Counts, control: Counts, prior: Prior) -> Result<Belief, Null> {
    if treatment.units() == 0 || control.units() == 0 {
        return Err(Null::NoUnits);
    }
    let (one, zero) = (prior.after(treatment), prior.after(control));
    Ok(Belief {
        chance_to_win: chance_above(one, zero),
        chance_to_lose: chance_above(zero, one),
        loss_if_treatment: excess(zero, one),
        loss_if_control: excess(one, zero),
    })
}

/// P(one > zero).
fn chance_above(one: Beta, zero: Beta) -> f64 {
    // θ1 > θ0 is 1 − θ0 > 1 − θ1: the narrower one can always be the one gone through.
    if one.width() < zero.width() {
        return over(zero.mirrored(), one.mirrored(), Beta::above).min(1.0);
    }
    over(one, zero, Beta::above).min(1.0)
}

/// E[(one − zero)⁺].
fn excess(one: Beta, zero: Beta) -> f64 {
    if one.width() < zero.width() {
        return over(zero.mirrored(), one.mirrored(), Beta::excess).min(1.0);
    }
    over(one, zero, Beta::excess).min(1.0)
}

/// The first step, in widths of the narrower posterior and in the logit.
const FIRST_STEP: f64 = 0.5;
const LONGEST_STEP: f64 = 1.0;

/// The step is halved until it no longer matters, at most so often.
const HALVINGS: usize = 8;

/// What falls by this from its greatest has nothing left for a float.
const DEEP: f64 = 45.0;

/// Beyond so many first steps from its peak the density of the narrower posterior is below any float.
const FARTHEST: f64 = 1_000.0;

/// ∫ of the density of `narrow` times `of(wide)` at the same rate.
fn over(wide: Beta, narrow: Beta, of: impl Fn(Beta, f64) -> f64) -> f64 {
    let apart = (narrow.odds() / wide.odds()).ln();
    let mut step = (narrow.width() * FIRST_STEP).min(LONGEST_STEP);
    let end = FARTHEST * step;
    let log = |at: f64| narrow.log_density(at) + of(wide, at + apart).ln();
    let start = log(0.0);
    let both = |first: f64, step: f64| {
        let up = march(&log, start, first, step, end);
        up + march(&log, start, -first, -step, end)
    };
    let mut sum = (start.exp() + both(step, step)) * step;
    for _ in 0..HALVINGS {
        // The points half way between.
        let finer = sum / 2.0 + both(step / 2.0, step) * step / 2.0;
        let moved = (finer - sum).abs();
        (sum, step) = (finer, step / 2.0);
        if moved <= 1e-9 * sum {
            // Halving squares the error twice: what moved by 1e-9 is now exact to 1e-30.
            break;
        }
    }
    sum
}

/// The sum of exp(log) at first, first + step, … in one direction: up to its greatest and on until it has fallen to nothing.
fn march(log: &impl Fn(f64) -> f64, start: f64, first: f64, step: f64, end: f64) -> f64 {
    let (mut sum, mut greatest, mut at) = (0.0, start, first);
    while at.abs() < end {
        let value = log(at);
        sum += value.exp();
        if value < greatest - DEEP {
            break;
        }
        greatest = greatest.max(value);
        at += step;
    }
    sum
}

/// The chance of each arm to have the highest rate, in the order given; they add up to 1. To 1e-9.
///
/// ∫ fᵢ·Π Fⱼ over the logit, by Gauss's rule between the points whole widths away from the peaks of all arms.
///
/// # Errors
/// [`Null::NoUnits`] where an arm has none, or there are no arms.
pub fn chance_of_best(arms: &[Counts], prior: Prior) -> Result<Vec<f64>, Null> {
    if arms.is_empty() || arms.iter().any(|arm| arm.units() == 0) {
        return Err(Null::NoUnits);
    }
    let beliefs: Vec<Beta> = arms.iter().map(|arm| prior.after(*arm)).collect();
    let apart: Vec<f64> = beliefs
        .iter()
        .map(|b| (b.odds() / beliefs[0].odds()).ln())
        .collect();
    let mut chances = vec![0.0; arms.len()];
    let ends = ends(&beliefs, &apart);
    for panel in ends.windows(2) {
        for (t, weight) in crate::plan::gauss(panel[0], panel[1]) {
            let below: Vec<f64> = beliefs
                .iter()
                .zip(&apart)
                .map(|(b, at)| b.mirrored().above(at - t))
                .collect();
            for (i, belief) in beliefs.iter().enumerate() {
                let others = below.iter().enumerate().filter(|(j, _)| *j != i);
                let all_below: f64 = others.map(|(_, below)| below).product();
                chances[i] += weight * belief.log_density(t - apart[i]).exp() * all_below;
            }
        }
    }
    let sum: f64 = chances.iter().sum();
    Ok(chances.into_iter().map(|chance| chance / sum).collect())
}

/// Where panels end, ascending: up to ten widths about each peak, and on to where the tails, which fall by a and b a logit,
/// have fallen to nothing: far out where few units meet a small prior.
fn ends(beliefs: &[Beta], apart: &[f64]) -> Vec<f64> {
    let about = |(belief, at): (&Beta, &f64)| {
        let (width, at) = (belief.width(), *at);
        let near = (-20..=20).map(move |k| at + f64::from(k) * 0.5 * width);
        let (down, up) = belief.falls();
        let beyond = move |fall: f64, sign: f64| {
            let steps = (1..).map(move |k| 2.0 * width * f64::from(k));
            let needed = steps.take_while(move |step| (step + 8.0 * width) * fall < DEEP);
            needed.map(move |step| at + sign * (10.0 * width + step))
        };
        near.chain(beyond(down, -1.0)).chain(beyond(up, 1.0))
    };
    let mut ends: Vec<f64> = beliefs.iter().zip(apart).flat_map(about).collect();
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(successes: u64, units: u64) -> Counts {
        Counts::new(successes, units).unwrap()
    }

    fn of((x1, n1): (u64, u64), (x0, n0): (u64, u64)) -> Belief {
        believe(counts(x1, n1), counts(x0, n0), Prior::default()).unwrap()
    }

    #[test]
    fn the_headline_case_comes_out() {
        let belief = of((1_320, 10_000), (1_200, 10_000));
        assert!(
            (belief.chance_to_win - 0.994_719_126_2).abs() < 5e-11,
            "{belief:?}"
        );
        assert!((belief.chance_to_win + belief.chance_to_lose - 1.0).abs() < 1e-13);
        let gain = belief.loss_if_control - belief.loss_if_treatment;
        assert!(
            (gain - 120.0 / 10_002.0).abs() < 1e-13,
            "the difference of the means"
        );
    }

    /// P(θ1 > θ0) of whole posteriors: Σ over i < a1 of B(a0 + i, b0 + b1)/((b1 + i)·B(1 + i, b1)·B(a0, b0)) (Miller 2010).
    fn closed_sum((x1, n1): (u64, u64), (x0, n0): (u64, u64)) -> f64 {
        let beta = |a: f64, b: f64| libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
        let float = crate::float;
        let (b1, a0, b0) = (float(n1 - x1 + 1), float(x0 + 1), float(n0 - x0 + 1));
        let term = |i: u64| {
            let i = float(i);
            (beta(a0 + i, b0 + b1) - (b1 + i).ln() - beta(1.0 + i, b1) - beta(a0, b0)).exp()
        };
        (0..=x1).map(term).sum()
    }

    #[test]
    fn the_integral_is_the_closed_sum() {
        for (n1, n0, every) in [(1, 1, 1), (3, 9, 1), (20, 14, 2), (60, 60, 12), (2, 60, 4)] {
            let one = (0..=n1).step_by(every);
            for (x1, x0) in one.flat_map(|x1| (0..=n0).step_by(every).map(move |x0| (x1, x0))) {
                let belief = of((x1, n1), (x0, n0));
                let (win, lose) = (
                    closed_sum((x1, n1), (x0, n0)),
                    closed_sum((x0, n0), (x1, n1)),
                );
                let what = format!("{x1}/{n1} {x0}/{n0}: {belief:?}");
                assert!(
                    (belief.chance_to_win / win - 1.0).abs() < 1e-11,
                    "{what} {win}"
                );
                assert!(
                    (belief.chance_to_lose / lose - 1.0).abs() < 1e-11,
                    "{what} {lose}"
                );
                let gain = belief.loss_if_control - belief.loss_if_treatment;
                let means = crate::float(x1 + 1) / crate::float(n1 + 2)
                    - crate::float(x0 + 1) / crate::float(n0 + 2);
                assert!((gain - means).abs() < 1e-12, "{what}");
            }
        }
    }

    #[test]
    fn arms_that_are_alike_share_the_chance_and_two_arms_have_the_chance_to_win() {
        let same = chance_of_best(&[counts(30, 100); 4], Prior::default()).unwrap();
        assert!(
            same.iter().all(|chance| (chance - 0.25).abs() < 1e-12),
            "{same:?}"
        );
        for (one, zero) in [
            ((3, 5), (40, 9_000)),
            ((1_320, 10_000), (1_200, 10_000)),
            ((0, 9), (1, 9)),
        ] {
            let arms = [counts(one.0, one.1), counts(zero.0, zero.1)];
            let best = chance_of_best(&arms, Prior::default()).unwrap();
            assert!(
                (best[0] - of(one, zero).chance_to_win).abs() < 1e-9,
                "{best:?}"
            );
        }
    }

    #[test]
    fn a_small_prior_that_few_units_meet_keeps_its_long_tails() {
        let prior = Prior::new(0.1, 0.1).unwrap();
        for (one, zero) in [
            ((0, 5), (0, 9)),
            ((5, 5), (9, 9)),
            ((0, 5), (9, 9)),
            ((1, 2), (0, 900)),
        ] {
            let arms = [counts(one.0, one.1), counts(zero.0, zero.1)];
            let best = chance_of_best(&arms, prior).unwrap();
            let belief = believe(arms[0], arms[1], prior).unwrap();
            assert!(
                (best[0] - belief.chance_to_win).abs() < 1e-9,
                "{best:?} {belief:?}"
            );
            let sum = belief.chance_to_win + belief.chance_to_lose;
            assert!((sum - 1.0).abs() < 1e-12, "{belief:?}");
        }
    }

    #[test]
    fn what_is_no_prior_is_a_typed_error_and_no_units_a_null() {
        for wrong in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(Prior::new(wrong, 1.0), Err(Error::Prior(wrong)));
            assert_eq!(Prior::new(1.0, wrong), Err(Error::Prior(wrong)));
        }
        assert!(Prior::new(f64::NAN, 1.0).is_err());
        let none = believe(counts(0, 0), counts(1, 2), Prior::default());
        assert_eq!(none, Err(Null::NoUnits));
        assert_eq!(chance_of_best(&[], Prior::default()), Err(Null::NoUnits));
    }
}
