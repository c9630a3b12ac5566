//! Is the difference the same in all segments, and does it survive when they are compared each with itself?

use crate::difference::wide;
use crate::score::observed_difference;
use crate::{
    ArmMean, Clusters, Counts, Effect, Interval, Level, Null, chi_squared, compare_means, normal,
};

/// One segment: treatment and control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The treatment in it.
    pub treatment: Counts,
    /// The control in it.
    pub control: Counts,
}

/// The difference over segments, beside the crude one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stratified {
    /// Rate of all treated minus rate of all in the control.
    pub crude: f64,
    /// Mantel and Haenszel's weighted mean of the segments' differences.
    pub value: f64,
    /// Its interval; null where nothing varies inside segments.
    pub interval: Result<Interval, Null>,
    /// Two-sided p of no difference; null with the interval.
    pub p: Result<f64, Null>,
    /// Segments in which an arm has no units; they weigh nothing.
    pub left_out: usize,
    /// Simpson's paradox: the crude and the stratified difference have opposite signs.
    pub simpson: bool,
}

/// The risk difference of Mantel and Haenszel, Σ wₖdₖ / Σ wₖ with wₖ = n1·n0/(n1 + n0), and its variance, Σ wₖ²·(p1(1 −
/// p1)/n1 + p0(1 − p0)/n0) / (Σ wₖ)².
///
/// Source: Greenland, S. and Robins, J. M. (1985), "Estimation of a common effect parameter from sparse follow-up data",
/// Biometrics 41, 55–68.
///
/// # Errors
/// [`Null::NoUnits`] where no segment has units in both arms.
pub fn stratified(segments: &[Segment], level: Level) -> Result<Stratified, Null> {
    let both = |s: &&Segment| s.treatment.units() > 0 && s.control.units() > 0;
    let used: Vec<&Segment> = segments.iter().filter(both).collect();
    let (mut weights, mut sum, mut variance) = (0.0, 0.0, 0.0);
    for segment in &used {
        let ((x1, f1, n1), (x0, f0, n0)) = (segment.treatment.floats(), segment.control.floats());
        let weight = n1 / (n1 + n0) * n0;
        weights += weight;
        sum += weight * observed_difference(segment.treatment, segment.control);
        let of_rates = (x1 / n1) * (f1 / n1) / n1 + (x0 / n0) * (f0 / n0) / n0;
        variance += weight * weight * of_rates;
    }
    if used.is_empty() {
        return Err(Null::NoUnits);
    }
    let value = sum / weights;
    let crude = crude(segments);
    let effect = Effect::new(value, variance.sqrt() / weights, 1.0).ok_or(Null::NoVariance);
    Ok(Stratified {
        crude,
        value,
        interval: effect.map(|effect| effect.interval(level)),
        p: effect.map(|effect| normal::two_sided(effect.value() / effect.error())),
        left_out: segments.len() - used.len(),
        simpson: crude * value < 0.0,
    })
}

