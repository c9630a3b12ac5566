//! Questions beside the funnel question: the list behind a number, and success rates.

use std::collections::BTreeMap;

use linkfunnel_model::{
    Attribution, Breakdown, CompareWord, Condition, FunnelDefinition, FunnelQuestion, FunnelRef,
    Include, Interval, Range,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};

/// Asks for the subjects behind one number of a funnel's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectsQuestion {
    /// As in the funnel question.
    pub funnel: FunnelRef,
    /// As in the funnel question.
    pub range: Range,
    /// As in the funnel question.
    #[serde(default)]
    pub filters: Vec<Condition>,
    /// Which number.
    #[serde(default)]
    pub show: Show,
    /// Number of the step (from 1): for `reached` those that reached it, for `dropped` and `open`
    /// those for which it is the furthest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// Only those with this side result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Only those whose window is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub matured: bool,
    /// The group's `key`, as the funnel's answer gave it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segment: BTreeMap<String, String>,
    /// The `breakdown.limit` of the funnel question; decides what `(other)` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_limit: Option<usize>,
    /// The `breakdown.attribution` of the funnel question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub attribution: BTreeMap<String, Attribution>,
    /// Only those whose clock started here: a bucket of the trend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<Range>,
    /// Size of the page: 100 when absent, at most 1 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// `meta.snapshot` of the funnel's answer, so that the list is as long as its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// Which number a list stands behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// All that entered.
    #[default]
    Entered,
    /// All that reached `step`.
    Reached,
    /// All that got beyond `step` though their provider cannot show it.
    Bypassed,
    /// All that converted.
    Converted,
    /// All that did not in time; with `step`, there.
    Dropped,
    /// All that still can; with `step`, there.
    Open,
}

impl SubjectsQuestion {
    /// The funnel question whose number this lists.
    pub(crate) fn funnel_question(&self) -> FunnelQuestion {
        let by: Vec<String> = self.segment.keys().cloned().collect();
        let limit = self
            .segment_limit
            .unwrap_or(linkfunnel_model::DEFAULT_SEGMENTS);
        FunnelQuestion {
            filters: self.filters.clone(),
            breakdown: (!by.is_empty()).then(|| Breakdown {
                by,
                limit,
                attribution: self.attribution.clone(),
            }),
            as_of: self.as_of.clone(),
            ..FunnelQuestion::of(self.funnel.clone(), self.range.clone())
        }
    }
}

/// A number from 1 to `most`.
pub(crate) fn within(
    asked: Option<usize>,
    default: usize,
    most: usize,
    pointer: &str,
) -> Result<usize> {
    match asked.unwrap_or(default) {
        number if (1..=most).contains(&number) => Ok(number),
        number => {
            let detail = format!("{number} is not between 1 and {most}");
            Err(Error::refused("out_of_range", pointer, detail))
        }
    }
}

/// The index of the step with this number, from 1.
pub(crate) fn step_index(
    definition: &FunnelDefinition,
    number: usize,
    pointer: &str,
) -> Result<usize> {
    let steps = definition.steps.len();
    if (1..=steps).contains(&number) {
        return Ok(number - 1);
    }
    let detail = format!("there is no step {number}; the funnel has {steps}");
    Err(Error::refused("unknown_step", pointer, detail))
}

/// Asks for the result of a built-in or saved funnel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResultQuestion {
    /// Its id.
    pub funnel: String,
    /// When entries begin; the last 30 calendar days, today included, when absent.
    pub range: Option<Range>,
    /// Zone of the days when `range` is absent; UTC when absent too.
    pub timezone: Option<String>,
    /// Which subjects.
    pub filters: Vec<Condition>,
    /// Dimensions; none for the total only.
    pub by: Vec<String>,
    /// Most segments; the rest is `(other)`.
    pub limit: Option<usize>,
    /// Over time.
    pub interval: Option<Interval>,
    /// With which other range it is compared.
    pub compare: Option<CompareWord>,
    /// More to answer.
    pub include: Vec<Include>,
    /// The view to read; the current one when absent.
    pub as_of: Option<String>,
}

/// Asks for linked ÷ started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuccessRatesQuestion {
    /// Dimensions; none for the overall rate only.
    #[serde(default)]
    pub by: Vec<String>,
    /// By dimension, as `by` names it: which of its values a subject stands under.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub attribution: BTreeMap<String, Attribution>,
    /// Over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Whether each rate is also told without failures of institution and provider.
    #[serde(default)]
    pub controllable: bool,
    /// What is counted.
    #[serde(default)]
    pub level: Level,
    /// When they started; the last 30 days when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Zone of dates and intervals when `range` is absent; UTC when absent too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The built-in funnel: `linking` (when absent), `linking_7d` or `linking_from_choice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel: Option<String>,
    /// Which subjects.
    #[serde(default)]
    pub filters: Vec<Condition>,
    /// Most segments; the rest is `(other)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The view to read; the current one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// What a success rate counts. Rates of different levels differ and are never mixed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A company's intention to link, retries merged.
    #[default]
    Journey,
    /// A company, whatever its journeys.
    Company,
    /// One vendor session.
    Attempt,
}
