//! Why a total rate changed: because the mix of its segments did, or because the rates inside them did.

use crate::difference::wide;
use crate::float;

/// One segment on both sides. The segments of one side are apart and together are all of its subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stratum {
    /// Now: (successes, subjects).
    pub of: (u64, u64),
    /// Before: (successes, subjects).
    pub from: (u64, u64),
}

/// What the segments did to the difference of the total rates; the two parts add up to it, as far as floats do.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Parts {
    /// Because shares of segments changed.
    pub mix: f64,
    /// Because rates inside segments changed.
    pub rate: f64,
}

/// Splits the difference of two total rates; one pair a segment, in their order. The sums over all segments add up to the
/// difference exactly, since both sides are held at their mean: with w the share of a segment and r its rate,
/// w1·r1 − w0·r0 = (w1 − w0)·(r1 + r0)/2 + (r1 − r0)·(w1 + w0)/2.
///
/// A segment's mix part is told against the mean of both totals, so that a segment which grew and is worse than the rest
/// counts as a loss; the shares' changes sum to zero, so this moves no sum. A segment that one side lacks has no change of
/// rate: it is all mix, at the rate of the side that has it.
///
/// Source: Kitagawa, E. M. (1955), "Components of a difference between two rates", JASA 50, 1168–1194.
///
/// None where either side has no subjects.
pub fn decompose(strata: &[Stratum]) -> Option<Vec<Parts>> {
    let sum = |side: &dyn Fn(&Stratum) -> (u64, u64)| {
        strata
            .iter()
            .map(|stratum| wide_pair(side(stratum)))
            .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    };
    let (all_1, all_0) = (sum(&|s| s.of), sum(&|s| s.from));
    let middle = f64::midpoint(rate(all_1)?, rate(all_0)?);
    let parts = |s: &Stratum| {
        let (w1, w0) = (
            float(s.of.1) / wide(all_1.1),
            float(s.from.1) / wide(all_0.1),
        );
        let (r1, r0) = match (rate(wide_pair(s.of)), rate(wide_pair(s.from))) {
            (Some(r1), Some(r0)) => (r1, r0),
            (Some(only), None) | (None, Some(only)) => (only, only),
            (None, None) => return Parts::default(),
        };
        Parts {
            mix: (w1 - w0) * (f64::midpoint(r1, r0) - middle),
            rate: (r1 - r0) * f64::midpoint(w1, w0),
        }
    };
    Some(strata.iter().map(parts).collect())
}

/// Successes ÷ subjects; None of nobody.
fn rate((successes, subjects): (u128, u128)) -> Option<f64> {
    (subjects > 0).then(|| wide(successes) / wide(subjects))
}

/// With room for sums of any counts.
fn wide_pair((successes, subjects): (u64, u64)) -> (u128, u128) {
    (u128::from(successes), u128::from(subjects))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(strata: &[Stratum]) -> Parts {
        let add = |a: Parts, b: &Parts| Parts {
            mix: a.mix + b.mix,
            rate: a.rate + b.rate,
        };
        decompose(strata)
            .unwrap()
            .iter()
            .fold(Parts::default(), add)
    }

    fn stratum(of: (u64, u64), from: (u64, u64)) -> Stratum {
        Stratum { of, from }
    }

    #[test]
    fn shares_alone_are_all_mix_and_rates_alone_are_all_rate() {
        let moved = [stratum((24, 30), (56, 70)), stratum((42, 70), (18, 30))];
        let parts = sums(&moved);
        assert!((parts.mix - (0.66 - 0.74)).abs() < 1e-12 && parts.rate.abs() < 1e-12);
        let better = [stratum((45, 50), (40, 50)), stratum((30, 50), (30, 50))];
        let parts = sums(&better);
        assert!(parts.mix.abs() < 1e-12 && (parts.rate - 0.05).abs() < 1e-12);
    }

    #[test]
    fn each_rate_rises_and_the_total_falls_when_the_weaker_segment_grows() {
        let strata = [stratum((18, 20), (64, 80)), stratum((40, 80), (8, 20))];
        let parts = sums(&strata);
        assert!(parts.rate > 0.0 && parts.mix < 0.0);
        assert!((parts.mix + parts.rate - (0.58 - 0.72)).abs() < 1e-12);
    }

    #[test]
    fn a_segment_that_one_side_lacks_is_all_mix() {
        let strata = [stratum((8, 10), (16, 20)), stratum((1, 10), (0, 0))];
        let each = decompose(&strata).unwrap();
        assert!(each[1].mix < 0.0 && each[1].rate.abs() < 1e-12);
        let parts = sums(&strata);
        assert!((parts.mix + parts.rate - (0.45 - 0.8)).abs() < 1e-12);
        assert!(
            parts.rate.abs() < 1e-12,
            "the rate inside the common segment stood still"
        );
    }

    #[test]
    fn the_greatest_counts_have_room() {
        let most = (u64::MAX, u64::MAX);
        let strata = [stratum(most, (0, u64::MAX)), stratum(most, (0, u64::MAX))];
        let parts = sums(&strata);
        assert!((parts.rate - 1.0).abs() < 1e-12 && parts.mix.abs() < 1e-12);
    }

    #[test]
    fn a_side_without_subjects_gives_nothing() {
        assert_eq!(decompose(&[stratum((1, 2), (0, 0))]), None);
        assert_eq!(decompose(&[]), None);
    }
}
