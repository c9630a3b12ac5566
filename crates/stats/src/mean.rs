//! A number a unit: the mean of an arm, or the ratio of two sums, and two arms beside each other.

use crate::comparison::Ratio;
use crate::sums::signed;
use crate::{Estimate, Interval, Level, Null, Pairs, Sums, float, student};

/// What is estimated of an arm, with the variance of the estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmMean {
    pub(crate) value: f64,
    pub(crate) variance: f64,
    pub(crate) units: u64,
    pub(crate) freedom: f64,
}

impl ArmMean {
    /// The mean of one value a unit; its variance is s²/n.
    ///
    /// # Errors
    /// [`Null::NoUnits`] of none, [`Null::NoVariance`] of one.
    pub fn of(values: Sums) -> Result<ArmMean, Null> {
        let value = values.mean().ok_or(Null::NoUnits)?;
        let variance = values.variance().ok_or(Null::NoVariance)?;
        ArmMean::new(value, variance / float(values.units()), values.units())
    }

    /// Σy ÷ Σx, where the assignment unit (a company) has x of a finer one (journeys), of which y succeeded: variance by the
    /// delta method, Σ((y − ȳ) − R(x − x̄))²/(n(n − 1)x̄²), so that journeys of one company are not taken for independent.
    ///
    /// The variance is too small where few units hold most of Σx: with (Σx)²/Σx² below some 200 an arm a test at 5 % errs
    /// more often than that, with 50 some 6 to 8 %, with 10 some 8 to 12 % (simulated, `examples/simulate`). Where x are
    /// subjects and y those that succeeded, [`ArmMean::of_clusters`] has not this weakness.
    ///
    /// Source: Deng, A., Knoblich, U. and Lu, J. (2018), "Applying the delta method in metric analytics", KDD.
    ///
    /// # Errors
    /// As [`ArmMean::of`]; [`Null::NoDenominator`] where Σx is 0.
    pub fn ratio(pairs: Pairs) -> Result<ArmMean, Null> {
        let units = pairs.x().units();
        let below = pairs.x().mean().ok_or(Null::NoUnits)?;
        if pairs.x().sum() == 0 {
            return Err(Null::NoDenominator);
        }
        if units < 2 {
            return Err(Null::NoVariance);
        }
        let value = signed(pairs.y().sum()) / signed(pairs.x().sum());
        let spread = apart(pairs, value);
        let variance = spread / float(units - 1) / float(units) / (below * below);
        ArmMean::new(value, variance, units)
    }

    /// With n − 1 degrees of freedom, and one of a single unit.
    pub(crate) fn new(value: f64, variance: f64, units: u64) -> Result<ArmMean, Null> {
        if value.is_finite() && variance.is_finite() {
            let variance = variance.max(0.0);
            Ok(ArmMean {
                value,
                variance,
                units,
                freedom: float(units.max(2) - 1),
            })
        } else {
            Err(Null::NoVariance)
        }
    }

    /// Its interval by t, at its own degrees of freedom.
    pub fn interval(self, level: Level) -> Interval {
        let half = student::critical(level.alpha(), self.freedom) * self.variance.sqrt();
        Interval {
            low: (self.value - half).max(-f64::MAX),
            high: (self.value + half).min(f64::MAX),
        }
    }

    /// Of a rate by units that all have the same one: with the variance of half a unit more of each kind, so that none of many
    /// can be told from a margin.
    ///
    /// Source: Agresti, A. and Caffo, B. (2000), The American Statistician 54, 280–288, who add one of each.
    #[must_use]
    pub fn in_doubt(self) -> ArmMean {
        let n = float(self.units) + 1.0;
        let rate = (self.value * float(self.units) + 0.5) / n;
        ArmMean {
            variance: (rate * (1.0 - rate) / n).max(0.0),
            ..self
        }
    }

    /// The estimate.
    pub fn value(self) -> f64 {
        self.value
    }

    /// Its variance.
    pub fn variance(self) -> f64 {
        self.variance
    }

    /// The degrees of freedom of the variance, at least 1.
    pub fn freedom(self) -> f64 {
        self.freedom
    }
}

/// Σ((y − ȳ) − slope·(x − x̄))², at least 0.
pub(crate) fn apart(pairs: Pairs, slope: f64) -> f64 {
    let spread =
        pairs.y().spread() - 2.0 * slope * pairs.together() + slope * slope * pairs.x().spread();
    spread.max(0.0)
}

/// Two arms' means (or ratios) beside each other. The test and both intervals rest on one t: they agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanComparison {
    /// Difference ÷ its standard error.
    pub t: f64,
    /// Welch and Satterthwaite's degrees of freedom.
    pub freedom: f64,
    /// Two-sided p of no difference.
    pub p: f64,
    /// Treatment minus control, in the value's unit.
    pub difference: Estimate,
    /// Treatment ÷ control with Fieller's interval.
    pub ratio: Ratio,
}

