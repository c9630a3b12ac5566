//! Sums, squares and cross products of whole numbers: exact, so that they merge in any order to the same bits, and no
//! spread is lost beside a large mean. Values are counts, minor units of money, microseconds; what is fractional is
//! scaled first.

use crate::difference::wide;
use crate::{Error, float};

/// Sums of squares and products stay below 2^125, so that nothing computed from them overflows: 2^45 units of ±2^40.
const MOST: i128 = 1 << 125;

/// Of one value a unit: how many, Σy and Σy².
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    units: u64,
    sum: i128,
    squares: i128,
}

impl Sums {
    /// From sums as stored.
    ///
    /// # Errors
    /// [`Error::Sums`] where no values have such sums; [`Error::TooLarge`] beyond 2^125.
    pub fn new(units: u64, sum: i128, squares: i128) -> Result<Sums, Error> {
        if squares < 0 || sum.unsigned_abs() > squares.unsigned_abs() {
            return Err(Error::Sums);
        }
        let sums = Sums {
            units,
            sum,
            squares,
        }
        .limited()?;
        // Σy² ≥ (Σy)²/n; a whole mean's square times n, rounded towards nothing, is at most that.
        let mean = sum.checked_div(i128::from(units)).unwrap_or(0);
        let least = mean
            .checked_mul(mean)
            .and_then(|square| square.checked_mul(i128::from(units)));
        let possible = least.is_some_and(|least| least <= squares) && (units > 0 || squares == 0);
        if possible { Ok(sums) } else { Err(Error::Sums) }
    }

    /// Adds a unit's value.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; the sums are then as before.
    pub fn add(&mut self, value: i64) -> Result<(), Error> {
        let value = i128::from(value);
        let one = Sums {
            units: 1,
            sum: value,
            squares: value * value,
        };
        *self = self.merge(one)?;
        Ok(())
    }

    /// Both together, if they are of disjoint units.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn merge(self, other: Sums) -> Result<Sums, Error> {
        let units = self.units.checked_add(other.units);
        // Neither overflows: each is below 2^125.
        Sums {
            units: units.ok_or(Error::TooLarge)?,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
        .limited()
    }

    fn limited(self) -> Result<Sums, Error> {
        if self.squares < MOST {
            Ok(self)
        } else {
            Err(Error::TooLarge)
        }
    }

    /// Units.
    pub fn units(self) -> u64 {
        self.units
    }

    /// Σy.
    pub fn sum(self) -> i128 {
        self.sum
    }

    /// Σy².
    pub fn squares(self) -> i128 {
        self.squares
    }

    /// Σy/n; None of no units.
    pub fn mean(self) -> Option<f64> {
        (self.units > 0).then(|| signed(self.sum) / float(self.units))
    }

    /// Σ(y − ȳ)²; 0 of no units.
    pub(crate) fn spread(self) -> f64 {
        centred(self.units, self.sum, self.sum, self.squares).max(0.0)
    }

    /// Σ(y − ȳ)²/(n − 1); None of fewer than two units.
    pub fn variance(self) -> Option<f64> {
        (self.units > 1).then(|| self.spread() / float(self.units - 1))
    }
}

/// Of two values a unit: both sums and Σxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pairs {
    x: Sums,
    y: Sums,
    products: i128,
}

impl Pairs {
    /// From sums as stored.
    ///
    /// # Errors
    /// [`Error::Sums`] where x and y have different units, or no values have such products.
    pub fn new(x: Sums, y: Sums, products: i128) -> Result<Pairs, Error> {
        // |2xy| ≤ x² + y².
        let most = (x.squares + y.squares) / 2;
        if x.units == y.units && (-most..=most).contains(&products) {
            Ok(Pairs { x, y, products })
        } else {
            Err(Error::Sums)
        }
    }

    /// Adds a unit's values.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; the sums are then as before.
    pub fn add(&mut self, x: i64, y: i64) -> Result<(), Error> {
        let mut more = Pairs::default();
        more.x.add(x)?;
        more.y.add(y)?;
        more.products = i128::from(x) * i128::from(y);
        *self = self.merge(more)?;
        Ok(())
    }

    /// Both together, if they are of disjoint units.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn merge(self, other: Pairs) -> Result<Pairs, Error> {
        Ok(Pairs {
            x: self.x.merge(other.x)?,
            y: self.y.merge(other.y)?,
            products: self.products + other.products,
        })
    }

    /// The first value's sums.
    pub fn x(self) -> Sums {
        self.x
    }

    /// The second value's sums.
    pub fn y(self) -> Sums {
        self.y
    }

    /// Σxy.
    pub fn products(self) -> i128 {
        self.products
    }

    /// Σ(x − x̄)(y − ȳ); 0 of no units.
    pub(crate) fn together(self) -> f64 {
        centred(self.x.units, self.x.sum, self.y.sum, self.products)
    }
}

