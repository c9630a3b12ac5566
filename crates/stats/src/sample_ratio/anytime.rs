//! The split looked at every day, with one false alarm budget for all days.

use super::{Share, Split};
use crate::{Null, difference, float, logarithm};

/// How sure the alternative is that the split is near the configured one: the sum of its Dirichlet's parameters.
pub const CONCENTRATION: f64 = 10_000.0;

/// A split over time. Counts of one day from several places are added up before it is observed; days come in order.
///
/// The Bayes factor of "units fall to the arms by shares drawn from a Dirichlet of parameters 10 000·wᵢ" against "by the
/// configured shares w" is a martingale while the split is as configured; so the chance that p = min over the days of
/// 1/factor is ever at most α is at most α.
///
/// Source: Lindon, M. and Malek, A. (2022), "Anytime-valid inference for multinomial count data", NeurIPS 35.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRatioSequence {
    arms: Vec<Share>,
    p: f64,
}

impl SampleRatioSequence {
    /// A split by these weights, before the first unit.
    pub fn new(weights: &[u32]) -> SampleRatioSequence {
        let arm = |weight: &u32| Share {
            units: 0,
            weight: *weight,
        };
        SampleRatioSequence {
            arms: weights.iter().map(arm).collect(),
            p: 1.0,
        }
    }

    /// Adds what one more day brought to each arm, in the order of the weights.
    ///
    /// # Errors
    /// [`Null::NoSplit`] where fewer than two arms have a weight.
    ///
    /// # Panics
    /// If there are not as many arms as weights: the caller's promise.
    pub fn observe(&mut self, units: &[u64]) -> Result<(), Null> {
        assert_eq!(units.len(), self.arms.len(), "one count an arm");
        for (arm, more) in self.arms.iter_mut().zip(units) {
            arm.units = arm.units.saturating_add(*more);
        }
        let factor = log_bayes_factor(&Split::new(&self.arms)?);
        self.p = self.p.min((-factor).exp());
        Ok(())
    }

    /// The p that holds whenever one looks.
    pub fn p(&self) -> f64 {
        self.p
    }
}

/// The logarithm of Γ(A)/Γ(A + n)·Π Γ(αᵢ + nᵢ)/Γ(αᵢ)·Π wᵢ^−nᵢ, A = 10 000, αᵢ = A·wᵢ.
///
/// By Stirling's formula, with tᵢ = αᵢ + nᵢ and T = A + n: Σ tᵢ·ln(tᵢ/(T·wᵢ)) − ½(Σ ln(tᵢ/αᵢ) − ln(T/A)) and the formula's
/// rests; the first sum is T·Σ wᵢ·((1 + xᵢ)·ln(1 + xᵢ) − xᵢ), xᵢ = (nᵢ − n·wᵢ)/(T·wᵢ), in which no large numbers cancel.
fn log_bayes_factor(split: &Split) -> f64 {
    let total = CONCENTRATION + difference::wide(split.units());
    let change = |from: f64, to: f64| {
        logarithm::stirling_rest(to) - logarithm::stirling_rest(from) - 0.5 * (to / from).ln()
    };
    let part = |arm: &Share| {
        let share = split.share(*arm);
        let prior = CONCENTRATION * share;
        // Above −1; rounding could reach it where an arm of a tiny share has no units.
        let x = (split.off(*arm) / (total * share)).max(-1.0 + f64::EPSILON);
        let apart = (1.0 + x) * logarithm::ln_1p_less(x) + x * x;
        total * share * apart + change(prior, prior + float(arm.units))
    };
    split.arms.iter().map(part).sum::<f64>() - change(CONCENTRATION, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(weights: &[u32], units: &[u64]) -> f64 {
        let mut sequence = SampleRatioSequence::new(weights);
        sequence.observe(units).unwrap();
        sequence.p()
    }

    /// By ln Γ of mpmath at 40 digits.
    #[test]
    fn the_factor_is_its_definition() {
        let cases: [(&[u32], &[u64], f64); 5] = [
            (&[1, 1], &[5_000, 5_400], 3.5655245800373745),
            (&[1, 1], &[30, 0], 0.043372114857772016),
            (&[50, 30, 20], &[1_000, 700, 300], 3.3143380171876102),
            (&[1, 9], &[1_200_000, 9_000_000], 16779.844060066764),
            (&[1, 1], &[1_000_000_000, 1_000_400_000], 33.88863815501475),
        ];
        for (weights, units, log) in cases {
            let arms: Vec<Share> = weights
                .iter()
                .zip(units)
                .map(|(weight, units)| Share {
                    units: *units,
                    weight: *weight,
                })
                .collect();
            let got = log_bayes_factor(&Split::new(&arms).unwrap());
            assert!(
                (got - log).abs() < 1e-9 * log.abs().max(1.0),
                "{units:?}: {got} for {log}"
            );
        }
    }

    #[test]
    fn p_never_rises_and_places_of_one_day_add_up() {
        let mut sequence = SampleRatioSequence::new(&[1, 1]);
        let mut before = 1.0;
        for day in [[500, 600], [500, 600], [900, 500], [700, 300]] {
            sequence.observe(&day).unwrap();
            assert!(sequence.p() <= before);
            before = sequence.p();
        }
        assert!(before < 1.0, "{before}");
        assert!((after(&[1, 1], &[1_000, 1_200]) - after(&[2, 2], &[1_000, 1_200])).abs() < 1e-15);
    }

    #[test]
    fn any_counts_give_a_probability() {
        for units in [[0, 0], [u64::MAX, 0], [u64::MAX, u64::MAX], [1, u64::MAX]] {
            for weights in [[1, 1], [1, u32::MAX], [u32::MAX, 1]] {
                let p = after(&weights, &units);
                assert!((0.0..=1.0).contains(&p), "{units:?} {weights:?}: {p}");
            }
        }
        let alone = SampleRatioSequence::new(&[1, 0]).observe(&[5, 5]);
        assert_eq!(alone, Err(Null::NoSplit));
    }
}
