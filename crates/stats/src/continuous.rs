//! Looking whenever one likes: an interval that holds at all times at once.
//!
//! An asymptotic confidence sequence: the chance that it ever leaves the true difference out is at most α, from the time
//! on at which the central limit theorem holds. With N units so far, se the error of the unpooled difference and ρ chosen
//! so that the interval is narrowest near N* units, ρ² = (−2 ln α + ln(1 − 2 ln α)) / N*:
//!
//! - half-width = se·√N·sqrt( 2(Nρ² + 1)/(Nρ)² · ln( √(Nρ² + 1)/α ) );
//! - p = min(1, √(Nρ² + 1)·exp(−ρ²S/(2(Nρ² + 1)))), S = d²N/se²: the least α at which the interval leaves no effect out;
//! - one side alone: ρ of 2α, and ln(1 + √(Nρ² + 1)/(2α)) for the logarithm.
//!
//! Source: Waudby-Smith, I., Arbour, D., Sinha, R., Kennedy, E. H. and Ramdas, A. (2024), "Time-uniform central limit theory
//! and asymptotic confidence sequences", Annals of Statistics 52, 2613–2640, theorem 2.2, and proposition B.1 of one side.

use crate::{Effect, Error, Harm, Interval, Level, Verdict, float};

/// The units at which the interval is narrowest, unless said otherwise.
pub const TUNED_FOR: u64 = 5_000;

/// A way of looking at all times: its level, and the number of units it is best at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequence {
    level: Level,
    tuned_for: f64,
}

impl Default for Sequence {
    fn default() -> Sequence {
        Sequence {
            level: Level::default(),
            tuned_for: float(TUNED_FOR),
        }
    }
}

/// A difference, looked at one more time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Looked {
    /// The interval; of two rates it may reach beyond −1..=1 while there are few units.
    pub interval: Interval,
    /// The p that holds at all times, two-sided.
    pub p: f64,
}

/// A guardrail, looked at one more time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LookedGuardrail {
    /// The difference holds above this (where a fall is harm) or below it (where a rise is).
    pub bound: f64,
    /// The p of "the harm is the margin or more" that holds at all times.
    pub p: f64,
    /// What follows. Pass and fail each hold at all times with α of their own.
    pub verdict: Verdict,
}

impl Sequence {
    /// Tuned for `tuned_for` units of both arms together, at least 1.
    ///
    /// # Errors
    /// [`Error::NoUnits`] for 0.
    pub fn new(level: Level, tuned_for: u64) -> Result<Sequence, Error> {
        if tuned_for == 0 {
            return Err(Error::NoUnits);
        }
        let tuned_for = float(tuned_for);
        Ok(Sequence { level, tuned_for })
    }

    /// Both sides.
    pub fn look(self, effect: Effect) -> Looked {
        let half = self.half_width(effect.error(), effect.units());
        let (spread, exponent) = self.evidence(effect, self.level.alpha());
        let p = spread.sqrt() * (-exponent).exp();
        Looked {
            interval: Interval {
                low: effect.value() - half,
                high: effect.value() + half,
            },
            p: p.min(1.0),
        }
    }

    /// A non-inferiority margin of a difference, 0 or more in the difference's unit.
    ///
    /// # Errors
    /// [`Error::Margin`] for a margin below 0 or not finite.
    pub fn guardrail(
        self,
        effect: Effect,
        margin: f64,
        harm: Harm,
    ) -> Result<LookedGuardrail, Error> {
        if !(0.0..=f64::MAX).contains(&margin) {
            return Err(Error::Margin(margin));
        }
        let sign = match harm {
            Harm::Fall => 1.0,
            Harm::Rise => -1.0,
        };
        let clear = sign * effect.value() + margin;
        let p = self.one_sided_p(effect, clear);
        let verdict = Verdict::of(p, self.one_sided_p(effect, -clear), self.level.alpha());
        Ok(LookedGuardrail {
            bound: effect.value() - sign * self.one_sided_width(effect),
            p,
            verdict,
        })
    }

    /// Half of the two-sided interval's width for an error of the difference and so many units.
    pub(crate) fn half_width(self, error: f64, units: f64) -> f64 {
        let alpha = self.level.alpha();
        let rho2 = self.rho2(alpha);
        let spread = units * rho2 + 1.0;
        let log = 0.5 * spread.ln() - alpha.ln();
        error * (2.0 * spread / (units * rho2) * log).sqrt()
    }

    fn one_sided_width(self, effect: Effect) -> f64 {
        let twice = 2.0 * self.level.alpha();
        let rho2 = self.rho2(twice);
        let spread = effect.units() * rho2 + 1.0;
        let log = (spread.sqrt() / twice).ln_1p();
        effect.error() * (2.0 * spread / (effect.units() * rho2) * log).sqrt()
    }

