//! How sure: the probability of error one is ready to bear, and the z that belongs to it.

use crate::{Error, Z_95, normal};

/// The least level: below it the quantile is not needed and its tail nearly lost.
const LEAST: f64 = 1e-100;

/// The greatest: beyond it an error of one side is no error any more.
const MOST: f64 = 0.4;

/// A two-sided probability of error α with z = Φ⁻¹(1 − α/2). The default is 0.05.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    alpha: f64,
    z: f64,
}

impl Default for Level {
    fn default() -> Level {
        Level {
            alpha: 0.05,
            z: Z_95,
        }
    }
}

impl Level {
    /// A level of `alpha`, 1e-100..=0.4.
    ///
    /// # Errors
    /// [`Error::Level`] outside.
    pub fn new(alpha: f64) -> Result<Level, Error> {
        if (LEAST..=MOST).contains(&alpha) {
            let z = normal::quantile(alpha / 2.0);
            Ok(Level { alpha, z })
        } else {
            Err(Error::Level(alpha))
        }
    }

    /// Of each of `comparisons` made at once, so that all of them hold together: Bonferroni, α ÷ comparisons.
    #[must_use]
    pub fn shared_by(self, comparisons: u64) -> Level {
        let alpha = self.alpha / crate::float(comparisons.max(1));
        let alpha = alpha.max(LEAST);
        let z = normal::quantile(alpha / 2.0);
        Level { alpha, z }
    }

    /// The level whose z this is.
    pub(crate) fn of_z(z: f64) -> Level {
        let alpha = normal::two_sided(z);
        Level { alpha, z }
    }

    /// The level at which an interval of two sides has this one's α below its lower end: 2α, a confidence of 1 − 2α.
    pub(crate) fn one_sided(self) -> Level {
        let z = normal::quantile(self.alpha);
        Level {
            alpha: 2.0 * self.alpha,
            z,
        }
    }

    /// α.
    pub fn alpha(self) -> f64 {
        self.alpha
    }

    /// Φ⁻¹(1 − α/2).
    pub fn z(self) -> f64 {
        self.z
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_level_is_a_typed_error() {
        for wrong in [0.0, -0.05, 0.41, 1.0, f64::INFINITY] {
            assert_eq!(Level::new(wrong), Err(Error::Level(wrong)));
        }
        assert!(Level::new(f64::NAN).is_err());
        assert!((Level::new(0.05).unwrap().z() - Level::default().z()).abs() < 1e-15);
    }

    #[test]
    fn shared_by_five_each_bears_a_fifth() {
        let each = Level::default().shared_by(5);
        assert!((each.alpha() - 0.01).abs() < 1e-15);
        assert!((each.z() - 2.575_829_303_548_900_4).abs() < 1e-13);
        assert!(Level::default().shared_by(u64::MAX).z().is_finite());
    }
}