/// Σxy − Σx·Σy/n, to a float's last digits. With Σx = a·n + r and Σy = b·n + s in whole numbers, |r| and |s| at most n/2,
/// it is (Σxy − a·Σy − r·b) − r·s/n; the first part is exact and below 2^127 by the limit of the squares.
fn centred(units: u64, x: i128, y: i128, products: i128) -> f64 {
    if units == 0 {
        return 0.0;
    }
    let n = i128::from(units);
    let nearest = |sum: i128| (sum + n / 2).div_euclid(n);
    let (a, b) = (nearest(x), nearest(y));
    let (r, s) = (x - a * n, y - b * n);
    let whole = products - a * y - r * b;
    match whole
        .checked_mul(n)
        .and_then(|scaled| scaled.checked_sub(r * s))
    {
        Some(exact) => signed(exact) / float(units),
        None => signed(whole) - signed(r * s) / float(units),
    }
}

/// A whole number as a float, to its last digit.
pub(crate) fn signed(number: i128) -> f64 {
    let size = wide(number.unsigned_abs());
    if number < 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(values: &[i64]) -> Sums {
        let mut sums = Sums::default();
        for value in values {
            sums.add(*value).unwrap();
        }
        sums
    }

    #[test]
    fn a_spread_beside_a_large_mean_is_exact() {
        let far = 1_000_000_000_000;
        assert_eq!(
            sums(&[far + 1, far + 2, far + 3, far + 6]).variance(),
            Some(14.0 / 3.0)
        );
        assert_eq!(sums(&[-far - 1, -far - 3]).variance(), Some(2.0));
        assert_eq!(sums(&[far; 9]).variance(), Some(0.0));
        assert_eq!((sums(&[]).mean(), sums(&[5]).variance()), (None, None));
        let mut pairs = Pairs::default();
        for (x, y) in [(1, 5), (2, 3), (3, 1)] {
            pairs.add(far + x, y - far).unwrap();
        }
        assert!((pairs.together() + 4.0).abs() < 1e-15);
    }

    #[test]
    fn parts_merge_to_the_same_bits_in_any_order() {
        let values: Vec<i64> = (0..100)
            .map(|k| (k * k * 7_919) % 1_000_003 - 500_000)
            .collect();
        let whole = sums(&values);
        for at in [0, 1, 50, 99] {
            let (one, two) = (sums(&values[..at]), sums(&values[at..]));
            assert_eq!(one.merge(two), Ok(whole));
            assert_eq!(two.merge(one), Ok(whole));
        }
    }

    #[test]
    fn what_no_values_have_or_no_room_holds_is_a_typed_error() {
        assert_eq!(Sums::new(2, 10, 49), Err(Error::Sums));
        assert_eq!(Sums::new(2, 10, 50).unwrap().variance(), Some(0.0));
        assert_eq!(Sums::new(0, 0, 1), Err(Error::Sums));
        assert_eq!(Sums::new(1, 0, -1), Err(Error::Sums));
        assert_eq!(Sums::new(1, i128::MIN, i128::MAX), Err(Error::Sums));
        assert_eq!(Sums::new(1, 0, MOST), Err(Error::TooLarge));
        let mut large = Sums::new(1, 0, MOST - 1).unwrap();
        assert_eq!(large.add(i64::MIN), Err(Error::TooLarge));
        assert_eq!(large.units(), 1);
        let two = sums(&[1, 2]);
        assert_eq!(Pairs::new(two, sums(&[1]), 1), Err(Error::Sums));
        assert_eq!(Pairs::new(two, two, 6), Err(Error::Sums));
        assert!(Pairs::new(two, two, 5).is_ok());
    }

    #[test]
    fn the_greatest_sums_do_not_overflow() {
        let end = (MOST - 1).unsigned_abs().isqrt();
        let end = i128::try_from(end).unwrap();
        for sign in [1, -1] {
            let one = Sums::new(1, sign * end, MOST - 1).unwrap();
            let pairs = Pairs::new(one, one, MOST - 1).unwrap();
            assert!(pairs.together().is_finite() && one.spread().is_finite());
            let (units, value) = (i128::from(u64::MAX), 1 << 30);
            let many = Sums::new(u64::MAX, sign * value * units - 7, value * value * units);
            let many = many.unwrap();
            let pairs = Pairs::new(many, many, -value * value * units).unwrap();
            assert!(pairs.together().is_finite() && many.variance().unwrap().is_finite());
        }
    }
}
