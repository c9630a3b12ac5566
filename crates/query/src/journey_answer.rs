//! The answer about one subject as it goes over the wire: its events, and how each of its entries went.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Meta;

/// One subject: under each company that its id stands under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JourneyAnswer {
    /// The id as stored: a pseudonym for user and anonymous ids.
    pub id: String,
    /// What the id names: `journey`, `company`, ….
    pub kind: String,
    /// The funnel it is explained by.
    pub funnel: FunnelTold,
    /// The subject under each company (or other root) that has events with its id, in order of the first of them. On a
    /// page after the first: those with events on it.
    pub subjects: Vec<JourneyUnder>,
    /// Give back as `cursor` together with `as_of` = `meta.snapshot`; null on the last page.
    pub next_cursor: Option<String>,
    /// Where this comes from.
    pub meta: Meta,
}

/// The funnel a subject is explained by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FunnelTold {
    /// Its id.
    pub id: String,
    /// Its window, ISO 8601.
    pub window: String,
    /// The names of its steps, in order.
    pub steps: Vec<String>,
}

/// The subject under one company.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JourneyUnder {
    /// The company its events name first, if any does.
    pub company_id: Option<String>,
    /// The first category its events name.
    pub category: Option<String>,
    /// The integrations its events name, each once, in order.
    pub integrations: Vec<IntegrationNamed>,
    /// The first surface its events name.
    pub surface: Option<String>,
    /// The first medium its events name.
    pub medium: Option<String>,
    /// When it was linked first (`connection.linked`), RFC 3339; null if it was not, in what is shown.
    pub linked_at: Option<String>,
    /// How many events it has, on this page or not.
    pub event_count: u64,
    /// Its events on this page, in order of time.
    pub events: Vec<EventAnswer>,
    /// How each of its entries went.
    pub explanation: ExplanationAnswer,
}

/// An integration as events name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IntegrationNamed {
    /// Its key.
    pub key: String,
    /// Its name, if some event says it.
    pub name: Option<String>,
}

/// One event of a subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventAnswer {
    /// Its id.
    pub event_id: Option<String>,
    /// Its name.
    pub event: String,
    /// When it happened, RFC 3339.
    pub occurred_at: String,
    /// Time since the subject's event before, in ms; null for the first.
    pub since_previous_ms: Option<f64>,
    /// Names of the steps it satisfies; which an entry used is said in the explanation.
    pub steps: Vec<String>,
    /// Names of the outcomes it shows.
    pub outcomes: Vec<String>,
    /// Category.
    pub category: Option<String>,
    /// Provider.
    pub provider: Option<String>,
    /// Key of the integration.
    pub integration: Option<String>,
    /// Surface.
    pub surface: Option<String>,
    /// Medium.
    pub medium: Option<String>,
    /// Method of authorization.
    pub auth_method: Option<String>,
    /// Why something went wrong, where the event says it.
    pub reason: Option<EventReason>,
    /// Whether the funnel sees it: events that are not live or not human are shown and not counted.
    pub is_counted: bool,
}

/// What an event says of why something went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventReason {
    /// Class of the taxonomy.
    pub class: Option<String>,
    /// Code inside the class.
    pub code: Option<String>,
    /// The vendor's own code.
    pub vendor_code: Option<String>,
    /// To whom it is put down.
    pub attribution: Option<String>,
}

/// An event, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventRef {
    /// Its id.
    pub event_id: Option<String>,
    /// Its name.
    pub event: String,
    /// When it happened, RFC 3339.
    pub occurred_at: String,
    /// The code (else the class) of the reason it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How each entry of a subject went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplanationAnswer {
    /// `converted`, `dropped` or `open`: what it counts as (by its last entry where several count); null if it never entered.
    pub state: Option<String>,
    /// Its entries in order of time; under `cohort` those begun inside the clock's window. Empty: no event in the range takes
    /// the first step.
    pub entries: Vec<EntryAnswer>,
    /// How many more entries there are, beyond 32.
    pub entries_left_out: usize,
}

/// How one entry went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EntryAnswer {
    /// Whether the subject counts as this entry.
    pub speaks: bool,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// Start of the clock it is judged by, RFC 3339: under `cohort` that of the subject's first entry.
    pub clock_started_at: String,
    /// Last instant at which it can use an event, RFC 3339.
    pub window_ends_at: String,
    /// What it counts as, or would if it spoke: `converted`, `dropped` or `open`.
    pub state: String,
    /// Until when an open one can still convert, RFC 3339.
    pub open_until: Option<String>,
    /// Why it went no further: `converted`, `discarded`, `no_event` (none came that takes a step it waited for), else the first
    /// code of the first refused event.
    pub ended: String,
    /// Number of the furthest required step reached, counted from 1.
    pub step: usize,
    /// Name of that step.
    pub step_name: String,
    /// The steps it reached, and by which event.
    pub steps: Vec<StepTaken>,
    /// The steps that its provider does not show and no event took.
    pub unseen: Vec<UnseenStep>,
    /// Names of the steps any of which would have taken it further.
    pub waits_for: Vec<String>,
    /// Events that take such a step and could not be used: those after its furthest step in order of time, then those before
    /// it, latest first.
    pub refused: Vec<RefusedEvent>,
    /// How many more were refused, beyond 8.
    pub refused_left_out: usize,
    /// What happened last inside its window.
    pub last_event: EventRef,
    /// The side result, of one that did not convert.
    pub outcome: Option<String>,
    /// The last error, denial or exit after its furthest step, of one that did not convert.
    pub reason_event: Option<EventRef>,
    /// The excluded event that makes that it does not count.
    pub discarded_by: Option<BlockedBy>,
}

/// A step that an entry reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepTaken {
    /// The step's number, from 1.
    pub step: usize,
    /// Its name.
    pub name: String,
    /// Whether it is optional.
    pub optional: bool,
    /// The event that took it.
    #[serde(flatten)]
    pub event: EventRef,
}

/// A step that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnseenStep {
    /// The step's number, from 1.
    pub step: usize,
    /// Its name.
    pub name: String,
    /// Whether the entry got beyond it: counted as `bypassed`.
    pub bypassed: bool,
}

/// An event that takes the next step and could not be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefusedEvent {
    /// The event.
    #[serde(flatten)]
    pub event: EventRef,
    /// What refused it; every one of these, and nothing else, had to be otherwise.
    pub because: Vec<Because>,
}

/// What refused an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Because {
    /// `after_window`, `too_late` or `too_early` after the step before, `same_instant`, `blocked`, `other_value`, `used` for
    /// another step, `before` the step it must follow.
    pub code: String,
    /// By how much, in ms, where it is a matter of time.
    pub by_ms: Option<f64>,
    /// The events that stand between it and the step before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked_by: Vec<BlockedBy>,
    /// The fields held constant of which it has another value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// An event that may not be passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockedBy {
    /// The event.
    #[serde(flatten)]
    pub event: EventRef,
    /// The number of the exclusion that names it, from 1; null: it breaks a strict funnel.
    pub exclusion: Option<usize>,
}
