//! What a question about a plan may say, checked without data.

use linkfunnel_model::{LookMethod, MAX_LOOKS, MAX_VARIANTS, Mistake, limit};
use linkfunnel_stats::{Allocation, Level, TUNED_FOR};

use super::{DEFAULT_AFTER_DAYS, DEFAULT_LOOKS, ExperimentPlanQuestion, PlanBaseline, PlanEffect};

/// Most variants beside the control: those that a definition may have.
pub const MAX_PLANNED_VARIANTS: u32 = 15;
const _: () = assert!(MAX_PLANNED_VARIANTS as usize + 1 == MAX_VARIANTS);
/// Most durations of one question.
pub const MAX_DURATIONS: usize = 20;
/// Longest duration, in days.
pub const MAX_AFTER_DAYS: u32 = 3_650;
/// Most units a day.
const MAX_DAILY_UNITS: f64 = 1e12;

/// A question that has passed every check that needs no data, defaults filled in.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) effect: Effect,
    pub(super) power: f64,
    pub(super) alpha: f64,
    pub(super) level: Level,
    pub(super) variants: u32,
    pub(super) share: f64,
    pub(super) allocation: Allocation,
    pub(super) methods: Vec<LookMethod>,
    pub(super) daily_units: Option<f64>,
    pub(super) after_days: Vec<u32>,
}

/// The effect, as it was put.
#[derive(Debug, Clone, Copy)]
pub(super) enum Effect {
    Absolute(f64),
    Relative(f64),
}

impl ExperimentPlanQuestion {
    pub(super) fn check(&self) -> Result<Wanted, Mistake> {
        check_baseline(&self.baseline)?;
        let effect = check_effect(self.effect)?;
        let power = within(self.power.unwrap_or(0.8), 0.5, 0.9999, "/power")?;
        let alpha = within(self.alpha.unwrap_or(0.05), 1e-9, 0.4, "/alpha")?;
        let share = within(self.share.unwrap_or(1.0), 0.001, 1_000.0, "/share")?;
        let variants = self.variants.unwrap_or(1);
        if !(1..=MAX_PLANNED_VARIANTS).contains(&variants) {
            let detail = format!(
                "{variants} is not between 1 and {MAX_PLANNED_VARIANTS} variants beside the control"
            );
            return Err(out_of_range("/variants", detail));
        }
        if let Some(daily) = self.daily_units
            && !(daily > 0.0 && daily <= MAX_DAILY_UNITS)
        {
            let detail = format!("{daily} units a day are not above 0 and at most 10^12");
            return Err(out_of_range("/daily_units", detail));
        }
        let outside =
            |error: linkfunnel_stats::Error| Mistake::new("out_of_range", "", error.to_string());
        Ok(Wanted {
            effect,
            power,
            alpha,
            level: Level::new(alpha).map_err(outside)?,
            variants,
            share,
            allocation: Allocation::new(variants, share).map_err(outside)?,
            methods: methods(self.method.as_ref())?,
            daily_units: self.daily_units,
            after_days: durations(self.after_days.as_deref())?,
        })
    }
}

fn check_baseline(baseline: &PlanBaseline) -> Result<(), Mistake> {
    let one = "a baseline is a rate, or a funnel with a range to measure it";
    match (baseline.rate, &baseline.funnel) {
        (None, None) => Err(Mistake::new("missing_baseline", "/baseline", one)),
        (Some(_), Some(_)) => Err(Mistake::new("two_baselines", "/baseline", one)),
        (None, Some(_)) if baseline.range.is_none() => {
            let detail = "say when those entered whose rate is measured";
            Err(Mistake::new("missing_field", "/baseline/range", detail))
        }
        (None, Some(_)) => Ok(()),
        (Some(rate), None) => {
            let unused = [
                (baseline.range.is_some(), "/baseline/range"),
                (!baseline.filters.is_empty(), "/baseline/filters"),
                (baseline.step.is_some(), "/baseline/step"),
            ];
            if let Some((_, pointer)) = unused.into_iter().find(|(is_there, _)| *is_there) {
                let detail = "a rate that is given is not measured; give a funnel instead";
                return Err(Mistake::new("not_with_rate", pointer, detail));
            }
            if rate > 0.0 && rate < 1.0 {
                return Ok(());
            }
            let detail = format!("{rate} is no rate between 0 and 1, both excluded");
            Err(out_of_range("/baseline/rate", detail))
        }
    }
}

