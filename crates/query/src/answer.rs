//! The answers as they go over the wire (design §8). What cannot be computed is null with a code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::compare::Comparison;
use crate::controllable::Controllable;

/// Words in the `code` beside a null.
pub mod null {
    /// No subject's window is over yet.
    pub const NOT_MATURED: &str = "not_matured";
    /// Nobody entered, so there is nothing to divide by.
    pub const NOBODY_ENTERED: &str = "nobody_entered";
    /// Nobody reached the step.
    pub const NOBODY_REACHED: &str = "nobody_reached";
    /// The question did not ask for times (`include: ["time_to_convert"]`).
    pub const NOT_ASKED_FOR: &str = "not_asked_for";
    /// Nobody was followed to the end of the window yet.
    pub const NOT_OBSERVED_TO_WINDOW: &str = "not_observed_to_window";
    /// Fewer than half converted inside what was observed, so there is no median.
    pub const BELOW_HALF: &str = "below_half";
    /// Under `entries: "best"` no one clock is followed, so there is no estimate.
    pub const NOT_WITH_BEST: &str = "not_with_best";
    /// Nothing is broken down by, so there are no segments whose mix could have changed.
    pub const NO_BREAKDOWN: &str = "no_breakdown";
    /// Segments overlap (`each`), so their shares do not add up to the total.
    pub const SEGMENTS_OVERLAP: &str = "segments_overlap";
    /// Everybody whose window is over was taken out.
    pub const NOBODY_LEFT: &str = "nobody_left";
}

/// A share between 0 and 1, or null with the reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rate {
    /// The share; null when it cannot be computed.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end of the 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Why `value` is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Rate {
    /// A null with its reason.
    pub fn none(code: &str) -> Rate {
        Rate {
            value: None,
            low: None,
            high: None,
            code: Some(code.to_owned()),
        }
    }

    /// A share without interval.
    pub fn plain(value: f64) -> Rate {
        Rate {
            value: Some(value),
            low: None,
            high: None,
            code: None,
        }
    }
}

/// Percentiles of a time in ms (≤ 1 % relative error), or nulls with the reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Times {
    /// Median.
    pub p50: Option<f64>,
    /// Three quarters took at most this long.
    pub p75: Option<f64>,
    /// Nine of ten took at most this long.
    pub p90: Option<f64>,
    /// Nineteen of twenty took at most this long.
    pub p95: Option<f64>,
    /// Why the percentiles are null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Subjects of a named side result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutcomeCount {
    /// The outcome's name in the definition.
    pub name: String,
    /// Subjects that did not convert and had this outcome first in the list.
    pub count: u64,
}

/// The subjects whose window is over, converted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Matured {
    /// Entered, window over.
    pub entered: u64,
    /// Those of them that converted.
    pub converted: u64,
}

/// One step in one group. `reached` = went on + converted here + `dropped` + `open`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepAnswer {
    /// The step's name.
    pub name: String,
    /// Whether the step is optional: it gates nothing and nobody drops at it.
    pub optional: bool,
    /// Subjects that reached it.
    pub reached: u64,
    /// Subjects that got beyond it though their provider cannot show it; they stand beside `reached` and count as having got
    /// this far in the rates.
    pub bypassed: u64,
    /// Subjects for which it was the furthest required step and whose window is over.
    pub dropped: u64,
    /// Subjects for which it was the furthest required step so far and that can still go on.
    pub open: u64,
    /// Subjects that reached it and whose window is over.
    pub matured_reached: u64,
    /// Of the matured that entered, the share that reached this step (Wilson 95 %).
    pub rate_from_entry: Rate,
    /// Of the matured that reached the required step before, the share that reached this one.
    pub rate_from_previous: Rate,
    /// Time from the clock's start to this step, of those who reached it; kept when the question
    /// includes `time_to_convert`.
    pub time_from_entry_ms: Times,
    /// Time from the required step before to this step, of those who reached both.
    pub time_from_previous_ms: Times,
    /// Why the dropped stopped here, most frequent first; they add up to `dropped`. Present when asked
    /// for (`include: ["reasons"]`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonCount>,
}

/// Dropped subjects with one reason: that of their last error, denial or exit inside the window and not
/// before their furthest step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReasonCount {
    /// Class of the taxonomy; `unknown` where the event says none, or there was none.
    pub class: String,
    /// Code inside the class; the event's name where it says none, `timed_out` where there was no event.
    pub code: String,
    /// To whom it is put down; null where nobody said.
    pub attribution: Option<String>,
    /// Whether another try could have helped; null where nobody said.
    pub recoverable: Option<bool>,
    /// Dropped subjects.
    pub count: u64,
}

