//! Subjects of units: how many units (companies) have x subjects (journeys), y of which succeeded. Exact counts, so that
//! they merge in any order to the same bits; and what they say of the rate of subjects, where units differ in size.

use std::collections::BTreeMap;

use crate::difference::wide;
use crate::{ArmMean, Error, Null, float};

/// Units by their subjects and successes, never more successes than subjects. As large as there are different pairs of
/// them, which is at most the units.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clusters {
    by_pair: BTreeMap<(u32, u32), u64>,
    units: u64,
}

impl Clusters {
    /// Adds a unit with `x` subjects, `y` of which succeeded. One without subjects is a unit all the same.
    ///
    /// # Errors
    /// [`Error::MoreSuccessesThanSubjects`]; [`Error::TooLarge`] from 2^64 units on. The counts are then as before.
    pub fn add(&mut self, x: u32, y: u32) -> Result<(), Error> {
        if y > x {
            return Err(Error::MoreSuccessesThanSubjects {
                successes: y,
                subjects: x,
            });
        }
        self.add_units((x, y), 1)
    }

    /// Adds the other's units, if none is in both.
    ///
    /// # Errors
    /// [`Error::TooLarge`] from 2^64 units on; the counts are then as before.
    pub fn merge(&mut self, other: &Clusters) -> Result<(), Error> {
        if self.units.checked_add(other.units).is_none() {
            return Err(Error::TooLarge);
        }
        let mut pairs = other.by_pair.iter();
        pairs.try_for_each(|(pair, units)| self.add_units(*pair, *units))
    }

    fn add_units(&mut self, pair: (u32, u32), units: u64) -> Result<(), Error> {
        self.units = self.units.checked_add(units).ok_or(Error::TooLarge)?;
        // No pair has more units than all together.
        *self.by_pair.entry(pair).or_default() += units;
        Ok(())
    }

    /// Units, also those without subjects.
    pub fn units(&self) -> u64 {
        self.units
    }

    /// Σx, subjects; below 2^96.
    pub fn sum_x(&self) -> u128 {
        self.sum(|x, _| u128::from(x))
    }

    /// Σy, subjects that succeeded; below 2^96.
    pub fn sum_y(&self) -> u128 {
        self.sum(|_, y| u128::from(y))
    }

    /// (Σx)²/Σx²: so many units of one size would be as uncertain; at most those with subjects, none where there are none.
    ///
    /// Source: Kish, L. (1965), *Survey Sampling*, §11.7.
    pub fn effective_units(&self) -> f64 {
        let subjects = wide(self.sum_x());
        if subjects == 0.0 {
            return 0.0;
        }
        // Below 2^128: fewer than 2^64 units of fewer than 2^32 subjects.
        let squares = self.sum(|x, _| u128::from(x) * u128::from(x));
        subjects * subjects / wide(squares)
    }

    /// Units by subjects and successes.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = ((u32, u32), f64)> {
        let pairs = self.by_pair.iter();
        pairs.map(|(pair, units)| (*pair, float(*units)))
    }

    /// Over all units; each adds less than 2^64.
    fn sum(&self, of: impl Fn(u32, u32) -> u128) -> u128 {
        let pairs = self.by_pair.iter();
        pairs
            .map(|((x, y), units)| of(*x, *y) * u128::from(*units))
            .sum()
    }

    /// (n − 1)/n·Σ(R₍ᵢ₎ − R)², R₍ᵢ₎ being the rate without unit i; no unit has all subjects.
    ///
    /// R₍ᵢ₎ − R = (Y − y)/(X − x) − Y/X = (x·Y − y·X)/(X·(X − x)), numerator and denominators exact: a product of 2^32 and
    /// 2^96 has room.
    fn jackknife_variance(&self) -> f64 {
        let (all_x, all_y) = (self.sum_x(), self.sum_y());
        let squares = self.by_pair.iter().map(|((x, y), units)| {
            let (x, y) = (u128::from(*x), u128::from(*y));
            let moved = wide((x * all_y).abs_diff(y * all_x)) / wide(all_x) / wide(all_x - x);
            float(*units) * (moved * moved)
        });
        let units = float(self.units);
        squares.sum::<f64>() * ((units - 1.0) / units)
    }
}

