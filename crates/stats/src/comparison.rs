//! Two arms of a binary step beside each other: is there an effect, and how large may it be, in points and relative to the
//! control.

use crate::{Counts, Estimate, LEAST_EXPECTED, Level, Null, fisher, normal, score};

/// Below this many units in an arm the numbers carry a warning: they are exact in nothing but name.
pub const TINY: u64 = 10;

/// Where the numbers of a [`Comparison`] come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Miettinen and Nurminen's score: p, difference and ratio agree with each other.
    Score,
    /// Newcombe's interval of the difference.
    Newcombe,
    /// Welch's t on zeros and ones.
    WelchT,
    /// z with the pooled variance.
    PooledZ,
    /// z with the unpooled variance, and Fieller's interval of the ratio.
    Fieller,
}

impl Method {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Method::Score => "score",
            Method::Newcombe => "newcombe",
            Method::WelchT => "welch_t",
            Method::PooledZ => "pooled_z",
            Method::Fieller => "fieller",
        }
    }
}

/// How many times the control's rate; its [lift](Ratio::lift) is that less one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Treatment ÷ control; null where the control is zero.
    pub value: Result<f64, Null>,
    /// The lower end of its interval; None where it has none.
    pub low: Option<f64>,
    /// The upper end of its interval; None where it has none.
    pub high: Option<f64>,
    /// The control is not told from 0 (Fieller's g ≥ 1), so that there is an interval and it has no ends.
    pub unbounded: bool,
}

impl Ratio {
    /// The same as a lift: r − 1, with its interval.
    #[must_use]
    pub fn lift(self) -> Ratio {
        let less = |end: f64| end - 1.0;
        Ratio {
            value: self.value.map(less),
            low: self.low.map(less),
            high: self.high.map(less),
            unbounded: self.unbounded,
        }
    }
}

/// The treatment beside the control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// What made the numbers.
    pub method: Method,
    /// The level of both intervals.
    pub level: Level,
    /// The test's statistic of no effect; above 0 where the treatment is higher.
    pub z: f64,
    /// Two-sided p of no effect, corrected for nothing.
    pub p: f64,
    /// Rate of the treatment minus that of the control, in points ÷ 100.
    pub difference: Estimate,
    /// Rate of the treatment ÷ that of the control.
    pub ratio: Ratio,
    /// Fisher's exact p, where an expected cell is below [`LEAST_EXPECTED`].
    pub fisher: Option<f64>,
    /// An arm has fewer than [`TINY`] units.
    pub tiny_n: bool,
}

/// Compares by the score of Miettinen and Nurminen.
///
/// # Errors
/// [`Null::NoUnits`] where an arm has none.
pub fn compare(treatment: Counts, control: Counts, level: Level) -> Result<Comparison, Null> {
    let least = treatment.units().min(control.units());
    if least == 0 {
        return Err(Null::NoUnits);
    }
    let z = score::z_of_no_effect(treatment, control);
    Ok(Comparison {
        method: Method::Score,
        level,
        z,
        p: normal::two_sided(z),
        difference: Estimate {
            value: score::observed_difference(treatment, control),
            interval: score::difference_interval(treatment, control, level.z()),
        },
        ratio: ratio(treatment, control, level.z()),
        fisher: fisher_beside(treatment, control),
        tiny_n: least < TINY,
    })
}

fn ratio(treatment: Counts, control: Counts, critical: f64) -> Ratio {
    let (low, high) = score::ratio_interval(treatment, control, critical);
    Ratio {
        value: observed_ratio(treatment, control),
        low: Some(low),
        high,
        unbounded: false,
    }
}

/// Rate of the treatment ÷ that of the control; null where the control has no successes. Both have units.
pub(crate) fn observed_ratio(treatment: Counts, control: Counts) -> Result<f64, Null> {
    let ((x1, _, n1), (x0, _, n0)) = (treatment.floats(), control.floats());
    if control.successes() == 0 {
        return Err(Null::BaselineZero);
    }
    Ok((x1 / n1) / (x0 / n0))
}

/// Fisher's p where the approximation of the score is weak.
pub(crate) fn fisher_beside(treatment: Counts, control: Counts) -> Option<f64> {
    let pair = |counts: Counts| (counts.successes(), counts.units());
    if least_expected_is_below(LEAST_EXPECTED, treatment, control) {
        fisher(pair(treatment), pair(control))
    } else {
        None
    }
}

