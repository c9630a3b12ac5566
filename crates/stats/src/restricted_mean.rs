//! How long it takes, in the mean, up to a time τ: the area under the curve of those not converted yet. It uses those who
//! never convert and those still on their way, which the mean of the converted does not.

use crate::survival::Moment;
use crate::{Effect, Estimate, Interval, Level, Null, float, normal};

/// The restricted mean time to convert of one arm, in the unit of its moments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestrictedMean {
    value: f64,
    variance: f64,
    subjects: f64,
}

impl RestrictedMean {
    /// Up to `until`, from counts as of [`Survival::new`](crate::Survival::new): `moments` ascending in time; those after
    /// `until` count as still on their way there. `at_risk_at_end` subjects were followed to the window's end without
    /// converting.
    ///
    /// ∫₀^τ S(t) dt, variance Σ (∫_t^τ S)²·dₜ/(nₜ(nₜ − dₜ)) over the times of conversions. Source: Klein, J. P. and
    /// Moeschberger, M. L. (2003), *Survival Analysis*, §4.5.
    ///
    /// # Errors
    /// [`Null::NotObserved`] where nobody was followed to τ and the last did not convert before: the curve is not known
    /// so far.
    ///
    /// # Panics
    /// If the moments are not ascending: the caller's promise.
    pub fn new(
        moments: &[Moment],
        at_risk_at_end: u64,
        until: u64,
    ) -> Result<RestrictedMean, Null> {
        assert!(
            moments.is_sorted_by(|a, b| a.time < b.time),
            "moments ascend in time"
        );
        let subjects = moments
            .iter()
            .map(|m| float(m.converted) + float(m.censored))
            .sum::<f64>()
            + float(at_risk_at_end);
        let mut at_risk = subjects;
        let mut surviving = 1.0;
        let (mut from, mut steps) = (0, Vec::new());
        for moment in moments.iter().take_while(|moment| moment.time < until) {
            steps.push((surviving * float(moment.time - from), 0.0));
            from = moment.time;
            let converted = float(moment.converted);
            let left = (at_risk - converted).max(0.0);
            if moment.converted > 0 && left > 0.0 {
                steps.push((0.0, converted / at_risk / left));
            }
            surviving *= left / at_risk.max(1.0);
            at_risk = (left - float(moment.censored)).max(0.0);
        }
        if at_risk < 1.0 && surviving > 0.0 {
            return Err(Null::NotObserved);
        }
        steps.push((surviving * float(until - from), 0.0));
        let (mut area, mut variance) = (0.0, 0.0);
        for (more, hazard) in steps.into_iter().rev() {
            area += more;
            variance += area * area * hazard;
        }
        Ok(RestrictedMean {
            value: area,
            variance,
            subjects,
        })
    }

    /// The mean time up to τ; those who have not converted by then count τ.
    pub fn value(self) -> f64 {
        self.value
    }

    /// Its variance.
    pub fn variance(self) -> f64 {
        self.variance
    }
}

/// The difference of two restricted means up to the same τ, with its interval and p.
///
/// # Errors
/// [`Null::NoVariance`] where neither varies.
pub fn restricted_mean_difference(
    treatment: RestrictedMean,
    control: RestrictedMean,
    level: Level,
) -> Result<(Estimate, f64), Null> {
    let error = (treatment.variance + control.variance).sqrt();
    let subjects = (treatment.subjects + control.subjects).max(1.0);
    let effect = Effect::new(treatment.value - control.value, error, subjects);
    let effect = effect.ok_or(Null::NoVariance)?;
    let Interval { low, high } = effect.interval(level);
    let estimate = Estimate {
        value: effect.value(),
        interval: Interval { low, high },
    };
    Ok((estimate, normal::two_sided(effect.value() / error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u64, converted: u64, censored: u64) -> Moment {
        Moment {
            time,
            converted,
            censored,
        }
    }

    #[test]
    fn without_censoring_it_is_the_mean_of_times_cut_at_the_end() {
        // 2, 2, 5, and one that never converts: cut at 10.
        let mean = RestrictedMean::new(&[at(2, 2, 0), at(5, 1, 0)], 1, 10).unwrap();
        assert!((mean.value() - 19.0 / 4.0).abs() < 1e-12);
        // The variance of a mean of n, with n for n − 1.
        let times = [2.0, 2.0, 5.0, 10.0];
        let spread: f64 = times.iter().map(|t| (t - 4.75_f64).powi(2)).sum();
        assert!((mean.variance() - spread / 16.0).abs() < 1e-12);
    }

    #[test]
    fn what_comes_after_the_end_does_not_count() {
        let short = RestrictedMean::new(&[at(2, 2, 0), at(5, 1, 0)], 1, 4);
        let cut = RestrictedMean::new(&[at(2, 2, 0)], 2, 4);
        assert_eq!(
            short.map(RestrictedMean::value),
            cut.map(RestrictedMean::value)
        );
        let nobody = RestrictedMean::new(&[], 3, 7).unwrap();
        assert!((nobody.value() - 7.0).abs() < 1e-12 && nobody.variance() < 1e-12);
    }

    #[test]
    fn a_curve_not_known_to_the_end_is_not_observed() {
        let young = [at(2, 2, 0), at(3, 0, 5)];
        assert_eq!(RestrictedMean::new(&young, 0, 10), Err(Null::NotObserved));
        assert!(
            RestrictedMean::new(&young, 0, 3).is_ok(),
            "known until they left"
        );
        assert!(
            RestrictedMean::new(&[at(2, 2, 0)], 0, 10).is_ok(),
            "all converted"
        );
        assert_eq!(
            RestrictedMean::new(&[], 0, 10).map(RestrictedMean::value),
            Err(Null::NotObserved)
        );
    }

    #[test]
    fn two_arms_that_do_not_vary_have_no_difference() {
        let flat = RestrictedMean::new(&[], 3, 7).unwrap();
        let none = restricted_mean_difference(flat, flat, Level::default());
        assert_eq!(none, Err(Null::NoVariance));
    }
}
