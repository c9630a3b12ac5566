//! Definitions of experiments (statistics.md, part 1): who is compared, by what, and how the result may be looked at.
//!
//! linkfunnel analyses experiments, it does not assign: whoever assigns says so in events (`experiments[]`).

mod check;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::condition::Predicate;
use crate::funnel::Subject;
use crate::question::FunnelRef;
use crate::vocab::ExperimentUnit;
use crate::window::Length;

pub use check::{
    CheckedExperiment, MAX_EXPERIMENT_SEGMENTS, MAX_GUARDRAILS, MAX_LOOKS, MAX_PRIMARY,
    MAX_VARIANTS, Measure, WEIGHTS_WITHIN, check_experiment_funnel,
};

/// What an experiment compares and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentDefinition {
    /// What events call it in `experiments[].id`, where that is not the id it is saved under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "EXP-42")]
    pub told_as: Option<String>,
    /// What is assigned to a variant.
    #[schema(value_type = String, example = "company")]
    pub unit: ExperimentUnit,
    /// The variants with their share of the units, two at least.
    pub variants: Vec<VariantDefinition>,
    /// Name of the variant that the others are compared with; the first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// When it starts: a date (midnight in `timezone`) or an instant. Exposures before are not looked at.
    pub start: String,
    /// When it is planned to end: exposures from then on are not looked at. It runs on when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// How many exposed units it is planned for, all variants together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_units: Option<u64>,
    /// IANA name of the zone that dates and days are in.
    #[serde(default = "utc")]
    pub timezone: String,
    /// The funnel whose steps are shown, from exposure: its window runs from a unit's first exposure.
    pub funnel: FunnelRef,
    /// What decides; the first is the one the verdict is about.
    pub primary: Vec<MetricDefinition>,
    /// What may not get worse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<GuardrailDefinition>,
    /// How the result may be looked at.
    #[serde(default)]
    pub method: LookMethod,
    /// The share of experiments without a difference in which one is called, 0.05 when absent.
    #[serde(default = "five_percent")]
    pub alpha: f64,
    /// How p-values are corrected over primary metrics and variants.
    #[serde(default)]
    pub correction: FamilyCorrection,
    /// Fields by which the effect is shown apart, each on its own; their value at first exposure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<String>,
    /// What becomes of a unit that was seen in two variants.
    #[serde(default)]
    pub in_two_variants: TwoVariants,
    /// How long before its exposure a unit's behaviour is looked at, to make means sharper (CUPED); not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "P14D")]
    pub covariate_window: Option<Length>,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn five_percent() -> f64 {
    0.05
}

/// A variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantDefinition {
    /// Its name, as events tell it.
    pub name: String,
    /// Its share of the units, 0..=1; all together 1. One of 0 is left out of the check of the split.
    pub weight: f64,
}

/// What is measured. A step's rate unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricDefinition {
    /// The name shown.
    pub name: String,
    /// The funnel its steps are of; the experiment's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel: Option<FunnelRef>,
    /// The share that reaches this step (a number, from 1) within the window; the last one where nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// The time to this step, those that did not reach it censored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_step: Option<usize>,
    /// The mean per unit, within the window from exposure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<ValueDefinition>,
    /// The sum of the first over the sum of the second, within the window from exposure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<RatioDefinition>,
    /// What is paid for one more unit that reaches the funnel's last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_extra: Option<ValueDefinition>,
    /// Which way is better.
    #[serde(default)]
    pub better: Better,
}

/// A number per unit: events counted, or a numeric attribute of theirs added up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueDefinition {
    /// The event.
    pub event: String,
    /// Conditions that the event must meet, all of them.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Predicate>,
    /// A field of whole numbers, such as `payment.amount_minor`, or `attrs.NAME` (kept to three decimals), that is added up; the events
    /// are counted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
}

/// Two numbers per unit, divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RatioDefinition {
    /// What is divided.
    pub numerator: ValueDefinition,
    /// By what.
    pub denominator: ValueDefinition,
}

/// Something that may not get worse by more than a margin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardrailDefinition {
    /// The name shown.
    pub name: String,
    /// The funnel its step is of; the experiment's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel: Option<FunnelRef>,
    /// Number of the step; the last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// By how much its rate may be worse, absolute (0.02: two points), 0..1; or `relative_margin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// By what share of the control's rate it may be worse, 0..1; or `margin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_margin: Option<f64>,
    /// Which way is better.
    #[serde(default)]
    pub better: Better,
}

/// Which way of a metric is better.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// A higher value.
    #[default]
    Higher,
    /// A lower value.
    Lower,
}

/// How a result may be looked at without making false alarms more frequent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LookMethod {
    /// Once, at the planned end.
    #[default]
    Fixed,
    /// Whenever one likes.
    Continuous {
        /// The number of units at which its interval is narrowest; 5 000 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tuned_for: Option<u64>,
    },
    /// At so many looks, at equal shares of `planned_units`.
    Sequential {
        /// How many, the last at the planned end; 2 to 20.
        looks: usize,
    },
}

/// How p-values of the family of primary metrics and variants are corrected.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FamilyCorrection {
    /// Holm's: the chance of any false alarm stays below `alpha`.
    #[default]
    Holm,
    /// Not at all.
    None,
}

/// What becomes of a unit that was seen in two variants.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TwoVariants {
    /// It counts in none.
    #[default]
    Exclude,
    /// It counts in the variant it was seen in first.
    FirstSeen,
}

/// What is saved under an experiment's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentContent {
    /// The name shown; 1 to 100 characters.
    #[schema(example = "Shorter consent screen")]
    pub name: String,
    /// What it is about; at most 1 000 characters.
    #[serde(default)]
    pub description: String,
    /// The definition.
    pub definition: ExperimentDefinition,
}

impl ExperimentDefinition {
    /// The name of the variant that the others are compared with.
    pub fn control(&self) -> &str {
        match (&self.control, self.variants.first()) {
            (Some(name), _) => name,
            (None, first) => first.map_or("", |variant| &variant.name),
        }
    }

    /// The unit as a funnel would count it.
    pub fn unit_subject(&self) -> Subject {
        match self.unit {
            ExperimentUnit::Company => Subject::Company,
            ExperimentUnit::User => Subject::User,
            ExperimentUnit::Session => Subject::Session,
            ExperimentUnit::Journey => Subject::Journey,
        }
    }
}