    /// The p at which the one-sided bound stands at a deviation of 0.
    fn one_sided_p(self, effect: Effect, deviation: f64) -> f64 {
        let Some(moved) = Effect::new(deviation, effect.error(), effect.units()) else {
            return 1.0;
        };
        if deviation <= 0.0 {
            return 1.0;
        }
        let (spread, exponent) = self.evidence(moved, 2.0 * self.level.alpha());
        (0.5 * spread.sqrt() / exponent.exp_m1()).min(1.0)
    }

    /// Nρ² + 1, and ρ²S/(2(Nρ² + 1)).
    fn evidence(self, effect: Effect, alpha: f64) -> (f64, f64) {
        let rho2 = self.rho2(alpha);
        let spread = effect.units() * rho2 + 1.0;
        let z = effect.value() / effect.error();
        (spread, z * z * (effect.units() * rho2 / spread) / 2.0)
    }

    fn rho2(self, alpha: f64) -> f64 {
        let log = -2.0 * alpha.ln();
        (log + log.ln_1p()) / self.tuned_for
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counts;

    fn effect(treatment: (u64, u64), control: (u64, u64)) -> Effect {
        let counts = |(x, n)| Counts::new(x, n).unwrap();
        Effect::of_rates(counts(treatment), counts(control)).unwrap()
    }

    #[test]
    fn the_headline_case_comes_out() {
        let looked = Sequence::default().look(effect((1_320, 10_000), (1_200, 10_000)));
        assert!((looked.interval.low + 0.002_673_33).abs() < 5e-9);
        assert!((looked.interval.high - 0.026_673_33).abs() < 5e-9);
        assert!((looked.p - 0.240_298_17).abs() < 5e-9, "{}", looked.p);
    }

    #[test]
    fn p_is_below_alpha_exactly_where_the_interval_or_the_bound_clears() {
        let level = Level::new(0.1).unwrap();
        let sequence = Sequence::new(level, 200).unwrap();
        let (mut found, mut passed, mut failed) = (0, 0, 0);
        for (x1, x0) in (1..100).flat_map(|x1| (1..80).map(move |x0| (x1, x0))) {
            let effect = effect((x1, 100), (x0, 80));
            let looked = sequence.look(effect);
            let out = looked.interval.low > 0.0 || looked.interval.high < 0.0;
            assert_eq!(looked.p < 0.1, out, "{x1} {x0}");
            found += u64::from(out);
            let guardrail = |harm| sequence.guardrail(effect, 0.1, harm).unwrap();
            let (fall, rise) = (guardrail(Harm::Fall), guardrail(Harm::Rise));
            assert_eq!(fall.p < 0.1, fall.bound > -0.1, "{x1} {x0}");
            assert_eq!(rise.p < 0.1, rise.bound < 0.1, "{x1} {x0}");
            assert_eq!(fall.verdict == Verdict::Pass, fall.p < 0.1);
            passed += u64::from(fall.verdict == Verdict::Pass);
            failed += u64::from(fall.verdict == Verdict::Fail);
        }
        assert!(found > 100 && passed > 100 && failed > 100);
    }

    #[test]
    fn one_side_is_nearer_than_both_at_the_same_level() {
        let effect = effect((1_320, 10_000), (1_200, 10_000));
        let sequence = Sequence::default();
        let one = sequence.guardrail(effect, 0.0, Harm::Fall).unwrap();
        assert!(one.bound > sequence.look(effect).interval.low);
    }

    #[test]
    fn swapping_the_arms_mirrors() {
        let sequence = Sequence::default();
        let there = sequence.look(effect((30, 90), (41, 120)));
        let back = sequence.look(effect((41, 120), (30, 90)));
        assert!((there.interval.low + back.interval.high).abs() < 1e-15);
        assert!((there.p - back.p).abs() < 1e-15);
    }

    #[test]
    fn nothing_that_varies_is_a_null_and_no_units_an_error() {
        let of = |one, zero| Effect::of_rates(one, zero).unwrap_err().code();
        let counts = |x, n| Counts::new(x, n).unwrap();
        assert_eq!(of(counts(0, 100), counts(100, 100)), "no_variance");
        assert_eq!(of(counts(0, 0), counts(5, 100)), "no_units");
        assert_eq!(Sequence::new(Level::default(), 0), Err(Error::NoUnits));
        let sequence = Sequence::default();
        let wrong = sequence.guardrail(effect((1, 2), (1, 2)), -0.1, Harm::Fall);
        assert_eq!(wrong, Err(Error::Margin(-0.1)));
    }
}
