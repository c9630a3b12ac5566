//! The results of an experiment on the wire. Numbers that cannot be computed are null with a code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Meta, Rate, Warning};
use crate::saved::ExperimentChange;

/// The results of an experiment: everything from one read view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExperimentAnswer {
    /// The id it is saved under.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Number of the definition's version.
    pub version: u32,
    /// What was changed after its start, of the definition and of the saved funnels that it names; newest first.
    pub changes: Vec<ExperimentChange>,
    /// The definition, every default filled in.
    #[schema(value_type = Object)]
    pub definition: serde_json::Value,
    /// What counts as entry: `exposed`, or `assigned` where no event says who was exposed.
    pub entry: String,
    /// How it may be looked at.
    pub method: MethodTold,
    /// The shape of its numbers, in words: denominators, corrections, what is left out.
    pub reading: Vec<String>,
    /// What follows from it.
    pub verdict: VerdictTold,
    /// Whether it can be trusted.
    pub health: Health,
    /// The variants, as defined.
    pub variants: Vec<VariantTold>,
    /// What decides.
    pub primary: Vec<MetricTold>,
    /// What may not get worse.
    pub guardrails: Vec<GuardrailTold>,
    /// The funnel, step by step, from exposure.
    pub steps: Vec<StepTold>,
    /// The first primary metric apart by each segment field.
    pub segments: Vec<SegmentsTold>,
    /// When the first primary metric's step is taken; null where it has none, or counts something finer than the unit.
    pub time: Option<TimeTold>,
    /// The first primary metric, cumulated by day of exposure.
    pub by_day: Vec<DayTold>,
    /// The first primary metric of those exposed on each day.
    pub by_exposure_day: Vec<DayTold>,
    /// The first primary metric's step by days since exposure, as far as somebody was followed; empty where `time` is null.
    pub by_day_since_exposure: Vec<AgeTold>,
    /// Where this comes from.
    pub meta: Meta,
}

/// How an experiment may be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MethodTold {
    /// `fixed`, `continuous` or `sequential`.
    pub name: String,
    /// The share of experiments without a difference in which one is called.
    pub alpha: f64,
    /// `holm` or `none`, over the family.
    pub correction: String,
    /// How many tests the family has: primary metrics, costs left out, times variants beside the control.
    pub family: usize,
    /// The units at which a continuous interval is narrowest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned_for: Option<u64>,
    /// The planned looks; of those passed, what was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<LookTold>,
}

/// A planned look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LookTold {
    /// Its number, from 1.
    pub look: usize,
    /// The units, all variants together, at which it is due.
    pub planned_units: u64,
    /// The units it was made at: those exposed up to `day`. Null while it is not due.
    pub units: Option<u64>,
    /// The day of exposure up to which it looks.
    pub day: Option<String>,
    /// |z| at which it stops.
    pub boundary: Option<f64>,
    /// By variant beside the control: z of the first primary metric.
    pub z: Vec<Option<f64>>,
}

/// What follows from an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerdictTold {
    /// `variant`, `no difference shown`, `keep looking`, `do not ship: guardrail`, `broken: sample ratio`,
    /// `broken: units in two variants`, `too early`, or `no traffic`.
    pub decision: String,
    /// Which variant it is about.
    pub variant: Option<String>,
    /// The rule that gave it.
    pub rule: String,
    /// The same as sentences that can be read aloud.
    pub sentence: String,
}

/// Whether an experiment can be trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, `warn` or `fail`: the worst of what was found.
    pub status: String,
    /// The split of all units.
    pub sample_ratio: SampleRatioTold,
    /// The same by segment, corrected over all of them (Bonferroni); those with an alarm.
    pub sample_ratio_alarms: Vec<SegmentRatio>,
    /// Units seen, in whatever variant.
    pub units_seen: u64,
    /// Units seen in two variants.
    pub in_two_variants: u64,
    /// Units in a variant that the definition does not have.
    pub unknown_variant: u64,
    /// Units exposed without an assignment since the start, where assignments are told; null where they are not.
    pub without_assignment: Option<u64>,
    /// Units exposed to another variant than one they were assigned to; they count where they were exposed. Null where no
    /// assignments are told.
    #[serde(default)]
    pub exposed_elsewhere: Option<u64>,
    /// Units that had taken the funnel's last step between the experiment's start and their exposure; null where the funnel
    /// counts something finer.
    pub outcome_before_exposure: Option<u64>,
    /// Units taken out by an excluded event; their subjects where the funnel counts something finer.
    pub discarded: u64,
    /// What was found, in words.
    pub findings: Vec<Warning>,
}

