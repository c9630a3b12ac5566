//! What share converts by the window's end, when some are still on their way: Kaplan–Meier.
//!
//! **Estimate.** Over the times t at which dₜ subjects converted, of nₜ still at risk (neither converted nor censored before
//! t), S = ∏ (1 − dₜ/nₜ) is the share not converted, 1 − S the share converted. Conversions at a time come before
//! censorings at the same time. Source: Kaplan, E. L. and Meier, P. (1958), JASA 53, 457–481.
//!
//! **Interval.** Greenwood's variance of ln S, V = Σ dₜ/(nₜ(nₜ − dₜ)) (Greenwood 1926), taken to the log–log scale:
//! S^exp(±z·sqrt(V)/ln S), 95 %. It stays inside 0..=1. Source: Kalbfleisch and Prentice (1980), *The Statistical Analysis of
//! Failure Time Data*, §1.4; what SAS calls CONFTYPE=LOGLOG, R's survfit "log-log", and lifelines its default.
//! Where nobody or everybody converted it is not defined, and Wilson's of 0 of n or n of n stands in, n being those whose
//! window is over.
//!
//! **When it is null.** A product over the first minutes says nothing about a day. So there is no estimate
//! (`not_observed_to_window`) until somebody's window is over and the risk set reaches the window's end, or was used up by
//! conversions alone.

use crate::difference::wide;
use crate::newcombe::square_and_add;
use crate::wilson::wilson_at;
use crate::{Estimate, Interval, Level, Z_95, float};

/// One half, and a little for the rounding of the product: a curve that meets one half exactly has its median there.
const HALF: f64 = 0.5 + 1e-12;

/// What happened at one time after the start. Times are in any one unit, whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time since the start.
    pub time: u64,
    /// Subjects that converted then.
    pub converted: u64,
    /// Subjects last seen then, not converted, before the window's end.
    pub censored: u64,
}

/// The moments of two groups of disjoint subjects together; both ascending in time, and so is the result. None where a
/// count is above u64.
pub fn merge_moments(one: &[Moment], two: &[Moment]) -> Option<Vec<Moment>> {
    let mut all: Vec<Moment> = one.iter().chain(two).copied().collect();
    all.sort_by_key(|moment| moment.time);
    let mut merged: Vec<Moment> = Vec::with_capacity(all.len());
    for moment in all {
        match merged.last_mut().filter(|last| last.time == moment.time) {
            Some(last) => {
                last.converted = last.converted.checked_add(moment.converted)?;
                last.censored = last.censored.checked_add(moment.censored)?;
            }
            None => merged.push(moment),
        }
    }
    Some(merged)
}

/// There is no estimate: nobody has been followed to the window's end. On the wire: [`NotObserved::CODE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody has been followed to the window's end")]
pub struct NotObserved;

impl NotObserved {
    /// The code of the null.
    pub const CODE: &str = "not_observed_to_window";
}

/// The Kaplan–Meier estimate of a group of subjects over one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Survival {
    /// Share not converted by the window's end.
    surviving: f64,
    /// Greenwood's variance of its logarithm.
    variance: f64,
    median: Option<u64>,
    at_risk_at_end: u64,
    matured: u64,
    /// The last at risk converted.
    used_up: bool,
}

impl Survival {
    /// From counts: `moments` ascending in time and inside the window; `at_risk_at_end` subjects followed to the window's end
    /// without converting; `matured` subjects whose window is over, converted or not.
    ///
    /// # Panics
    /// If the moments are not ascending: the caller's promise.
    pub fn new(moments: &[Moment], at_risk_at_end: u64, matured: u64) -> Survival {
        assert!(
            moments.is_sorted_by(|a, b| a.time < b.time),
            "moments ascend in time"
        );
        let both = |m: &Moment| u128::from(m.converted) + u128::from(m.censored);
        let inside: u128 = moments.iter().map(both).sum();
        let mut at_risk = inside + u128::from(at_risk_at_end);
        let (mut surviving, mut variance, mut median, mut used_up) = (1.0, 0.0, None, false);
        for moment in moments {
            let left = at_risk - u128::from(moment.converted);
            if moment.converted > 0 {
                surviving *= wide(left) / wide(at_risk);
                used_up = left == 0;
            }
            if moment.converted > 0 && left > 0 {
                variance += float(moment.converted) / (wide(at_risk) * wide(left));
            }
            if median.is_none() && surviving <= HALF {
                median = Some(moment.time);
            }
            at_risk = left - u128::from(moment.censored);
        }
        Survival {
            surviving,
            variance,
            median,
            at_risk_at_end,
            matured,
            used_up,
        }
    }

    /// The share that converts by the window's end, with its interval.
    ///
    /// # Errors
    /// [`NotObserved`] until somebody has been followed that far.
    pub fn converted_by_end(&self) -> Result<Estimate, NotObserved> {
        self.estimate(Z_95)
    }

    /// By how much the share that converts by the window's end is above that of another group, with an interval of this
    /// level made of the two groups' own (Zou and Donner 2008).
    ///
    /// # Errors
    /// [`NotObserved`] until somebody of each has been followed that far.
    pub fn above(&self, other: &Survival, level: Level) -> Result<Estimate, NotObserved> {
        let z = level.z();
        Ok(square_and_add(self.estimate(z)?, other.estimate(z)?))
    }

