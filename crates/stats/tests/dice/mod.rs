//! Chance from a fixed seed, for tests and for the simulator (`examples/simulate`).

#![allow(dead_code, reason = "each user takes what it needs")]

use std::f64::consts::TAU;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for a simulation of fixed seeds.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// The chance of one of many runs: a stream of its own, from the seed and the run's number.
    pub(crate) fn of_run(seed: u64, run: u64) -> Dice {
        let start = Dice(seed).bits() ^ run;
        Dice(Dice(start).bits())
    }

    /// 64 even bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A whole number of 0..=`most`.
    pub(crate) fn at_most(&mut self, most: u64) -> u64 {
        let ends = u128::from(most) + 1;
        u64::try_from((u128::from(self.bits()) * ends) >> 64).expect("at most `most`")
    }

    /// A number of 0..1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub(crate) fn share(&mut self) -> f64 {
        self.at_most((1 << 53) - 1) as f64 / 9_007_199_254_740_992.0
    }

    /// Two independent standard normal numbers (Box and Muller 1958).
    pub(crate) fn normals(&mut self) -> (f64, f64) {
        let (one, two) = (1.0 - self.share(), self.share());
        let ((sin, cos), far) = ((TAU * two).sin_cos(), (-2.0 * one.ln()).sqrt());
        (far * cos, far * sin)
    }

    /// How many of `units` succeed at a rate of 0..=1, each by itself.
    pub(crate) fn successes(&mut self, units: u64, rate: f64) -> u64 {
        let rate = in_2_to_the_64(rate);
        let rest = u32::try_from(units % 64).expect("below 64");
        let whole: u64 = (0..units / 64).map(|_| self.some_of_64(64, rate)).sum();
        whole + self.some_of_64(rest, rate)
    }

    /// Each bit of a word is a unit, whose even draw from 0..1 is compared with the rate digit by digit from the highest:
    /// the first digit that differs decides, so that some eight words decide 64 units.
    fn some_of_64(&mut self, lanes: u32, mut rate: u64) -> u64 {
        let mut open = u64::MAX.checked_shr(64 - lanes).unwrap_or(0);
        let mut below = 0;
        while open != 0 && rate != 0 {
            let digits = self.bits();
            if rate >> 63 == 1 {
                below |= open & !digits;
                open &= digits;
            } else {
                open &= !digits;
            }
            rate <<= 1;
        }
        u64::from(below.count_ones())
    }

    /// A count of any magnitude: few, many, or one of the extremes of u64.
    pub(crate) fn count(&mut self) -> u64 {
        match self.at_most(9) {
            0 => 0,
            1 => 1,
            2 => u64::MAX - self.at_most(2),
            _ => self.bits() >> self.at_most(63),
        }
    }
}

/// A rate as a count of 2^-64; 1 as the greatest there is.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is 0..=1, and a cast of what is too large gives the greatest"
)]
fn in_2_to_the_64(rate: f64) -> u64 {
    (rate * 18_446_744_073_709_551_616.0) as u64
}
