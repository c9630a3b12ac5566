//! An estimated difference with its standard error: what the methods that rest on the central limit theorem start from.

use crate::{Counts, Interval, Level, Null, score};

/// A difference between two arms, the standard error of it, and how many units both arms have together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    value: f64,
    error: f64,
    units: f64,
}

impl Effect {
    /// From an estimate, in any unit; None unless all are finite, the error above 0 and the units at least 1.
    pub(crate) fn new(value: f64, error: f64, units: f64) -> Option<Effect> {
        let sound = value.is_finite() && error.is_finite() && error > 0.0 && units >= 1.0;
        sound.then_some(Effect {
            value,
            error,
            units,
        })
    }

    /// The rate of the treatment minus that of the control; error of the unpooled difference, sqrt(p1(1 − p1)/n1 + p0(1 − p0)/n0).
    ///
    /// # Errors
    /// [`Null::NoUnits`] where an arm has none, [`Null::NoVariance`] where in each arm nobody or everybody succeeded.
    pub fn of_rates(treatment: Counts, control: Counts) -> Result<Effect, Null> {
        if treatment.units() == 0 || control.units() == 0 {
            return Err(Null::NoUnits);
        }
        let variance = |(x, f, n): (f64, f64, f64)| (x / n) * (f / n) / n;
        let error = (variance(treatment.floats()) + variance(control.floats())).sqrt();
        let units = treatment.floats().2 + control.floats().2;
        let value = score::observed_difference(treatment, control);
        Effect::new(value, error, units).ok_or(Null::NoVariance)
    }

    /// The interval of a normal estimate: value ± z·error.
    pub(crate) fn interval(self, level: Level) -> Interval {
        let half = level.z() * self.error;
        Interval {
            low: self.value - half,
            high: self.value + half,
        }
    }

    /// The difference.
    pub fn value(self) -> f64 {
        self.value
    }

    /// Its standard error, above 0.
    pub fn error(self) -> f64 {
        self.error
    }

    /// Units of both arms together.
    pub fn units(self) -> f64 {
        self.units
    }
}
