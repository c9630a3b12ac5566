//! Non-inferiority: a treatment may cost a guardrail no more than a margin that was agreed before.
//!
//! H0: the treatment is worse than the control by the margin or more. z is the score statistic of the margin, p = Φ(−z), one
//! side; of means both are Welch's t's. It passes where p < α, which is where the (1 − 2α) interval lies wholly on the good side of the margin; it fails
//! where that interval lies wholly on the bad side; else it is undecided, which is not "no harm".

use crate::{ArmMean, Counts, Error, Estimate, Level, Null, compare_means, normal, score, student};

/// Which way harm lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Harm {
    /// A lower rate is worse, as of links.
    Fall,
    /// A higher rate is worse, as of errors.
    Rise,
}

/// How much harm is borne.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margin(Kind);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Difference(f64),
    Relative(f64),
}

impl Margin {
    /// A difference of the rates, 0..1: 0.01 is one point.
    ///
    /// # Errors
    /// [`Error::Margin`] outside.
    pub fn difference(margin: f64) -> Result<Margin, Error> {
        checked(margin).map(|margin| Margin(Kind::Difference(margin)))
    }

    /// A share of the control's rate, 0..1: 0.05 bears a rate of 95 % of the control's (of 105 % where a rise is harm).
    ///
    /// # Errors
    /// [`Error::Margin`] outside.
    pub fn relative(margin: f64) -> Result<Margin, Error> {
        checked(margin).map(|margin| Margin(Kind::Relative(margin)))
    }
}

fn checked(margin: f64) -> Result<f64, Error> {
    if (0.0..1.0).contains(&margin) {
        Ok(margin)
    } else {
        Err(Error::Margin(margin))
    }
}

/// What a guardrail says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The harm is less than the margin.
    Pass,
    /// The harm is more than the margin.
    Fail,
    /// It cannot be told yet.
    Undecided,
}

impl Verdict {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Undecided => "undecided",
        }
    }

    /// From the p of "the harm is at least the margin" and of "the harm is at most the margin".
    pub(crate) fn of(p_at_least: f64, p_at_most: f64, alpha: f64) -> Verdict {
        if p_at_least < alpha {
            Verdict::Pass
        } else if p_at_most < alpha {
            Verdict::Fail
        } else {
            Verdict::Undecided
        }
    }
}

/// A guardrail's test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guardrail {
    /// The statistic of the margin (the score's, of means Welch's t); above 0 on the good side.
    pub z: f64,
    /// One-sided p of "the harm is the margin or more".
    pub p: f64,
    /// The (1 − 2α) interval's lower end, of the difference or (relative margin) of the ratio.
    pub low: f64,
    /// Its upper end; None where a ratio has none.
    pub high: Option<f64>,
    /// What follows.
    pub verdict: Verdict,
}

/// Tests one guardrail; α of the level is spent on one side.
///
/// # Errors
/// [`Null::NoUnits`] where an arm has none.
pub fn guardrail(
    treatment: Counts,
    control: Counts,
    margin: Margin,
    harm: Harm,
    level: Level,
) -> Result<Guardrail, Null> {
    if treatment.units() == 0 || control.units() == 0 {
        return Err(Null::NoUnits);
    }
    let critical = level.one_sided().z();
    let sign = match harm {
        Harm::Fall => 1.0,
        Harm::Rise => -1.0,
    };
    let (z, low, high) = match margin.0 {
        Kind::Difference(margin) => {
            let interval = score::difference_interval(treatment, control, critical);
            let z = score::z_of_difference(treatment, control, -sign * margin);
            (z, interval.low, Some(interval.high))
        }
        Kind::Relative(margin) => {
            let (low, high) = score::ratio_interval(treatment, control, critical);
            (
                score::z_of_ratio(treatment, control, 1.0 - sign * margin),
                low,
                high,
            )
        }
    };
    let z = sign * z;
    let p = normal::upper_tail(z);
    Ok(Guardrail {
        z,
        p,
        low,
        high,
        verdict: Verdict::of(p, normal::upper_tail(-z), level.alpha()),
    })
}

