//! CUPED: what a company did before its exposure explains part of what it does after; taking that out narrows the interval
//! and, since assignment is random, moves the difference by nothing but chance.
//!
//! Each unit has x, its behaviour before, and y. θ = Σ over arms of Σ(x − x̄)(y − ȳ) ÷ Σ over arms of Σ(x − x̄)², each
//! arm about its own means: one θ for all arms, so that the adjustment is the same for both. An arm's adjusted mean is ȳ
//! − θ(x̄ − x̄ of all), its variance Σ((y − ȳ) − θ(x − x̄))²/(n(n − 1)).
//!
//! Source: Deng, A., Xu, Y., Kohavi, R. and Walker, T. (2013), "Improving the sensitivity of online controlled experiments by
//! utilizing pre-experiment data", WSDM.

use crate::mean::apart;
use crate::sums::signed;
use crate::{ArmMean, Null, Pairs, float};

/// How far the covariate explains the metric, and the arms adjusted by it, in the order given.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjusted {
    /// The metric's change by one of the covariate.
    pub theta: f64,
    /// The share of the spread inside arms that the covariate takes out, 0..=1.
    pub explained: f64,
    /// Adjusted arms; null where an arm has fewer than two units.
    pub arms: Vec<Result<ArmMean, Null>>,
}

/// Adjusts all arms of an experiment: of each unit x is the covariate, y the metric.
///
/// # Errors
/// [`Null::ConstantCovariate`] where it varies in no arm.
pub fn adjust(arms: &[Pairs]) -> Result<Adjusted, Null> {
    let of_all = |part: &dyn Fn(&Pairs) -> f64| arms.iter().map(part).sum::<f64>();
    let spread = of_all(&|arm| arm.x().spread());
    if spread <= 0.0 {
        return Err(Null::ConstantCovariate);
    }
    let together = of_all(&|arm| arm.together());
    let metric = of_all(&|arm| arm.y().spread());
    let theta = together / spread;
    let units = of_all(&|arm| float(arm.x().units()));
    let before = of_all(&|arm| signed(arm.x().sum())) / units;
    let explained = if metric > 0.0 {
        (theta * together / metric).clamp(0.0, 1.0)
    } else {
        0.0
    };
    Ok(Adjusted {
        theta,
        explained,
        arms: arms
            .iter()
            .map(|arm| adjusted(*arm, theta, before))
            .collect(),
    })
}

fn adjusted(arm: Pairs, theta: f64, before: f64) -> Result<ArmMean, Null> {
    let units = arm.x().units();
    let (x, y) = (
        arm.x().mean().ok_or(Null::NoUnits)?,
        arm.y().mean().ok_or(Null::NoUnits)?,
    );
    if units < 2 {
        return Err(Null::NoVariance);
    }
    let variance = apart(arm, theta) / float(units - 1) / float(units);
    ArmMean::new(y - theta * (x - before), variance, units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(values: &[(i64, i64)]) -> Pairs {
        let mut pairs = Pairs::default();
        for (x, y) in values {
            pairs.add(*x, *y).unwrap();
        }
        pairs
    }

    #[test]
    fn what_the_covariate_tells_wholly_is_taken_out_wholly() {
        // y = 2x in the control and 2x + 3 in the treatment, whose companies were busier before.
        let (one, zero) = (
            pairs(&[(4, 11), (6, 15), (9, 21)]),
            pairs(&[(1, 2), (2, 4), (5, 10)]),
        );
        let adjusted = adjust(&[one, zero]).unwrap();
        assert!((adjusted.theta - 2.0).abs() < 1e-12 && (adjusted.explained - 1.0).abs() < 1e-12);
        let [one, zero] = [0, 1].map(|at: usize| adjusted.arms[at].unwrap());
        assert!((one.value() - zero.value() - 3.0).abs() < 1e-12);
        assert!(one.variance() < 1e-12);
    }

    #[test]
    fn a_constant_covariate_or_too_few_units_is_a_null() {
        let flat = pairs(&[(1, 5), (1, 7)]);
        assert_eq!(adjust(&[flat, flat]), Err(Null::ConstantCovariate));
        assert_eq!(adjust(&[]), Err(Null::ConstantCovariate));
        let full = pairs(&[(1, 5), (3, 7)]);
        let adjusted = adjust(&[full, pairs(&[]), pairs(&[(1, 1)])]).unwrap();
        assert!(adjusted.arms[0].is_ok());
        assert_eq!(
            adjusted.arms[1..],
            [Err(Null::NoUnits), Err(Null::NoVariance)]
        );
    }
}