impl ArmMean {
    /// Σy ÷ Σx of units that may differ in size as much as they like: the delete-one jackknife's variance, and the effective
    /// units less one, (Σx)²/Σx² − 1, as its degrees of freedom. Where all units have one size both are those of
    /// [`ArmMean::ratio`]; else they are what it lacks where few units hold most subjects.
    ///
    /// The variance is (n − 1)/n·Σ(R₍ᵢ₎ − R)² with R₍ᵢ₎ the rate without unit i: a unit that pulls the rate towards itself is
    /// measured from a rate that it did not pull. A unit without subjects changes nothing but n.
    ///
    /// Sources: Efron, B. and Stein, C. (1981), "The jackknife estimate of variance", Annals of Statistics 9, 586–596 (about
    /// the mean of the R₍ᵢ₎, where here it is about R, which is never less); Bell, R. M. and McCaffrey, D. F. (2002), Survey
    /// Methodology 28, 169–181, of whose bias reduction it is the jackknife form.
    ///
    /// The degrees are a practical choice, checked by simulation (`examples/simulate`) rather than derived: the effective
    /// number of clusters of Carter, A. V., Schnepel, K. T. and Steigerwald, D. G. (2017), Review of Economics and
    /// Statistics 99, 698–709, is this one where subjects of one unit are independent, and less the more they are alike.
    ///
    /// # Errors
    /// [`Null::NoUnits`] of none; [`Null::NoDenominator`] where none has subjects; [`Null::NoVariance`] of fewer than two
    /// effective units: one holds so much that the others say too little of how units differ.
    pub fn of_clusters(clusters: &Clusters) -> Result<ArmMean, Null> {
        if clusters.units == 0 {
            return Err(Null::NoUnits);
        }
        let effective = clusters.effective_units();
        if effective == 0.0 {
            return Err(Null::NoDenominator);
        }
        if effective < 2.0 {
            return Err(Null::NoVariance);
        }
        let value = wide(clusters.sum_y()) / wide(clusters.sum_x());
        let arm = ArmMean::new(value, clusters.jackknife_variance(), clusters.units)?;
        let freedom = effective - 1.0;
        Ok(ArmMean { freedom, ..arm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_successes_than_subjects_are_a_typed_error() {
        let mut clusters = Clusters::default();
        clusters.add(3, 3).unwrap();
        let before = clusters.clone();
        let wrong = Error::MoreSuccessesThanSubjects {
            successes: 1,
            subjects: 0,
        };
        assert_eq!(clusters.add(0, 1), Err(wrong));
        assert_eq!(clusters, before);
    }

    /// 2^63 units with the most subjects there are, all but one of which succeeded in half of the units and none in the others.
    #[test]
    fn as_many_units_as_there_can_be_lose_no_digit_and_more_are_refused() {
        let mut clusters = Clusters::default();
        clusters.add(u32::MAX, u32::MAX - 1).unwrap();
        clusters.add(u32::MAX, 0).unwrap();
        for _ in 0..62 {
            let all = clusters.clone();
            clusters.merge(&all).unwrap();
        }
        let most = u128::from(u32::MAX);
        assert_eq!(clusters.units(), 1 << 63);
        assert_eq!(clusters.sum_x(), most << 63);
        assert_eq!(clusters.sum_y(), (most - 1) << 62);
        let arm = ArmMean::of_clusters(&clusters).unwrap();
        // Each unit is half of the rate it could have away from the mean: (y/2x)²/n.
        let half = f64::from(u32::MAX - 1) / f64::from(u32::MAX) / 2.0;
        let variance = half * half / 2_f64.powi(63);
        assert!((arm.variance() / variance - 1.0).abs() < 1e-12, "{arm:?}");
        assert!((arm.freedom() / 2_f64.powi(63) - 1.0).abs() < 1e-12);
        let before = clusters.clone();
        assert_eq!(clusters.merge(&before), Err(Error::TooLarge));
        assert_eq!(clusters, before);
    }
}