/// The same of means or ratios (see [`ArmMean`]), by Welch's t as in [`compare_means`]: t = (m1 − m0 + margin)/sqrt(v1 + v0),
/// of a relative margin m1 − (1 − margin)·m0 over sqrt(v1 + (1 − margin)²·v0), both with the degrees of the difference; the
/// interval of a relative margin is Fieller's, without ends where it has none.
///
/// # Errors
/// [`Null::NoVariance`] where neither arm varies.
pub fn guardrail_of_means(
    treatment: ArmMean,
    control: ArmMean,
    margin: Margin,
    harm: Harm,
    level: Level,
) -> Result<Guardrail, Null> {
    let sign = match harm {
        Harm::Fall => 1.0,
        Harm::Rise => -1.0,
    };
    let (one, zero) = (treatment, control);
    let compared = compare_means(one, zero, level.one_sided())?;
    let (distance, share, low, high) = match margin.0 {
        Kind::Difference(margin) => {
            let Estimate { value, interval } = compared.difference;
            let distance = value + sign * margin;
            (distance, 1.0, interval.low, Some(interval.high))
        }
        Kind::Relative(margin) => {
            let share = 1.0 - sign * margin;
            let low = compared.ratio.low.unwrap_or(f64::MIN);
            let distance = one.value - share * zero.value;
            (distance, share, low, compared.ratio.high)
        }
    };
    let error = (one.variance + share * share * zero.variance).sqrt();
    if !(error > 0.0 && error.is_finite() && distance.is_finite()) {
        return Err(Null::NoVariance);
    }
    let t = (sign * distance / error).clamp(-f64::MAX, f64::MAX);
    let p = student::upper_tail(t, compared.freedom);
    Ok(Guardrail {
        z: t,
        p,
        low,
        high,
        verdict: Verdict::of(p, student::upper_tail(-t, compared.freedom), level.alpha()),
    })
}

