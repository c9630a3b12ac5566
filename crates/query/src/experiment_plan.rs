//! How many units an experiment needs, how many days they take, and how small an effect the traffic there is can show.
//!
//! The mathematics are `linkfunnel_stats`'s; here a question becomes its input, and a baseline that is not given is measured
//! with the funnel's own answer. A plan from a given rate needs no data: [`plan_at_rate`].

mod check;
mod measure;
mod reckon;
#[cfg(test)]
mod tests;
mod words;

use linkfunnel_model::{Condition, FunnelRef, LookMethod, Range};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Meta, Rate};
use crate::engine::Engine;
use crate::error::{Error, Result};

pub use check::{MAX_AFTER_DAYS, MAX_DURATIONS, MAX_PLANNED_VARIANTS};
pub use reckon::NO_DAILY_UNITS;

/// Planned looks when the methods are shown side by side.
pub const DEFAULT_LOOKS: usize = 5;
/// Days after which it is told what the traffic can show, unless a question names some: 1, 2, 4, 8 and 12 weeks.
pub const DEFAULT_AFTER_DAYS: [u32; 5] = [7, 14, 28, 56, 84];

/// Asks how many units an experiment on a step's rate needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentPlanQuestion {
    /// The control's rate, given or measured.
    pub baseline: PlanBaseline,
    /// The effect to be found.
    pub effect: PlanEffect,
    /// The chance to find it where it is there: 0.5 to 0.9999, 0.8 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.8)]
    pub power: Option<f64>,
    /// The share of experiments without a difference in which one is called: at most 0.4, 0.05 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.05)]
    pub alpha: Option<f64>,
    /// Variants beside the control: 1 to 15, 1 when absent. They share `alpha`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variants: Option<u32>,
    /// Units of each variant for one of the control: 0.001 to 1 000, 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 1.0)]
    pub share: Option<f64>,
    /// How the result will be looked at; when absent the three ways side by side (planned looks: 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<LookMethod>,
    /// Units that come a day, all arms together; when absent those of the measured baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_units: Option<f64>,
    /// After how many days it is told what so much traffic can show: at most 20 numbers up to 3 650; 7, 14, 28, 56 and 84
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!([7, 28, 84]))]
    pub after_days: Option<Vec<u32>>,
    /// The view that a baseline is measured in; the current one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// The control's rate: `rate`, or a `funnel` with a `range` to measure it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanBaseline {
    /// The rate, between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.12)]
    pub rate: Option<f64>,
    /// The funnel whose step's rate it is, over the matured that entered; as in the funnel question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel: Option<FunnelRef>,
    /// When they entered; as in the funnel question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Which of them; as in the funnel question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Condition>,
    /// Number of the step (from 1); the last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
}

/// By how much a variant's rate differs from the control's: `absolute` or `relative`, below 0 for a fall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanEffect {
    /// The difference of the rates: 0.03 is three points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute: Option<f64>,
    /// The difference as a share of the control's rate: 0.1 is a tenth more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.1)]
    pub relative: Option<f64>,
}

/// What an experiment needs and what the traffic can show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExperimentPlanAnswer {
    /// The question with every default filled in, but for `method` where the three ways are shown.
    pub query: ExperimentPlanQuestion,
    /// The control's rate.
    pub baseline: PlannedBaseline,
    /// The effect to be found.
    pub effect: PlannedEffect,
    /// The units that come.
    pub traffic: PlannedTraffic,
    /// One way of looking a row: `fixed`, `sequential`, `continuous`.
    pub methods: Vec<PlannedMethod>,
    /// The same in sentences: what is needed, what such traffic can show and what it cannot.
    pub words: Vec<String>,
    /// Where a measured baseline comes from; null for a given one.
    pub meta: Option<Meta>,
}

/// The control's rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedBaseline {
    /// The rate; of a measured one with its interval (Wilson 95 %).
    pub rate: Rate,
    /// How it was measured; null for a given one.
    pub measured: Option<MeasuredBaseline>,
}

