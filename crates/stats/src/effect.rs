//! An estimated difference with its standard error: what the methods that rest on the central limit theorem start from.

use crate::{ArmMean, Counts, Interval, Level, Null, float, score};

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

    /// The rate of the treatment minus that of the control; error of the unpooled difference, sqrt(p1(1 − p1)/n1 + p0(1 −
    /// p0)/n0).
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

    /// The rate of the treatment minus `share` times that of the control, for margins: error sqrt(v1 + share²·v0). Where in
    /// each arm nobody or everybody succeeded the error is that of half a success more and half a failure more (Agresti and
    /// Caffo 2000 add one of each), so that an arm without failures can be told from a margin.
    ///
    /// # Errors
    /// [`Null::NoUnits`] where an arm has none.
    pub fn of_rates_against(
        treatment: Counts,
        control: Counts,
        share: f64,
    ) -> Result<Effect, Null> {
        let of = |more: f64| {
            let variance = |counts: Counts| {
                let (x, f, n) = counts.floats();
                (x + more) / (n + 2.0 * more) * ((f + more) / (n + 2.0 * more)) / (n + 2.0 * more)
            };
            (variance(treatment) + share * share * variance(control)).sqrt()
        };
        let (one, zero) = (treatment.rate(), control.rate());
        let (Some(one), Some(zero)) = (one, zero) else {
            return Err(Null::NoUnits);
        };
        let error = if of(0.0) > 0.0 { of(0.0) } else { of(0.5) };
        let units = float(treatment.units()) + float(control.units());
        Effect::new(one - share * zero, error, units).ok_or(Null::NoVariance)
    }

    /// The mean (or ratio) of the treatment minus `share` times that of the control, for margins.
    ///
    /// # Errors
    /// [`Null::NoVariance`] where neither arm varies.
    pub fn of_means_against(
        treatment: ArmMean,
        control: ArmMean,
        share: f64,
    ) -> Result<Effect, Null> {
        let error = (treatment.variance + share * share * control.variance).sqrt();
        let units = float(treatment.units) + float(control.units);
        Effect::new(treatment.value - share * control.value, error, units).ok_or(Null::NoVariance)
    }

    /// The mean (or ratio) of the treatment minus that of the control.
    ///
    /// # Errors
    /// [`Null::NoVariance`] where neither arm varies.
    pub fn of_means(treatment: ArmMean, control: ArmMean) -> Result<Effect, Null> {
        let error = (treatment.variance + control.variance).sqrt();
        let units = float(treatment.units) + float(control.units);
        let effect = Effect::new(treatment.value - control.value, error, units);
        effect.ok_or(Null::NoVariance)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sums;

    #[test]
    fn zeros_and_ones_are_rates() {
        let counts = [(30, 100), (41, 120)].map(|(x, n)| Counts::new(x, n).unwrap());
        let means = counts.map(|counts| {
            let ones = i128::from(counts.successes());
            ArmMean::of(Sums::new(counts.units(), ones, ones).unwrap()).unwrap()
        });
        let rates = Effect::of_rates(counts[0], counts[1]).unwrap();
        let means = Effect::of_means(means[0], means[1]).unwrap();
        assert!((rates.value() - means.value()).abs() < 1e-15);
        assert!((rates.units() - means.units()).abs() < 1e-15);
        // The mean's variance has n − 1 where the rate's has n.
        assert!((means.error() / rates.error() - 1.0).abs() < 0.006);
    }
}
