//! The two parts of a difference, beside the mean of the two orders in which mix and rates can be changed one after the other.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use linkfunnel_stats::{Stratum, decompose};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((bits ^ (bits >> 31)) >> 32) * end) >> 32
    }

    /// Successes of subjects; often nobody, rarely very many.
    fn side(&mut self) -> (u64, u64) {
        let most = [1, 5, 300, 40_000_000][usize::try_from(self.below(4)).unwrap()];
        let subjects = self.below(most);
        (self.below(subjects + 1), subjects)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// The total rate with the shares of one side and the rates of one side; a rate that a side lacks is the other's.
fn standardised(strata: &[Stratum], shares_now: bool, rates_now: bool) -> f64 {
    let share = |s: &Stratum| if shares_now { s.of.1 } else { s.from.1 };
    let all: u64 = strata.iter().map(share).sum();
    let term = |s: &Stratum| {
        let wanted = if rates_now { s.of } else { s.from };
        let there = if wanted.1 > 0 {
            wanted
        } else if rates_now {
            s.from
        } else {
            s.of
        };
        if share(s) == 0 {
            0.0
        } else {
            ratio(share(s), all) * ratio(there.0, there.1)
        }
    };
    strata.iter().map(term).sum()
}

#[test]
fn mix_and_rate_add_up_to_the_difference_and_are_the_mean_of_both_orders() {
    let mut told = 0;
    for seed in 0..5_000 {
        let mut dice = Dice(seed);
        let count = 1 + dice.below(9);
        let strata: Vec<Stratum> = (0..count)
            .map(|_| Stratum {
                of: dice.side(),
                from: dice.side(),
            })
            .collect();
        let total = |side: fn(&Stratum) -> (u64, u64)| {
            let of = strata.iter().map(side);
            of.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
        };
        let (now, before) = (total(|s| s.of), total(|s| s.from));
        let Some(parts) = decompose(&strata) else {
            assert!(now.1 == 0 || before.1 == 0, "seed {seed}");
            continue;
        };
        told += 1;
        let mix: f64 = parts.iter().map(|p| p.mix).sum();
        let rate: f64 = parts.iter().map(|p| p.rate).sum();
        let difference = ratio(now.0, now.1) - ratio(before.0, before.1);
        assert!(
            (mix + rate - difference).abs() < 1e-12,
            "seed {seed}: {mix} + {rate} for {difference}"
        );
        let at = |shares, rates| standardised(&strata, shares, rates);
        let mix_first = at(true, false) - at(false, false);
        let mix_last = at(true, true) - at(false, true);
        let expected = f64::midpoint(mix_first, mix_last);
        assert!(
            (mix - expected).abs() < 1e-12,
            "seed {seed}: {mix} for {expected}"
        );
    }
    assert!(told > 2_500, "{told}");
}
