//! The mathematics of answers: intervals of rates and of their differences, tests, survival. Counts in, numbers or a
//! named null out; never NaN, never infinity. No dependency on the rest, no I/O.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")
)]

mod bayes;
mod beta;
mod chi_squared;
mod clusters;
mod comparison;
mod continuous;
mod cost;
mod counts;
mod covariate;
mod decompose;
mod difference;
mod effect;
mod error;
mod false_discovery;
mod family;
mod guardrail;
mod integral;
mod level;
mod log_rank;
mod logarithm;
mod mean;
mod newcombe;
pub mod normal;
mod null;
mod parity;
mod plan;
mod planning;
mod restricted_mean;
mod root;
mod sample_ratio;
mod score;
mod stratified;
mod student;
mod sums;
mod survival;
mod wilson;

pub use bayes::{Belief, Prior, believe, chance_of_best};
pub use clusters::Clusters;
pub use comparison::{Comparison, Method, Ratio, TINY, compare};
pub use continuous::{Looked, LookedGuardrail, Sequence, TUNED_FOR};
pub use cost::cost_per_extra_link;
pub use counts::Counts;
pub use covariate::{Adjusted, adjust};
pub use decompose::{Parts, Stratum, decompose};
pub use difference::{LEAST_EXPECTED, Test, Tested, difference, fisher, score};
pub use effect::Effect;
pub use error::Error;
pub use false_discovery::benjamini_hochberg;
pub use family::{Correction, holm};
pub use guardrail::{Guardrail, Harm, Margin, Verdict, guardrail, guardrail_of_means, is_winner};
pub use level::Level;
pub use log_rank::{LogRank, Times, log_rank};
pub use mean::{ArmMean, MeanComparison, compare_means};
pub use newcombe::newcombe;
pub use null::Null;
pub use parity::compare_by;
pub use plan::{LEAST_STEP, MOST_LOOKS, PHI, Plan};
pub use planning::{Allocation, Direction, Goal, Looking, Needed, days, rate_found, units_needed};
pub use restricted_mean::{RestrictedMean, restricted_mean_difference};
pub use sample_ratio::{
    ALARM_P, CONCENTRATION, EXACT_BELOW, LEAST_DEVIATION, RatioTest, SampleRatio,
    SampleRatioSequence, Share, sample_ratio,
};
pub use stratified::{
    Heterogeneity, Segment, Stratified, heterogeneity, stratified, stratified_clusters,
};
pub use sums::{Pairs, Sums};
pub use survival::{Moment, NotObserved, Survival, merge_moments};
pub use wilson::wilson;

/// Two-sided 95 % quantile of the standard normal distribution, Φ⁻¹(0.975).
pub const Z_95: f64 = 1.959_963_984_540_054;

/// An interval; of a probability both ends are inside 0..=1, of a difference of two inside -1..=1 unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// A number with its interval: a probability, a difference, a cost. 95 % unless a level was given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its interval.
    pub interval: Interval,
}

/// A count as a float, exact below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of subjects are far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}