/// Whether the least of the four expected cells is below `limit`.
pub(crate) fn least_expected_is_below(limit: u64, one: Counts, zero: Counts) -> bool {
    let sum = |a: u64, b: u64| u128::from(a) + u128::from(b);
    let successes = sum(one.successes(), zero.successes());
    let rarer = successes.min(sum(one.failures(), zero.failures()));
    let all = sum(one.units(), zero.units());
    // rarer ≤ 2^64 and smaller < 2^64, limit · all < 2^128: neither overflows.
    rarer * u128::from(one.units().min(zero.units())) < u128::from(limit) * all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(successes: u64, units: u64) -> Counts {
        Counts::new(successes, units).unwrap()
    }

    fn against(control: (u64, u64), treatment: (u64, u64)) -> Comparison {
        let (one, zero) = (
            counts(treatment.0, treatment.1),
            counts(control.0, control.1),
        );
        compare(one, zero, Level::default()).unwrap()
    }

    #[track_caller]
    fn near(got: f64, printed: f64, within: f64) {
        assert!((got - printed).abs() <= within, "{got} for {printed}");
    }

    #[test]
    fn the_headline_case_comes_out() {
        let result = against((1_200, 10_000), (1_320, 10_000));
        near(result.z, 2.556_904, 5e-7);
        near(result.p, 0.010_560_84, 5e-9);
        near(result.difference.value, 0.012, 1e-16);
        near(result.difference.interval.low, 0.002_802_99, 5e-9);
        near(result.difference.interval.high, 0.021_204_09, 5e-9);
        near(result.ratio.value.unwrap(), 1.1, 1e-15);
        near(result.ratio.low.unwrap(), 1.022_486_52, 5e-9);
        near(result.ratio.high.unwrap(), 1.183_414_40, 5e-9);
        let lift = result.ratio.lift();
        near(lift.value.unwrap(), 0.1, 1e-15);
        near(lift.low.unwrap(), 0.022_486_52, 5e-9);
        near(lift.high.unwrap(), 0.183_414_40, 5e-9);
        assert_eq!((result.fisher, result.tiny_n), (None, false));
        assert_eq!(result.method.name(), "score");
    }

    /// R's PropCIs, diffscoreci.
    #[test]
    fn seven_of_34_against_one_of_34_comes_out() {
        let result = against((1, 34), (7, 34));
        near(result.difference.interval.low, 0.027_041_6, 5e-8);
        near(result.difference.interval.high, 0.345_291_2, 5e-8);
        assert!(result.fisher.is_some(), "four are expected");
    }

    #[test]
    fn a_control_without_successes_has_no_lift_but_an_interval() {
        let result = against((0, 100), (5, 100));
        near(result.p, 0.023_891, 5e-7);
        let lift = result.ratio.lift();
        assert_eq!(lift.value, Err(Null::BaselineZero));
        assert_eq!(Null::BaselineZero.code(), "baseline_zero");
        near(lift.low.unwrap(), 0.32, 5e-3);
        assert_eq!(lift.high, None);
    }

    #[test]
    fn nobody_in_either_arm_says_nothing_of_the_ratio() {
        let result = against((0, 100), (0, 100));
        near(result.p, 1.0, 0.0);
        near(result.difference.value, 0.0, 0.0);
        near(result.difference.interval.low, -0.037_172, 5e-7);
        near(result.difference.interval.high, 0.037_172, 5e-7);
        assert_eq!(result.ratio.value, Err(Null::BaselineZero));
        assert_eq!((result.ratio.low, result.ratio.high), (Some(0.0), None));
    }

    #[test]
    fn everybody_in_the_control_comes_out() {
        let result = against((100, 100), (97, 100));
        near(result.p, 0.081_715, 5e-7);
        near(result.difference.interval.low, -0.084_713, 5e-7);
        near(result.difference.interval.high, 0.007_732, 5e-7);
    }

    #[test]
    fn one_unit_an_arm_is_flagged_and_stays_inside() {
        let result = against((1, 1), (0, 1));
        assert!(result.tiny_n);
        near(result.difference.value, -1.0, 0.0);
        near(result.difference.interval.low, -1.0, 0.0);
        assert!(result.difference.interval.high < 1.0);
        assert!(!against((5, 10), (5, 10)).tiny_n);
        assert!(against((5, 9), (5, 10)).tiny_n);
    }

    #[test]
    fn an_arm_without_units_has_no_statistics() {
        let level = Level::default();
        for (one, zero) in [((0, 0), (1, 2)), ((1, 2), (0, 0)), ((0, 0), (0, 0))] {
            let (one, zero) = (counts(one.0, one.1), counts(zero.0, zero.1));
            assert_eq!(compare(one, zero, level), Err(Null::NoUnits));
        }
        assert_eq!(Null::NoUnits.code(), "no_units");
    }

    /// What other engines tell twice differently: there p is 0.040 absolute and 0.150 relative.
    #[test]
    fn twelve_of_3000_against_25_of_3100_has_one_answer() {
        let result = against((12, 3_000), (25, 3_100));
        let by_difference = result.difference.interval.low > 0.0;
        let by_ratio = result.ratio.low.unwrap() > 1.0;
        assert_eq!(by_difference, result.p < 0.05);
        assert_eq!(by_ratio, result.p < 0.05);
    }

    #[test]
    fn fisher_stands_beside_where_an_expected_cell_is_below_five() {
        assert_eq!(against((4, 100), (6, 100)).fisher, None);
        assert!(against((4, 100), (5, 100)).fisher.is_some());
    }
}