/// Time from entry to conversion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimeToConvert {
    /// Percentiles over the converted, in ms.
    pub converted_ms: Times,
    /// Kaplan–Meier median over all that entered, the open ones censored, in ms.
    pub median_with_open_ms: Option<f64>,
    /// Why the median is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Histogram of the converted: cut where the question says (`bins`), from 0 to the window's end, with exact counts; else
    /// automatic, with edges within 1 %.
    pub bins: Vec<TimeBin>,
}

/// A bar of the histogram of times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimeBin {
    /// Start of the bin in ms, inclusive.
    pub from_ms: f64,
    /// End of the bin in ms, exclusive; but a bin that ends with the window holds those who took all of it.
    pub to_ms: f64,
    /// Converted subjects in it.
    pub count: u64,
}

/// One interval of the trend, by the start of the clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrendBucket {
    /// Start of the interval in the question's zone, RFC 3339 (the calendar's, which may lie
    /// before the range).
    pub start: String,
    /// End of the interval, RFC 3339, exclusive.
    pub end: String,
    /// Whether the range covers only a part of the interval.
    pub partial: bool,
    /// Whether the window of everybody who entered here is over.
    pub is_matured: bool,
    /// Subjects whose clock started here.
    pub entered: u64,
    /// Those that converted.
    pub converted: u64,
    /// Those that did not in time.
    pub dropped: u64,
    /// Those that still can.
    pub open: u64,
    /// Those whose window is over.
    pub matured: Matured,
    /// Conversion over the matured.
    pub rate: Rate,
    /// Converted ÷ entered, open ones in the denominator.
    pub rate_so_far: Rate,
}

/// The numbers of one segment, or of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Dimension → value; empty for the total. `(none)`, `(before choice)` and `(other)` stand
    /// for missing, not chosen yet and beyond the limit.
    pub key: BTreeMap<String, String>,
    /// Subjects that entered.
    pub entered: u64,
    /// Subjects that reached the last step in time.
    pub converted: u64,
    /// Subjects that did not, and whose window is over.
    pub dropped: u64,
    /// Subjects that did not yet.
    pub open: u64,
    /// Subjects left out of every other number by an excluded event (`on_exclude: "discard_subject"`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discarded: u64,
    /// Side results of those that did not convert; inside `dropped` and `open`.
    pub outcomes: Vec<OutcomeCount>,
    /// Subjects whose window is over.
    pub matured: Matured,
    /// Conversion over the matured (Wilson 95 %).
    pub rate: Rate,
    /// Converted ÷ entered.
    pub rate_so_far: Rate,
    /// Kaplan–Meier estimate at the end of the window (log–log 95 %).
    pub rate_expected: Rate,
    /// Every step of the definition, in its order.
    pub steps: Vec<StepAnswer>,
    /// Time to convert; present when asked for (`include: ["time_to_convert"]`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_convert: Option<TimeToConvert>,
    /// The group's own trend; present when both `interval` and `breakdown` were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trend: Vec<TrendBucket>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Something the reader should know about an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// Stable word.
    pub code: String,
    /// A sentence.
    pub detail: String,
}

/// Where an answer comes from and what it left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Meta {
    /// Token of the view that was read; give it back as `as_of`.
    pub snapshot: String,
    /// Everything that had arrived up to this instant is in the view (RFC 3339); null before the
    /// first event.
    pub watermark: Option<String>,
    /// The earlier of the watermark and the end of the range.
    pub complete_until: Option<String>,
    /// Events read, copies not counted; with `compare` those of both ranges.
    pub events_scanned: u64,
    /// Time from the question to the answer in ms.
    pub elapsed_ms: f64,
    /// Events that match a step or outcome and lack the subject's id.
    pub without_subject: u64,
    /// Subjects that did later steps without ever entering.
    pub without_entry: u64,
    /// Ids of counted subjects that stand under more than one company: each is as many subjects.
    #[serde(default)]
    pub split_ids: u64,
    /// Events that match a step or outcome and were left out because they are not live or not
    /// human.
    pub filtered_by_default: u64,
    /// Things to know.
    pub warnings: Vec<Warning>,
    /// Name of this run, for logs.
    pub query_id: String,
}

