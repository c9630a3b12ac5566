//! What is true of a generated stream, in the words of the answers it is compared with. Written beside the messages as JSON.
//! The counts are those of semantics.md for the generated events, taken subject by subject by `naive`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::GenerateConfig;
use super::effort::EffortTruth;

/// Everything true of what one generator made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// What was asked for.
    pub config: GenerateConfig,
    /// Subjects are open when their window ends after it (µs since the epoch); none: all windows are over.
    pub watermark_us: Option<i64>,
    /// What was delivered, message by message.
    pub delivered: Delivered,
    /// What each tenant's answers must say.
    pub tenants: BTreeMap<String, TenantTruth>,
}

/// Where every message goes: messages = rows + dead letters + suppressed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Messages in all, tombstones too.
    pub messages: u64,
    /// Messages that become rows, copies too.
    pub rows: u64,
    /// Distinct events among the rows.
    pub events: u64,
    /// Copies delivered within seconds.
    pub duplicates: u64,
    /// Copies delivered days later.
    pub resends: u64,
    /// Messages that are refused and kept, by code.
    pub dead_letters: BTreeMap<String, u64>,
    /// Messages of which nothing is kept, by code.
    pub suppressed: BTreeMap<String, u64>,
    /// Of all messages: those whose event names another tenant than the first; they are still one topic.
    pub of_other_tenants: u64,
    /// Earliest and latest `occurred_at` of the rows, µs since the epoch.
    pub occurred_us: Option<(i64, i64)>,
    /// Time of the last delivery, µs since the epoch.
    pub last_delivery_us: Option<i64>,
}

/// What one tenant's answers must say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TenantTruth {
    /// What its tables must hold.
    pub stored: Stored,
    /// Built-in funnel `linking` by journey, with identity found through ids (semantics rules 1 and 2).
    pub linking: FunnelTruth,
    /// The same when the root is the coarsest id that an event itself names, and events without a journey id take no part.
    /// Only for sparse ids; with full ids it is the same as `linking`, but for a category that only what follows a link says.
    pub linking_by_named_ids: Option<FunnelTruth>,
    /// Built-in funnel `first_link` by company, named or found through ids.
    pub first_link: FunnelTruth,
    /// Every other built-in funnel by its id, with identity found through ids.
    pub funnels: BTreeMap<String, FunnelTruth>,
    /// What linking costs people, with all windows over.
    pub effort: EffortTruth,
}

/// What one tenant's tables must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Distinct events.
    pub events: u64,
    /// Rows before copies are dropped.
    pub rows: u64,
    /// Distinct events by name.
    pub events_by_name: BTreeMap<String, u64>,
    /// Events that questions leave out unless told otherwise, by why (`sandbox`, `internal`, `bot`, `test`; sandbox first).
    pub filtered_by_default: BTreeMap<String, EventsAndRows>,
    /// Names of dropped fields.
    pub dropped_fields: BTreeMap<String, EventsAndRows>,
    /// Distinct live, human `connection.linked` by UTC day of `occurred_at`.
    pub linked_per_day: BTreeMap<String, u64>,
    /// Distinct live, human events that name no journey.
    pub without_journey_id: u64,
    /// The same, only those that match a step or outcome of `linking`.
    pub without_journey_id_in_linking: u64,
}

/// Distinct events, and rows with copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsAndRows {
    /// Distinct events.
    pub events: u64,
    /// With copies.
    pub rows: u64,
}

/// One funnel over the whole span, entries `cohort`, default filters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FunnelTruth {
    /// Id of the built-in funnel.
    pub funnel: String,
    /// Window in µs.
    pub window_us: i64,
    /// Names of the steps; `reached` follows this order.
    pub steps: Vec<StepName>,
    /// Names of the outcomes; `outcomes` follows this order.
    pub outcomes: Vec<String>,
    /// All subjects.
    pub total: Counts,
    /// Subjects by the value of a field, as events name it. `integration`, `integration.kind`, `provider` and `auth.method` may
    /// exceed the total: each one named inside the window by an event that matches a step or is part of what the person does
    /// on the way; converted means with it. All others add up to the total. `experiment` is the variant of the experiment on
    /// journeys, and under the funnels of applications of that on the mandatory step.
    pub by: BTreeMap<String, BTreeMap<String, Counts>>,
    /// Subjects by UTC day of entry.
    pub by_day: BTreeMap<String, Counts>,
    /// Subjects that did later steps without ever entering; none: not counted.
    pub without_entry: Option<u64>,
}

/// A step's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepName {
    /// As in the built-in definition.
    pub name: String,
    /// Skipping it is no drop-off.
    pub optional: bool,
}

/// Counts of subjects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Subjects with an entry.
    pub entered: u64,
    /// Of them, those that reached the last step inside the window.
    pub converted: u64,
    /// Not converted, window over at the watermark.
    pub dropped: u64,
    /// Not converted, window still running.
    pub open: u64,
    /// Subjects that reached each step, optional ones too.
    pub reached: Vec<u64>,
    /// Subjects that got beyond each step though their provider cannot show it and no event took it.
    pub bypassed: Vec<u64>,
    /// Subjects that did not convert, by outcome.
    pub outcomes: Vec<u64>,
    /// Those whose window is over.
    pub matured: Matured,
}

/// Counts of subjects whose window is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matured {
    /// Of the entered.
    pub entered: u64,
    /// Of the converted.
    pub converted: u64,
    /// Of those that reached each step.
    pub reached: Vec<u64>,
}

impl Counts {
    /// Converted ÷ entered over matured subjects; none: nobody matured.
    pub fn rate(&self) -> Option<f64> {
        (self.matured.entered > 0)
            .then(|| self.matured.converted as f64 / self.matured.entered as f64)
    }
}
