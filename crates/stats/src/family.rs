//! Many tests of one decision: p-values corrected so that a false call among all of them is as rare as the level says.

/// The p-values corrected by Holm, in the order given: calling those at most α different makes at least one false call with a
/// chance of at most α, whatever the tests have to do with each other. For a family of primary metrics and variants.
///
/// The i-th least of m becomes p·(m − i + 1), at least the one before it, at most 1. Intervals that hold together with it, a
/// little wider, are those of [`Level::shared_by`](crate::Level::shared_by).
///
/// Source: Holm, S. (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6,
/// 65–70.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![1.0; p.len()];
    let mut greatest = 0.0_f64;
    for (rank, at) in order.iter().enumerate() {
        let left = crate::float((p.len() - rank) as u64);
        greatest = greatest.max(p[*at] * left).min(1.0);
        corrected[*at] = greatest;
    }
    corrected
}

/// How p-values of a family were corrected; said beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Correction {
    /// Not at all.
    None,
    /// [`holm`].
    Holm,
    /// [`benjamini_hochberg`](crate::benjamini_hochberg).
    BenjaminiHochberg,
    /// Bonferroni: p times the number of tests.
    Bonferroni,
}

impl Correction {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Correction::None => "none",
            Correction::Holm => "holm",
            Correction::BenjaminiHochberg => "benjamini_hochberg",
            Correction::Bonferroni => "bonferroni",
        }
    }

    /// The p-values of the family, corrected, in the order given.
    pub fn of(self, p: &[f64]) -> Vec<f64> {
        match self {
            Correction::None => p.to_vec(),
            Correction::Holm => holm(p),
            Correction::BenjaminiHochberg => crate::benjamini_hochberg(p),
            Correction::Bonferroni => {
                let tests = crate::float(p.len() as u64);
                p.iter().map(|p| (p * tests).min(1.0)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_multiplied_by_those_that_are_left() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        for (got, expected) in corrected.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-15, "{corrected:?}");
        }
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.25]), [0.25]);
    }

    #[test]
    fn holm_lies_between_each_alone_and_bonferroni() {
        let p = [0.9, 0.01, 0.5, 0.01, 0.04, 0.000_1];
        let (none, holm, bonferroni) = (
            Correction::None.of(&p),
            Correction::Holm.of(&p),
            Correction::Bonferroni.of(&p),
        );
        for at in 0..p.len() {
            assert!(none[at] <= holm[at] && holm[at] <= bonferroni[at] && bonferroni[at] <= 1.0);
            assert!(Correction::BenjaminiHochberg.of(&p)[at] <= holm[at]);
        }
    }
}