/// How a baseline was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MeasuredBaseline {
    /// What the funnel counts: the units of the plan.
    pub subject: String,
    /// Number of the step, from 1.
    pub step: usize,
    /// Its name.
    pub step_name: String,
    /// Units whose window is over, which the rate is over.
    pub matured: u64,
    /// Units that entered, which the traffic is counted from.
    pub entered: u64,
    /// Days that the traffic is counted over: the range, as far as data has come.
    pub days: f64,
    /// The first day on which one entered, RFC 3339.
    pub first_day: Option<String>,
    /// The funnel's window: so long after the last unit's exposure its outcome is known.
    pub window: String,
}

/// The effect to be found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedEffect {
    /// The variant's rate.
    pub rate: f64,
    /// That less the control's.
    pub absolute: f64,
    /// The same as a share of the control's.
    pub relative: f64,
}

/// The units that come, all arms together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedTraffic {
    /// A day; null where it is neither given nor measured.
    pub daily_units: Option<f64>,
    /// In seven days.
    pub weekly_units: Option<f64>,
    /// Why they are null: `no_daily_units`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Units of an arm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArmUnits {
    /// As computed.
    pub exact: f64,
    /// Rounded up.
    pub units: u64,
}

/// What one way of looking needs and shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedMethod {
    /// The way.
    pub method: LookMethod,
    /// Units of the control.
    pub control: ArmUnits,
    /// Units of each variant.
    pub variant: ArmUnits,
    /// Units of all arms, each rounded up.
    pub total_units: u64,
    /// How many times what one look at the end needs.
    pub times_fixed: f64,
    /// Whole days until all have come; the window of the last one comes on top.
    pub days: Option<u64>,
    /// Why `days` is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the traffic can show after so many days; empty where there is none.
    pub after: Vec<ShownAfter>,
}

/// What the units of so many days can show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShownAfter {
    /// The days.
    pub days: u32,
    /// Units that have come, all arms together, rounded down.
    pub units: u64,
    /// Those of the control, rounded down.
    pub control_units: u64,
    /// The smallest rise that is found.
    pub up: SmallestEffect,
    /// The smallest fall.
    pub down: SmallestEffect,
}

/// The effect nearest to none that so many units find with the power wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SmallestEffect {
    /// The variant's rate; null where no effect would be found.
    pub rate: Option<f64>,
    /// That less the control's.
    pub absolute: Option<f64>,
    /// The same as a share of the control's.
    pub relative: Option<f64>,
    /// Why they are null: `out_of_reach`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Engine {
    /// Plans an experiment, from a rate given or measured.
    ///
    /// # Errors
    /// 422 with pointer for what makes no sense, `no_baseline` where the rate cannot be measured; of a measured one as
    /// [`Engine::funnel`], with pointers below `/baseline`.
    pub async fn plan_experiment(
        &self,
        tenant: &str,
        question: ExperimentPlanQuestion,
    ) -> Result<ExperimentPlanAnswer> {
        let wanted = question.check()?;
        let measured = match &question.baseline.funnel {
            None => None,
            Some(_) => Some(self.measure(tenant, &question).await?),
        };
        // Planned looks are reckoned for some hundredths of a second: too long to keep a thread of the server from others.
        let reckoned = tokio::task::spawn_blocking(move || wanted.plan(question, measured));
        let broken = |error: tokio::task::JoinError| Error::Internal(error.to_string());
        reckoned.await.map_err(broken)?
    }
}

/// Plans an experiment from a rate that is given.
///
/// # Errors
/// 422 with pointer for what makes no sense; `missing_baseline` where there is no rate.
pub fn plan_at_rate(question: ExperimentPlanQuestion) -> Result<ExperimentPlanAnswer> {
    let wanted = question.check()?;
    if question.baseline.rate.is_none() {
        let detail = "without data a plan needs a rate";
        return Err(Error::refused("missing_baseline", "/baseline/rate", detail));
    }
    wanted.plan(question, None)
}
