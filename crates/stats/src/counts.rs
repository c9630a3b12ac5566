//! How many of how many: the sufficient statistic of a binary step in one arm. Counts of disjoint units merge by addition.

use crate::{Error, float};

/// Successes of units. Never more successes than units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    successes: u64,
    units: u64,
}

impl Counts {
    /// `successes` of `units`.
    ///
    /// # Errors
    /// [`Error::MoreSuccessesThanUnits`].
    pub fn new(successes: u64, units: u64) -> Result<Counts, Error> {
        if successes > units {
            return Err(Error::MoreSuccessesThanUnits { successes, units });
        }
        Ok(Counts { successes, units })
    }

    /// From numbers as they come from outside.
    ///
    /// # Errors
    /// [`Error::NotACount`] for what is negative, not whole, not finite or above 2^53; else as [`Counts::new`].
    pub fn from_numbers(successes: f64, units: f64) -> Result<Counts, Error> {
        Counts::new(count(successes)?, count(units)?)
    }

    /// The successes.
    pub fn successes(self) -> u64 {
        self.successes
    }

    /// All units.
    pub fn units(self) -> u64 {
        self.units
    }

    /// The units that did not succeed.
    pub fn failures(self) -> u64 {
        self.units - self.successes
    }

    /// Both together, if they are of disjoint units. None above u64.
    #[must_use]
    pub fn merge(self, other: Counts) -> Option<Counts> {
        Some(Counts {
            successes: self.successes.checked_add(other.successes)?,
            units: self.units.checked_add(other.units)?,
        })
    }

    /// Successes ÷ units, in 0..=1; None of no units.
    pub fn rate(self) -> Option<f64> {
        (self.units > 0).then(|| float(self.successes) / float(self.units))
    }

    /// Failures counted as successes and the other way round.
    pub(crate) fn mirrored(self) -> Counts {
        Counts {
            successes: self.failures(),
            units: self.units,
        }
    }

    /// Successes, failures and units as floats.
    pub(crate) fn floats(self) -> (f64, f64, f64) {
        (
            float(self.successes),
            float(self.failures()),
            float(self.units),
        )
    }
}

/// The greatest count that comes as a float: 2^53.
const MOST: f64 = 9_007_199_254_740_992.0;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and inside 0..=2^53"
)]
fn count(number: f64) -> Result<u64, Error> {
    if (0.0..=MOST).contains(&number) && number.fract() == 0.0 {
        Ok(number as u64)
    } else {
        Err(Error::NotACount(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_count_is_a_typed_error() {
        let more = Error::MoreSuccessesThanUnits {
            successes: 3,
            units: 2,
        };
        assert_eq!(Counts::new(3, 2), Err(more));
        assert_eq!(Counts::from_numbers(3.0, 2.0), Err(more));
        for wrong in [-1.0, 0.5, f64::INFINITY, 1e16] {
            assert_eq!(
                Counts::from_numbers(wrong, 1e15),
                Err(Error::NotACount(wrong))
            );
            assert_eq!(
                Counts::from_numbers(0.0, wrong),
                Err(Error::NotACount(wrong))
            );
        }
        assert!(Counts::from_numbers(f64::NAN, 1.0).is_err());
        assert_eq!(Counts::from_numbers(2.0, 5.0), Counts::new(2, 5));
    }

    #[test]
    fn counts_of_disjoint_units_merge_by_addition() {
        let (one, two) = (Counts::new(1, 4).unwrap(), Counts::new(3, 3).unwrap());
        assert_eq!(one.merge(two), Counts::new(4, 7).ok());
        assert_eq!(Counts::new(0, u64::MAX).unwrap().merge(one), None);
    }
}