/// Whether a treatment may be called the winner: its primary metric is better (z above 0, corrected p below α), and no
/// guardrail fails.
pub fn is_winner(z: f64, corrected_p: f64, level: Level, guardrails: &[Verdict]) -> bool {
    z > 0.0 && corrected_p < level.alpha() && !guardrails.contains(&Verdict::Fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sums;

    fn counts(successes: u64, units: u64) -> Counts {
        Counts::new(successes, units).unwrap()
    }

    fn fall(treatment: Counts, control: Counts, margin: Margin) -> Guardrail {
        guardrail(treatment, control, margin, Harm::Fall, Level::default()).unwrap()
    }

    #[test]
    fn what_is_no_margin_is_a_typed_error() {
        for wrong in [-0.01, 1.0, f64::INFINITY] {
            assert_eq!(Margin::difference(wrong), Err(Error::Margin(wrong)));
            assert_eq!(Margin::relative(wrong), Err(Error::Margin(wrong)));
        }
        assert!(Margin::difference(f64::NAN).is_err());
    }

    #[test]
    fn the_same_rate_passes_with_many_units_and_is_undecided_with_few() {
        for margin in [Margin::difference(0.02), Margin::relative(0.025)] {
            let margin = margin.unwrap();
            let few = fall(counts(80, 100), counts(80, 100), margin);
            assert_eq!(few.verdict, Verdict::Undecided);
            let many = fall(counts(80_000, 100_000), counts(80_000, 100_000), margin);
            assert_eq!(many.verdict, Verdict::Pass);
            let worse = fall(counts(76_000, 100_000), counts(80_000, 100_000), margin);
            assert_eq!(worse.verdict, Verdict::Fail);
        }
    }

    #[test]
    fn a_margin_of_zero_is_half_the_two_sided_p() {
        let (one, zero) = (counts(1_320, 10_000), counts(1_200, 10_000));
        for margin in [Margin::difference(0.0), Margin::relative(0.0)] {
            let result = fall(one, zero, margin.unwrap());
            assert!((result.p - 0.010_560_839_564 / 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn it_passes_exactly_where_the_interval_clears_the_margin_and_fails_where_it_lies_beyond() {
        let level = Level::new(0.1).unwrap();
        let mut seen = std::collections::HashSet::new();
        for (n1, n0) in [(20, 20), (31, 13), (9, 40), (150, 160)] {
            for (x1, x0) in (0..=n1).flat_map(|x1| (0..=n0).map(move |x0| (x1, x0))) {
                let (one, zero) = (counts(x1, n1), counts(x0, n0));
                for (margin, below, above) in [
                    (Margin::difference(0.15).unwrap(), -0.15, 0.15),
                    (Margin::relative(0.3).unwrap(), 0.7, 1.3),
                ] {
                    let good = guardrail(one, zero, margin, Harm::Fall, level).unwrap();
                    let expected = match (good.low > below, good.high.is_some_and(|h| h < below)) {
                        (true, _) => Verdict::Pass,
                        (_, true) => Verdict::Fail,
                        _ => Verdict::Undecided,
                    };
                    assert_eq!(
                        good.verdict, expected,
                        "{one:?} {zero:?} {margin:?} {good:?}"
                    );
                    let bad = guardrail(one, zero, margin, Harm::Rise, level).unwrap();
                    let expected = match (bad.high.is_some_and(|h| h < above), bad.low > above) {
                        (true, _) => Verdict::Pass,
                        (_, true) => Verdict::Fail,
                        _ => Verdict::Undecided,
                    };
                    assert_eq!(bad.verdict, expected, "{one:?} {zero:?} {margin:?} {bad:?}");
                    seen.extend([good.verdict, bad.verdict]);
                }
            }
        }
        assert_eq!(seen.len(), 3);
    }

    fn mean(values: &[i64]) -> ArmMean {
        let mut sums = Sums::default();
        for value in values {
            sums.add(*value).unwrap();
        }
        ArmMean::of(sums).unwrap()
    }

    #[test]
    fn a_margin_of_zero_of_means_is_half_welchs_p() {
        let (one, zero) = (mean(&[9, 7, 12, 8]), mean(&[5, 6, 9, 4, 7]));
        let p = compare_means(one, zero, Level::default()).unwrap().p;
        for margin in [Margin::difference(0.0), Margin::relative(0.0)] {
            for (harm, half) in [(Harm::Fall, p / 2.0), (Harm::Rise, 1.0 - p / 2.0)] {
                let got = guardrail_of_means(one, zero, margin.unwrap(), harm, Level::default());
                assert!((got.unwrap().p - half).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn means_pass_exactly_where_the_interval_clears_the_margin() {
        let level = Level::default();
        let zero = mean(&[52, 45, 61, 48]);
        let mut seen = std::collections::HashSet::new();
        for more in -40..=40 {
            let one = mean(&[more + 50, more + 57, more + 46]);
            for (margin, below, above) in [
                (Margin::difference(0.5).unwrap(), -0.5, 0.5),
                (Margin::relative(0.3).unwrap(), 0.7, 1.3),
            ] {
                for harm in [Harm::Fall, Harm::Rise] {
                    let got = guardrail_of_means(one, zero, margin, harm, level).unwrap();
                    let high = got.high.unwrap();
                    let (good, bad) = match harm {
                        Harm::Fall => (got.low > below, high < below),
                        Harm::Rise => (high < above, got.low > above),
                    };
                    let expected = match (good, bad) {
                        (true, _) => Verdict::Pass,
                        (_, true) => Verdict::Fail,
                        _ => Verdict::Undecided,
                    };
                    assert_eq!(got.verdict, expected, "{more} {margin:?} {got:?}");
                    seen.insert((margin.0 == Kind::Difference(0.5), harm, got.verdict));
                }
            }
        }
        assert_eq!(seen.len(), 12);
    }

    #[test]
    fn a_primary_that_wins_with_a_failing_guardrail_is_no_winner() {
        let wins = |guardrails: &[Verdict]| is_winner(3.0, 0.003, Level::default(), guardrails);
        assert!(wins(&[]) && wins(&[Verdict::Pass, Verdict::Undecided]));
        assert!(!wins(&[Verdict::Pass, Verdict::Fail]));
        assert!(!is_winner(-3.0, 0.003, Level::default(), &[]));
        assert!(!is_winner(1.0, 0.3, Level::default(), &[]));
    }

    #[test]
    fn an_arm_without_units_has_no_verdict() {
        let margin = Margin::relative(0.1).unwrap();
        let none = guardrail(
            counts(0, 0),
            counts(1, 2),
            margin,
            Harm::Fall,
            Level::default(),
        );
        assert_eq!(none, Err(Null::NoUnits));
    }
}