    fn estimate(&self, z: f64) -> Result<Estimate, NotObserved> {
        if self.matured == 0 || (self.at_risk_at_end == 0 && !self.used_up) {
            return Err(NotObserved);
        }
        Ok(Estimate {
            value: 1.0 - self.surviving,
            interval: self.interval(z),
        })
    }

    /// The time by which half have converted, in the unit of the moments; None if fewer have, or nobody is known so long.
    pub fn median(&self) -> Option<u64> {
        self.median
    }

    fn interval(&self, z: f64) -> Interval {
        // None or all converted, or as good as that to the last digit of a float.
        let of_matured = if self.surviving >= 1.0 {
            0
        } else if self.surviving <= 0.0 {
            self.matured
        } else {
            return self.log_log(z);
        };
        wilson_at(of_matured, self.matured, z).expect("somebody's window is over")
    }

    fn log_log(&self, z: f64) -> Interval {
        let log = self.surviving.ln();
        let factor = (z * self.variance.sqrt() / -log).exp();
        // The greater power of a number below 1 is the lesser share surviving: the greater share converted.
        Interval {
            low: 1.0 - (log / factor).exp(),
            high: 1.0 - (log * factor).exp(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wilson;

    fn at(time: u64, converted: u64, censored: u64) -> Moment {
        Moment {
            time,
            converted,
            censored,
        }
    }

    fn value(survival: &Survival) -> Option<f64> {
        survival
            .converted_by_end()
            .ok()
            .map(|estimate| estimate.value)
    }

    #[track_caller]
    fn near(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-12, "{got} for {expected}");
    }

    #[test]
    fn groups_merge_time_by_time() {
        let (one, two) = ([at(1, 3, 0), at(5, 4, 2)], [at(0, 1, 1), at(5, 1, 0)]);
        let merged = merge_moments(&one, &two).unwrap();
        assert_eq!(merged, [at(0, 1, 1), at(1, 3, 0), at(5, 5, 2)]);
        assert_eq!(merge_moments(&two, &one).unwrap(), merged);
        assert_eq!(merge_moments(&[at(1, u64::MAX, 0)], &[at(1, 1, 0)]), None);
    }

    #[test]
    fn nobody_is_not_observed() {
        assert_eq!(
            Survival::new(&[], 0, 0).converted_by_end(),
            Err(NotObserved)
        );
        assert_eq!(NotObserved::CODE, "not_observed_to_window");
    }

    #[test]
    fn a_day_that_has_just_begun_is_not_observed_however_many_converted() {
        // All converted within a minute, nobody's window is over: never 100 %.
        assert_eq!(value(&Survival::new(&[at(60, 9, 0)], 0, 0)), None);
        assert_eq!(
            value(&Survival::new(&[at(60, 9, 0), at(90, 0, 5)], 0, 0)),
            None
        );
    }

    #[test]
    fn one_fast_convert_of_old_does_not_speak_for_the_young() {
        // One window is over, but its subject converted at once; the others are five minutes old.
        assert_eq!(
            value(&Survival::new(&[at(1, 1, 0), at(300, 0, 99)], 0, 1)),
            None
        );
    }

    #[test]
    fn without_censoring_it_is_the_plain_rate() {
        let survival = Survival::new(&[at(1, 3, 0), at(5, 4, 0)], 3, 10);
        near(value(&survival).unwrap(), 0.7);
        assert_eq!(survival.median(), Some(5));
    }

    #[test]
    fn conversions_come_before_censoring_at_the_same_time() {
        // 10 at risk at 4: 5 convert, then 3 are censored, 2 go on.
        near(
            value(&Survival::new(&[at(4, 5, 3), at(6, 1, 0)], 1, 1)).unwrap(),
            0.75,
        );
    }

    #[test]
    fn a_conversion_at_the_windows_very_end_counts() {
        near(value(&Survival::new(&[at(10, 1, 0)], 1, 2)).unwrap(), 0.5);
    }

    #[test]
    fn nobody_or_everybody_converted_has_wilsons_interval() {
        let none = Survival::new(&[at(3, 0, 7)], 20, 20)
            .converted_by_end()
            .unwrap();
        near(none.value, 0.0);
        assert_eq!(Some(none.interval), wilson(0, 20));
        let all = Survival::new(&[at(3, 12, 0), at(4, 8, 0)], 0, 20);
        near(all.converted_by_end().unwrap().value, 1.0);
        assert_eq!(
            Some(all.converted_by_end().unwrap().interval),
            wilson(20, 20)
        );
        assert_eq!(all.median(), Some(3));
    }

    #[test]
    fn the_interval_holds_the_estimate_and_stays_inside() {
        for converted in 1..40 {
            for censored in 0..10 {
                let moments = [at(2, converted, censored), at(5, converted, censored)];
                let estimate = Survival::new(&moments, 4, 4).converted_by_end().unwrap();
                let Interval { low, high } = estimate.interval;
                assert!(0.0 < low && low < estimate.value && estimate.value < high && high < 1.0);
            }
        }
    }

    #[test]
    fn the_median_is_null_until_half_have_converted() {
        assert_eq!(Survival::new(&[at(1, 4, 0)], 6, 10).median(), None);
        assert_eq!(
            Survival::new(&[at(1, 4, 0), at(2, 1, 0)], 5, 10).median(),
            Some(2)
        );
        assert_eq!(Survival::new(&[at(1, 1, 0)], 1, 2).median(), Some(1));
    }
}