/// As [`stratified`], of subjects finer than the unit (treatment and control by segment, each unit in one segment): the same
/// weighted mean, and its variance by deleting each unit in turn, a jackknife of the treatment's units and one of the
/// control's, as of [`ArmMean::of_clusters`]; interval and p by Welch's t.
///
/// Sources: as there; Arvesen, J. N. (1969), "Jackknifing U-statistics", Annals of Mathematical Statistics 40, 2076–2100,
/// for two samples.
///
/// # Errors
/// [`Null::NoUnits`] where no segment has subjects in both arms.
pub fn stratified_clusters(segments: &[[&Clusters; 2]], level: Level) -> Result<Stratified, Null> {
    let of = |clusters: &Clusters| [wide(clusters.sum_x()), wide(clusters.sum_y())];
    let sums: Vec<[[f64; 2]; 2]> = segments.iter().map(|arms| arms.map(of)).collect();
    let parts: Vec<Part> = sums.iter().map(Part::of).collect();
    let all = parts.iter().copied().fold(Part::default(), Part::plus);
    if all.weight == 0.0 {
        return Err(Null::NoUnits);
    }
    let value = all.value();
    let arm = |arm: usize| {
        let (mut units, mut squares) = (0.0, 0.0);
        let (mut subjects, mut sizes) = (0.0, 0.0);
        for ((segment, sums), part) in segments.iter().zip(&sums).zip(&parts) {
            subjects += sums[arm][0];
            for ((x, y), count) in segment[arm].pairs() {
                let (x, y) = (f64::from(x), f64::from(y));
                units += count;
                sizes += count * x * x;
                let mut without = *sums;
                without[arm] = [sums[arm][0] - x, sums[arm][1] - y];
                let rest = all.minus(*part).plus(Part::of(&without));
                if x > 0.0 && rest.weight <= 0.0 {
                    return Err(Null::NoVariance);
                }
                squares += count * (rest.value() - value).powi(2);
            }
        }
        let effective = subjects * subjects / sizes;
        if effective < 2.0 {
            return Err(Null::NoVariance);
        }
        Ok((squares * ((units - 1.0) / units), effective - 1.0))
    };
    let compared = arm(0).and_then(|one| {
        let mean = |value, (variance, freedom)| ArmMean {
            value,
            variance,
            units: 0,
            freedom,
        };
        compare_means(mean(value, one), mean(0.0, arm(1)?), level)
    });
    let total = |arm: usize| [0, 1].map(|of| sums.iter().map(|s| s[arm][of]).sum::<f64>());
    let crude = Part::of(&[total(0), total(1)]).value();
    Ok(Stratified {
        crude,
        value,
        interval: compared.map(|compared| compared.difference.interval),
        p: compared.map(|compared| compared.p),
        left_out: parts.iter().filter(|part| part.weight == 0.0).count(),
        simpson: crude * value < 0.0,
    })
}

/// What segments add to the weighted mean.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    weight: f64,
    /// The weight times the difference.
    sum: f64,
}

impl Part {
    /// Of a segment: subjects and successes of the treatment and of the control.
    fn of(&[[n1, x1], [n0, x0]]: &[[f64; 2]; 2]) -> Part {
        if n1 <= 0.0 || n0 <= 0.0 {
            return Part::default();
        }
        Part {
            weight: n1 / (n1 + n0) * n0,
            // n1·n0·(x1/n1 − x0/n0), and 0 where both rates are one
            sum: (x1 * n0 - x0 * n1) / (n1 + n0),
        }
    }

    fn plus(self, other: Part) -> Part {
        Part {
            weight: self.weight + other.weight,
            sum: self.sum + other.sum,
        }
    }

    fn minus(self, other: Part) -> Part {
        Part {
            weight: self.weight - other.weight,
            sum: self.sum - other.sum,
        }
    }

    fn value(self) -> f64 {
        self.sum / self.weight
    }
}

/// Of all segments together, those left out too. Some segment has units in both arms.
fn crude(segments: &[Segment]) -> f64 {
    let rate = |side: &dyn Fn(&Segment) -> Counts| {
        let (x, n) = segments
            .iter()
            .map(|s| side(s).floats())
            .fold((0.0, 0.0), |sum, (x, _, n)| (sum.0 + x, sum.1 + n));
        x / n
    };
    rate(&|s| s.treatment) - rate(&|s| s.control)
}

/// Whether effects differ between segments by more than chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heterogeneity {
    /// Cochran's Q.
    pub q: f64,
    /// Its degrees of freedom: segments less one.
    pub freedom: u32,
    /// The p of one effect in all segments.
    pub p: f64,
}