/// Compares by Welch's t: t = (m1 − m0)/sqrt(v1 + v0), its degrees of freedom (v1 + v0)²/(v1²/f1 + v0²/f0) from those of
/// the arms, which are n − 1 of means and of ratios by the delta method.
///
/// Source: Welch, B. L. (1947), Biometrika 34, 28–35; Satterthwaite, F. E. (1946), Biometrics Bulletin 2, 110–114.
///
/// # Errors
/// [`Null::NoVariance`] where neither arm varies.
pub fn compare_means(
    treatment: ArmMean,
    control: ArmMean,
    level: Level,
) -> Result<MeanComparison, Null> {
    let value = treatment.value - control.value;
    let error = (treatment.variance + control.variance).sqrt();
    if !(error > 0.0 && error.is_finite() && value.is_finite()) {
        return Err(Null::NoVariance);
    }
    let t = (value / error).clamp(-f64::MAX, f64::MAX);
    let freedom = welch_freedom(treatment, control);
    let critical = student::critical(level.alpha(), freedom);
    let half = critical * error;
    Ok(MeanComparison {
        t,
        freedom,
        p: student::two_sided(t, freedom),
        difference: Estimate {
            value,
            interval: Interval {
                low: (value - half).max(-f64::MAX),
                high: (value + half).min(f64::MAX),
            },
        },
        ratio: fieller(treatment, control, critical),
    })
}

/// In shares of the summed variance, so that no square overflows. An arm that does not vary brings no uncertainty, and no
/// degrees.
fn welch_freedom(one: ArmMean, zero: ArmMean) -> f64 {
    let all = one.variance + zero.variance;
    let part = |arm: ArmMean| (arm.variance / all).powi(2) / arm.freedom;
    1.0 / (part(one) + part(zero))
}

/// m1 ÷ m0 with Fieller's interval of two independent means: all ratios R with |m1 − R·m0| ≤ c·sqrt(v1 + R²·v0). With
/// g = c²v0/m0² it is (r ± c/|m0|·sqrt(v1(1 − g) + r²v0))/(1 − g); from g = 1 on, where the control is not told from 0, it
/// is unbounded.
///
/// Source: Fieller, E. C. (1954), "Some problems in interval estimation", JRSS B 16, 175–185.
pub(crate) fn fieller(one: ArmMean, zero: ArmMean, critical: f64) -> Ratio {
    let value = one.value / zero.value;
    if zero.value == 0.0 || !value.is_finite() {
        return Ratio {
            value: Err(Null::BaselineZero),
            low: None,
            high: None,
            unbounded: true,
        };
    }
    let scale = critical / zero.value.abs();
    let left = 1.0 - scale * scale * zero.variance;
    let half = scale * (one.variance * left.max(0.0) + value * value * zero.variance).sqrt();
    let end = |end: f64| (left > 0.0).then(|| (end / left).clamp(-f64::MAX, f64::MAX));
    Ratio {
        value: Ok(value),
        low: end(value - half),
        high: end(value + half),
        unbounded: left <= 0.0,
    }
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

    fn arm(values: &[i64]) -> Result<ArmMean, Null> {
        ArmMean::of(pairs(&values.iter().map(|y| (1, *y)).collect::<Vec<_>>()).y())
    }

    #[test]
    fn what_cannot_be_told_is_a_null() {
        assert_eq!(arm(&[]), Err(Null::NoUnits));
        assert_eq!(arm(&[5]), Err(Null::NoVariance));
        let flat = arm(&[5, 5, 5]).unwrap();
        let none = compare_means(flat, flat, Level::default());
        assert_eq!(none, Err(Null::NoVariance));
        assert_eq!(ArmMean::ratio(pairs(&[])), Err(Null::NoUnits));
        let empty = ArmMean::ratio(pairs(&[(0, 0), (0, 0)]));
        assert_eq!(empty, Err(Null::NoDenominator));
        assert_eq!(ArmMean::ratio(pairs(&[(3, 1)])), Err(Null::NoVariance));
    }

    #[test]
    fn a_control_that_is_not_told_from_zero_has_an_unbounded_ratio() {
        let (one, zero) = (arm(&[5, 7, 9]).unwrap(), arm(&[-3, 1, 5]).unwrap());
        let ratio = compare_means(one, zero, Level::default()).unwrap().ratio;
        assert_eq!((ratio.value, ratio.low, ratio.high), (Ok(7.0), None, None));
        assert!(ratio.unbounded);
        let centred = arm(&[-1, 0, 1]).unwrap();
        let ratio = compare_means(one, centred, Level::default()).unwrap().ratio;
        assert_eq!((ratio.value, ratio.low), (Err(Null::BaselineZero), None));
    }

    #[test]
    fn companies_with_one_journey_each_have_the_plain_rate() {
        let each = pairs(&[(1, 1), (1, 0), (1, 1), (1, 1)]);
        let (ratio, mean) = (
            ArmMean::ratio(each).unwrap(),
            ArmMean::of(each.y()).unwrap(),
        );
        assert!((ratio.value - 0.75).abs() < 1e-15);
        assert!((ratio.variance - mean.variance).abs() < 1e-15);
    }

    #[test]
    fn journeys_of_one_company_are_not_taken_for_independent() {
        // Ten companies whose journeys all go one way: as uncertain as ten journeys, not as a thousand.
        let values: Vec<(i64, i64)> = (0..10).map(|k| (100, 100 * (k % 2))).collect();
        let single: Vec<(i64, i64)> = (0..10).map(|k| (1, k % 2)).collect();
        let (many, few) = (
            ArmMean::ratio(pairs(&values)),
            ArmMean::ratio(pairs(&single)),
        );
        assert!((many.unwrap().variance - few.unwrap().variance).abs() < 1e-15);
    }

    #[test]
    fn swapping_the_arms_mirrors() {
        let (one, zero) = (arm(&[5, 7, 9, 30]).unwrap(), arm(&[31, 18, 25]).unwrap());
        let there = compare_means(one, zero, Level::default()).unwrap();
        let back = compare_means(zero, one, Level::default()).unwrap();
        assert!((there.p - back.p).abs() < 1e-14);
        assert!((there.difference.interval.low + back.difference.interval.high).abs() < 1e-12);
    }
}