/// Whether the units are split as configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SampleRatioTold {
    /// `chi_squared` or `exact_binomial`.
    pub test: Option<String>,
    /// Its p.
    pub p: Option<f64>,
    /// The p that holds however often one looks, from the counts by day.
    pub anytime_p: Option<f64>,
    /// The greatest deviation of a variant's share, 0..=1.
    pub deviation: Option<f64>,
    /// Whether p is below 0.001 and the deviation above 0.001.
    pub alarm: bool,
    /// Why p is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A segment whose split is not the configured one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SegmentRatio {
    /// The field.
    pub field: String,
    /// Its value.
    pub value: String,
    /// Units by variant.
    pub units: Vec<u64>,
    /// p times the segments tested.
    pub corrected_p: f64,
}

/// A variant and its units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VariantTold {
    /// Its name.
    pub name: String,
    /// Whether the others are compared with it.
    pub is_control: bool,
    /// Its share of the units, as configured.
    pub weight: f64,
    /// Units exposed.
    pub units: u64,
    /// Those whose window is over.
    pub matured: u64,
    /// Those whose window still runs.
    pub open: u64,
    /// Where the funnel counts something finer than the unit: its subjects entered after exposure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u64>,
    /// Those of them whose window is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matured_subjects: Option<u64>,
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricTold {
    /// Its name.
    pub name: String,
    /// `rate`, `rate_per_unit` (of subjects finer than the unit), `time`, `mean`, `ratio` or `cost_per_extra`.
    pub measures: String,
    /// The step it is about.
    pub step: Option<String>,
    /// Which way is better: `higher` or `lower`.
    pub better: String,
    /// By variant.
    pub arms: Vec<ArmTold>,
    /// By variant beside the control.
    pub comparisons: Vec<ComparisonTold>,
    /// Of a mean with a covariate: the share of the spread that the behaviour before exposure explains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explained: Option<f64>,
}

/// A metric in one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArmTold {
    /// The variant.
    pub variant: String,
    /// Units (or subjects finer than them) that it is over.
    pub of: u64,
    /// Of a rate: how many got there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<u64>,
    /// The rate (95 % Wilson), mean, ratio, or the restricted mean time in ms.
    pub value: Option<f64>,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Why the value, or its interval, is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A number with an interval whose ends may be missing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Between {
    /// The number.
    pub value: Option<f64>,
    /// Lower end; null where there is none.
    pub low: Option<f64>,
    /// Upper end; null where there is none.
    pub high: Option<f64>,
    /// Why the value is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A variant beside the control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComparisonTold {
    /// The variant.
    pub variant: String,
    /// The control.
    pub against: String,
    /// Variant minus control (of rates: points ÷ 100; of times: ms; a cost: per extra unit), at 1 − alpha.
    pub difference: Between,
    /// The same difference, so wide that those of all tests of the family hold together (Bonferroni); absent for one test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simultaneous: Option<Between>,
    /// Variant ÷ control − 1, at 1 − alpha.
    pub lift: Between,
    /// `score` (Miettinen and Nurminen), `jackknife` (of subjects finer than the unit), `welch`, `delta` (of a ratio),
    /// `log_rank` or `fieller`.
    pub test: String,
    /// The test's statistic: above 0 where the variant is higher; of times where it is faster.
    pub z: Option<f64>,
    /// Of no difference, two-sided, corrected for nothing.
    pub p: Option<f64>,
    /// Corrected over the family.
    pub p_corrected: Option<f64>,
    /// Fisher's exact p, where an expected cell is below 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fisher_p: Option<f64>,
    /// The interval and p that hold however often one looks.
    pub anytime: AnytimeTold,
    /// Of rates: the chance that the variant's is better, uniform priors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance_to_win: Option<f64>,
    /// Of rates: what choosing the variant loses where it is worse, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_if_variant: Option<f64>,
    /// What keeping the control loses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_if_control: Option<f64>,
    /// An arm has fewer than ten units.
    pub tiny_n: bool,
    /// Why the numbers are null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What holds however often one looks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct AnytimeTold {
    /// Lower end of the difference.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// p.
    pub p: Option<f64>,
    /// The same p corrected over the family.
    pub p_corrected: Option<f64>,
}

/// A guardrail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuardrailTold {
    /// Its name.
    pub name: String,
    /// The step it is about.
    pub step: Option<String>,
    /// Which way is better.
    pub better: String,
    /// How much worse is borne.
    pub margin: f64,
    /// Whether the margin is a share of the control's rate.
    pub is_relative: bool,
    /// By variant.
    pub arms: Vec<ArmTold>,
    /// By variant beside the control.
    pub verdicts: Vec<GuardrailVerdict>,
}