/// Cochran's Q over the effects of segments, Σ (dₖ − d̄)²/seₖ², d̄ the mean weighted by 1/seₖ². Segments without an
/// effect (an arm without units, nothing that varies) are not among them: the caller says how many.
///
/// Source: Cochran, W. G. (1954), "The combination of estimates from different experiments", Biometrics 10, 101–129.
///
/// # Errors
/// [`Null::OneSegment`] for fewer than two effects.
pub fn heterogeneity(effects: &[Effect]) -> Result<Heterogeneity, Null> {
    let freedom = u32::try_from(effects.len())
        .unwrap_or(u32::MAX)
        .saturating_sub(1);
    // Weights relative to the greatest, so that none overflows.
    let least = effects.iter().map(|e| e.error()).fold(f64::MAX, f64::min);
    let weight = |effect: &Effect| (least / effect.error()).powi(2);
    let weights: f64 = effects.iter().map(weight).sum();
    let mean = effects.iter().map(|e| weight(e) * e.value()).sum::<f64>() / weights;
    if freedom == 0 {
        return Err(Null::OneSegment);
    }
    let part = |e: &Effect| ((e.value() - mean) / e.error()).powi(2);
    let q = effects.iter().map(part).sum::<f64>().min(f64::MAX);
    Ok(Heterogeneity {
        q,
        freedom,
        p: chi_squared::upper_tail(q, freedom),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment((x1, n1): (u64, u64), (x0, n0): (u64, u64)) -> Segment {
        Segment {
            treatment: Counts::new(x1, n1).unwrap(),
            control: Counts::new(x0, n0).unwrap(),
        }
    }

    fn of(segments: &[Segment]) -> Stratified {
        stratified(segments, Level::default()).unwrap()
    }

    #[test]
    fn one_segment_is_the_plain_difference_with_the_unpooled_error() {
        let one = segment((1_320, 10_000), (1_200, 10_000));
        let result = of(&[one]);
        let effect = Effect::of_rates(one.treatment, one.control).unwrap();
        assert!((result.value - 0.012).abs() < 1e-15 && (result.crude - 0.012).abs() < 1e-15);
        let half = (result.interval.unwrap().high - result.value) / Level::default().z();
        assert!((half - effect.error()).abs() < 1e-15);
        assert!(!result.simpson);
    }

    /// The kidney stones of Charig et al. (1986), BMJ 292, 879–882: surgery is better for small and for large stones, and
    /// worse over all.
    #[test]
    fn a_reversed_sign_is_warned_of() {
        let stones = [segment((81, 87), (234, 270)), segment((192, 263), (55, 80))];
        let result = of(&stones);
        assert!(result.crude < 0.0 && result.value > 0.0 && result.simpson);
        assert!((result.crude - (273.0 / 350.0 - 289.0 / 350.0)).abs() < 1e-15);
    }

    #[test]
    fn a_segment_that_an_arm_lacks_weighs_nothing_and_is_counted() {
        let full = segment((30, 100), (20, 100));
        let result = of(&[full, segment((5, 5), (0, 0))]);
        assert_eq!(result.left_out, 1);
        assert!((result.value - 0.1).abs() < 1e-15);
        let none = stratified(&[segment((5, 5), (0, 0))], Level::default());
        assert_eq!(none, Err(Null::NoUnits));
        let flat = of(&[segment((0, 9), (0, 7))]);
        assert_eq!((flat.p, flat.simpson), (Err(Null::NoVariance), false));
    }

    #[test]
    fn equal_effects_are_homogeneous_and_opposite_ones_are_not() {
        let effect = |value| Effect::new(value, 0.01, 100.0).unwrap();
        let same = heterogeneity(&[effect(0.05), effect(0.05), effect(0.05)]).unwrap();
        assert!(same.q < 1e-20 && same.freedom == 2 && (same.p - 1.0).abs() < 1e-9);
        let apart = heterogeneity(&[effect(0.05), effect(-0.05)]).unwrap();
        assert!((apart.q - 50.0).abs() < 1e-9 && apart.p < 1e-11);
        assert_eq!(heterogeneity(&[effect(0.1)]), Err(Null::OneSegment));
        assert_eq!(heterogeneity(&[]), Err(Null::OneSegment));
    }
}
