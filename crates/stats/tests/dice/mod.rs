//! Chance for tests, from a fixed seed.

#![allow(dead_code, reason = "each test uses what it needs")]

/// SplitMix64 (Steele, Lea, Flood 2014): enough for a simulation of fixed seeds.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
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
        u64::try_from((u128::from(self.bits()) * ends) >> 64).unwrap()
    }

    /// A number of 0..1.
    pub(crate) fn share(&mut self) -> f64 {
        self.at_most((1 << 53) - 1) as f64 / 9_007_199_254_740_992.0
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