/// A guardrail of one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuardrailVerdict {
    /// The variant.
    pub variant: String,
    /// `pass`, `fail` or `undecided`.
    pub verdict: String,
    /// One-sided p of "it is worse by the margin or more".
    pub p: Option<f64>,
    /// Lower end of the 1 − 2·alpha interval of the difference (relative margin: of the ratio); under `continuous` the
    /// bound that holds at all times.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Why it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// One step of the funnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepTold {
    /// Its name.
    pub name: String,
    /// Whether it is optional: skipping it is no drop-off.
    pub optional: bool,
    /// By variant: over all exposed.
    pub arms: Vec<ArmTold>,
    /// By variant: of those that got to the step before. Description only: it compares different people.
    pub from_previous: Vec<Rate>,
    /// By variant beside the control: over all exposed.
    pub comparisons: Vec<ComparisonTold>,
}

/// An effect apart by a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SegmentsTold {
    /// The field; values are those at first exposure.
    pub field: String,
    /// By value, the largest first. p is corrected over all values and variants of the field (Benjamini–Hochberg).
    pub values: Vec<SegmentTold>,
    /// By variant beside the control: whether the effect differs between the values.
    pub heterogeneity: Vec<HeterogeneityTold>,
    /// By variant beside the control: each value compared with itself.
    pub stratified: Vec<StratifiedTold>,
}

/// An effect in one segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SegmentTold {
    /// The value.
    pub value: String,
    /// By variant.
    pub arms: Vec<ArmTold>,
    /// By variant beside the control.
    pub comparisons: Vec<ComparisonTold>,
}

/// Cochran's Q over segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeterogeneityTold {
    /// The variant.
    pub variant: String,
    /// Q.
    pub q: Option<f64>,
    /// Its p: small where the effects differ.
    pub p: Option<f64>,
    /// Why they are null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The difference of Mantel and Haenszel over segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StratifiedTold {
    /// The variant.
    pub variant: String,
    /// The difference over all units.
    pub crude: Option<f64>,
    /// The segments' weighted mean difference; where subjects are finer than the unit its interval is by deleting each unit
    /// in turn.
    pub stratified: Between,
    /// Its p.
    pub p: Option<f64>,
    /// Whether the two have opposite signs (Simpson's paradox).
    pub simpson: bool,
}

/// When a step is taken, from exposure; those that did not take it are censored at the window's end or the view's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimeTold {
    /// The step.
    pub step: String,
    /// The window, up to which restricted means go, in ms.
    pub until_ms: f64,
    /// By variant.
    pub arms: Vec<TimeArm>,
    /// By variant beside the control.
    pub comparisons: Vec<TimeComparison>,
}

/// When a step is taken, in one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimeArm {
    /// The variant.
    pub variant: String,
    /// When half have taken it, in ms (Kaplan–Meier); null if it does not come to that.
    pub median_ms: Option<f64>,
    /// The mean time up to the window's end, in ms.
    pub restricted_mean_ms: Option<f64>,
    /// Points of the curve: the share that has taken it by a time. At most 200.
    pub curve: Vec<CurvePoint>,
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CurvePoint {
    /// Time since exposure, in ms.
    pub at_ms: f64,
    /// The share that has taken the step.
    pub share: f64,
}

/// When a step is taken, beside the control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimeComparison {
    /// The variant.
    pub variant: String,
    /// Difference of the restricted means, in ms; below 0 where the variant is faster.
    pub difference_ms: Between,
    /// p of that difference.
    pub p: Option<f64>,
    /// p of equal curves (log-rank).
    pub log_rank_p: Option<f64>,
}

/// A metric by day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DayTold {
    /// The day of exposure.
    pub day: String,
    /// Whether the window of everybody exposed on it is over.
    pub is_over: bool,
    /// By variant.
    pub arms: Vec<ArmTold>,
    /// By variant beside the control: the difference with the band that holds at all times.
    pub differences: Vec<Between>,
}

/// A step by the end of a day since exposure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgeTold {
    /// Which day, from 1: it ends so many times 24 hours after exposure, the last with the window.
    pub day: usize,
    /// By variant.
    pub arms: Vec<AgeArm>,
    /// By variant beside the control: the difference of the shares, with an interval for this day alone, at the
    /// experiment's level.
    pub differences: Vec<Between>,
}

/// A variant on a day since exposure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgeArm {
    /// The variant's name.
    pub variant: String,
    /// Units followed to the day's end that had not taken the step before the day.
    pub at_risk: u64,
    /// Those of them that took it on the day.
    pub converted: u64,
    /// Of all units, the share that took it by the day's end (Kaplan–Meier over whole days).
    pub value: Option<f64>,
    /// Its 95 % interval (log–log; Wilson's where nobody or everybody took it).
    pub low: Option<f64>,
    /// The interval's upper end.
    pub high: Option<f64>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}