/// The answer to a funnel question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunnelAnswer {
    /// The question as executed, every default filled in.
    #[schema(value_type = Object)]
    pub query: serde_json::Value,
    /// One group a segment, largest first; `(none)`, `(before choice)`, `(other)` last.
    pub groups: Vec<Group>,
    /// All subjects.
    pub total: Group,
    /// All subjects over time; empty without `interval`.
    pub trend: Vec<TrendBucket>,
    /// The same over another range; present when asked for (`compare`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Comparison>,
    /// Where this comes from.
    pub meta: Meta,
}

/// One subject of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubjectItem {
    /// The subject's id as stored.
    pub id: String,
    /// What the id names: `journey`, `company`, ….
    pub kind: String,
    /// The company it belongs to, named by its events or found through their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_id: Option<String>,
    /// Start of its clock, RFC 3339.
    pub entered_at: String,
    /// `converted`, `dropped` or `open`.
    pub state: String,
    /// Number of the furthest required step reached, counted from 1.
    pub step: usize,
    /// Name of that step.
    pub step_name: String,
    /// When each step was reached, RFC 3339; null where it was not.
    pub step_times: Vec<Option<String>>,
    /// End of the clock: an open subject can convert until then, RFC 3339.
    pub clock_ends_at: String,
    /// The side result, of one that did not convert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The segment it is listed under: dimension → value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segment: BTreeMap<String, String>,
}

/// The subjects behind a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubjectsAnswer {
    /// How long the whole list is: the number it stands behind.
    pub count: u64,
    /// This page.
    pub subjects: Vec<SubjectItem>,
    /// Give back as `cursor` together with `as_of` = `meta.snapshot`; null on the last page.
    pub next_cursor: Option<String>,
    /// Where this comes from.
    pub meta: Meta,
}

/// Linked ÷ started, of one segment or of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuccessRate {
    /// Dimension → value; empty for the total.
    pub key: BTreeMap<String, String>,
    /// What `started` counts, e.g. `journeys that opened the flow and chose the integration xero`.
    pub starts_from: String,
    /// Subjects that started.
    pub started: u64,
    /// Subjects that linked.
    pub linked: u64,
    /// Subjects that did not and no longer can.
    pub dropped: u64,
    /// Subjects that still can.
    pub open: u64,
    /// Subjects whose window is over.
    pub matured: Matured,
    /// Linked ÷ started over the matured (Wilson 95 %).
    pub rate: Rate,
    /// Linked ÷ started so far.
    pub rate_so_far: Rate,
    /// Kaplan–Meier estimate at the end of the window.
    pub rate_expected: Rate,
    /// The same without failures of institution and provider, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controllable: Option<Controllable>,
    /// Over time, when `interval` was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trend: Vec<TrendBucket>,
}

/// Success rates: the funnel `linking` told as one rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuccessRatesAnswer {
    /// What a subject is: `journey`, `company` or `attempt`.
    pub level: String,
    /// The built-in definition used.
    pub funnel: String,
    /// Its window, ISO 8601.
    pub window: String,
    /// Start of the range, RFC 3339.
    pub from: String,
    /// End of the range, RFC 3339, exclusive.
    pub to: String,
    /// The rule behind `controllable`, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controllable_rule: Option<String>,
    /// One a segment, largest first.
    pub groups: Vec<SuccessRate>,
    /// All.
    pub total: SuccessRate,
    /// Where this comes from.
    pub meta: Meta,
}

/// A message that ingest refused, shown redacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// Its name: stream, partition, offset and index.
    pub id: String,
    /// The stream it came from.
    pub stream: String,
    /// The partition of the stream.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// Which of the events of one message.
    pub index: i32,
    /// When it arrived, RFC 3339.
    pub received_at: String,
    /// Stable word for the reason.
    pub code: String,
    /// JSON pointer to the culprit.
    pub pointer: String,
    /// A sentence.
    pub detail: String,
    /// The start of the message with everything sensitive struck out; null when it cannot be
    /// read any more.
    pub message: Option<String>,
}

/// A page of dead letters, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLettersAnswer {
    /// This page.
    pub dead_letters: Vec<DeadLetter>,
    /// How many there are in the view.
    pub count: u64,
    /// Give back as `cursor`; null on the last page.
    pub next_cursor: Option<String>,
    /// Token of the view; give back as `as_of` for the next page.
    pub snapshot: String,
}
