//! What may not get worse.

use linkfunnel_model::{Better, LookMethod};
use linkfunnel_stats::{
    ArmMean, Counts, Effect, Guardrail, Harm, Margin, Null, Verdict, guardrail, guardrail_of_means,
};

use super::answer::{GuardrailTold, GuardrailVerdict};
use super::compare::Arm;
use super::report::{Report, better};
use super::tally::Group;

impl Report<'_> {
    pub(crate) fn guardrails(&self) -> Vec<GuardrailTold> {
        let first = self.definition.primary.len();
        let guardrails = self.definition.guardrails.iter().enumerate();
        guardrails
            .map(|(i, definition)| {
                let place = self.lanes.places[first + i];
                let measurement = self.measured(place, &Group::Total);
                let (margin, is_relative) = match (definition.margin, definition.relative_margin) {
                    (Some(margin), _) => (margin, false),
                    (None, margin) => (margin.unwrap_or_default(), true),
                };
                let harm = match definition.better {
                    Better::Higher => Harm::Fall,
                    Better::Lower => Harm::Rise,
                };
                let verdicts = self.others().map(|variant| {
                    let arms = (&measurement.arms[variant], &measurement.arms[self.control]);
                    let told = self.guard(arms, margin, is_relative, harm);
                    told_guardrail(self.name(variant), told)
                });
                GuardrailTold {
                    name: definition.name.clone(),
                    step: self.step_name(first + i),
                    better: better(definition.better).to_owned(),
                    margin,
                    is_relative,
                    verdicts: verdicts.collect(),
                    arms: self.told(place, &measurement.arms),
                }
            })
            .collect()
    }

    /// One guardrail of one variant: verdict, p, and its interval.
    fn guard(
        &self,
        (one, zero): (&Arm, &Arm),
        margin: f64,
        is_relative: bool,
        harm: Harm,
    ) -> Result<Guarded, Null> {
        if matches!(self.definition.method, LookMethod::Continuous { .. }) {
            let (share, margin) = match (is_relative, harm) {
                (false, _) => (1.0, margin),
                (true, Harm::Fall) => (1.0 - margin, 0.0),
                (true, Harm::Rise) => (1.0 + margin, 0.0),
            };
            let effect = match (one, zero) {
                (Arm::Rate(one), Arm::Rate(zero)) => Effect::of_rates_against(*one, *zero, share)?,
                (Arm::Mean { mean: one, .. }, Arm::Mean { mean: zero, .. }) => {
                    let (one, zero) = varying((*one)?, (*zero)?);
                    Effect::of_means_against(one, zero, share)?
                }
                _ => return Err(Null::NoUnits),
            };
            let looked = self.sequence.guardrail(effect, margin, harm);
            let looked = looked.map_err(|_| Null::OutOfReach)?;
            // of a relative margin the bound is told as one of the ratio
            let bound = match is_relative {
                true => rate(zero)
                    .filter(|rate| *rate > 0.0)
                    .map(|rate| (share + looked.bound / rate).max(0.0)),
                false => Some(looked.bound.clamp(-1.0, 1.0)),
            };
            let (low, high) = match harm {
                Harm::Fall => (bound, None),
                Harm::Rise => (None, bound),
            };
            return Ok((looked.verdict, looked.p, low, high));
        }
        let margin = match is_relative {
            true => Margin::relative(margin),
            false => Margin::difference(margin),
        };
        let margin = margin.map_err(|_| Null::OutOfReach)?;
        let Guardrail {
            p,
            low,
            high,
            verdict,
            ..
        } = match (one, zero) {
            (Arm::Rate(one), Arm::Rate(zero)) => guardrail(*one, *zero, margin, harm, self.level)?,
            (Arm::Mean { mean: one, .. }, Arm::Mean { mean: zero, .. }) => {
                let (one, zero) = varying((*one)?, (*zero)?);
                guardrail_of_means(one, zero, margin, harm, self.level)?
            }
            _ => return Err(Null::NoUnits),
        };
        let low = Some(low).filter(|low| *low > f64::MIN);
        Ok((verdict, p, low, high))
    }
}

/// Verdict, p, and both ends of the interval.
type Guarded = (Verdict, f64, Option<f64>, Option<f64>);

fn told_guardrail(variant: &str, told: Result<Guarded, Null>) -> GuardrailVerdict {
    let variant = variant.to_owned();
    match told {
        Ok((verdict, p, low, high)) => GuardrailVerdict {
            variant,
            verdict: verdict.name().to_owned(),
            p: Some(p),
            low,
            high,
            code: None,
        },
        Err(null) => GuardrailVerdict {
            variant,
            verdict: Verdict::Undecided.name().to_owned(),
            p: None,
            low: None,
            high: None,
            code: Some(null.code().to_owned()),
        },
    }
}

/// Rates of subjects finer than the unit; where all units of both arms have the same one, each with the doubt of so many.
fn varying(one: ArmMean, zero: ArmMean) -> (ArmMean, ArmMean) {
    match one.variance() + zero.variance() > 0.0 {
        true => (one, zero),
        false => (one.in_doubt(), zero.in_doubt()),
    }
}

fn rate(arm: &Arm) -> Option<f64> {
    match arm {
        Arm::Rate(counts) => Counts::rate(*counts),
        Arm::Mean { mean, .. } => mean.ok().map(ArmMean::value),
        Arm::Cost { .. } | Arm::Time(_) => None,
    }
}