fn check_effect(effect: PlanEffect) -> Result<Effect, Mistake> {
    match (effect.absolute, effect.relative) {
        (Some(absolute), None) => Ok(Effect::Absolute(absolute)),
        (None, Some(relative)) => Ok(Effect::Relative(relative)),
        (None, None) => {
            let detail = "say what is to be found: absolute (0.03 is three points) or relative (0.1 is a tenth)";
            Err(Mistake::new("missing_effect", "/effect", detail))
        }
        (Some(_), Some(_)) => {
            let detail = "an effect is absolute or relative, not both";
            Err(Mistake::new("two_effects", "/effect", detail))
        }
    }
}

impl Effect {
    /// The variant's rate where the control's is `from`.
    pub(super) fn to(self, from: f64) -> f64 {
        match self {
            Effect::Absolute(difference) => from + difference,
            Effect::Relative(share) => from * (1.0 + share),
        }
    }

    pub(super) fn pointer(self) -> &'static str {
        match self {
            Effect::Absolute(_) => "/effect/absolute",
            Effect::Relative(_) => "/effect/relative",
        }
    }
}

/// The ways of looking, defaults filled in; one look at the end first.
fn methods(asked: Option<&LookMethod>) -> Result<Vec<LookMethod>, Mistake> {
    let tuned = |units: Option<u64>| LookMethod::Continuous {
        tuned_for: Some(units.unwrap_or(TUNED_FOR)),
    };
    match asked {
        None => Ok(vec![
            LookMethod::Fixed,
            LookMethod::Sequential {
                looks: DEFAULT_LOOKS,
            },
            tuned(None),
        ]),
        Some(LookMethod::Continuous { tuned_for: Some(0) }) => {
            let detail = "the interval is narrowest at one unit at least";
            Err(out_of_range("/method/continuous/tuned_for", detail))
        }
        Some(LookMethod::Sequential { looks }) if !(2..=MAX_LOOKS).contains(looks) => {
            let detail = format!("planned looks are 2 to {MAX_LOOKS}");
            Err(out_of_range("/method/sequential/looks", detail))
        }
        Some(LookMethod::Continuous { tuned_for }) => Ok(vec![tuned(*tuned_for)]),
        Some(one) => Ok(vec![one.clone()]),
    }
}

fn durations(asked: Option<&[u32]>) -> Result<Vec<u32>, Mistake> {
    let Some(asked) = asked else {
        return Ok(DEFAULT_AFTER_DAYS.to_vec());
    };
    limit(asked.len(), MAX_DURATIONS, "durations", "/after_days")?;
    let wrong = asked
        .iter()
        .position(|days| !(1..=MAX_AFTER_DAYS).contains(days));
    match wrong {
        None => Ok(asked.to_vec()),
        Some(i) => {
            let detail = format!("{} is not between 1 and {MAX_AFTER_DAYS} days", asked[i]);
            Err(out_of_range(format!("/after_days/{i}"), detail))
        }
    }
}

fn within(number: f64, least: f64, most: f64, pointer: &str) -> Result<f64, Mistake> {
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    let detail = format!("{number} is not between {least} and {most}");
    Err(out_of_range(pointer, detail))
}

fn out_of_range(pointer: impl Into<String>, detail: impl Into<String>) -> Mistake {
    Mistake::new("out_of_range", pointer, detail)
}
