//! Definitions of funnels: what is asked, before any data is looked at (semantics.md).
//!
//! The wire types here refuse unknown fields; [`FunnelDefinition::check`] refuses what cannot be
//! meant and says where. Rules that are not built have no field.

mod check;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::condition::Predicate;
use crate::fields::IdKind;
use crate::window::Length;

pub(crate) use check::check_event;

/// Most steps of a funnel.
pub const MAX_STEPS: usize = 64;
/// Most outcomes of a funnel.
pub const MAX_OUTCOMES: usize = 32;
/// Most alternatives of a step or outcome.
pub const MAX_ALTERNATIVES: usize = 16;
/// Most exclusions of a funnel.
pub const MAX_EXCLUSIONS: usize = 32;
/// Most fields held constant.
pub const MAX_HELD: usize = 4;
/// Most events that a strict funnel ignores.
pub const MAX_IGNORED: usize = 64;

/// A funnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FunnelDefinition {
    /// The steps, in order; two at least.
    pub steps: Vec<StepDefinition>,
    /// Side results of subjects that did not convert; the first listed that occurred counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<OutcomeDefinition>,
    /// Other events may stand between the steps.
    #[serde(default)]
    pub order: Order,
    /// How long a subject has from its first step to its last, ends included.
    #[schema(value_type = String, example = "PT24H")]
    pub window: Length,
    /// What is counted.
    pub subject: Subject,
    /// What events of the same instant may do.
    #[serde(default)]
    pub ties: Ties,
    /// Which try of a subject counts.
    #[serde(default)]
    pub entries: Entries,
    /// Unordered funnels: step 1 must be the earliest event used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_pinned: bool,
    /// Strict funnels: which other events break one when they stand between two of its steps.
    #[serde(default, skip_serializing_if = "Scope::is_matched")]
    pub scope: Scope,
    /// Strict funnels of scope `all`: events that break nothing all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Fields that all events of one entry must agree on; an event that lacks one fits. An excluded event, or in a strict
    /// funnel one of its scope, does not count if it disagrees with an event of a required step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold_constant: Vec<String>,
    /// Events that may not stand between two steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<ExclusionDefinition>,
    /// What an excluded event does.
    #[serde(default, skip_serializing_if = "OnExclude::is_block")]
    pub on_exclude: OnExclude,
}

impl FunnelDefinition {
    /// A funnel of these steps in order, everything else as by default.
    pub fn ordered(steps: Vec<StepDefinition>, window: Length, subject: Subject) -> Self {
        FunnelDefinition {
            steps,
            outcomes: Vec::new(),
            order: Order::default(),
            window,
            subject,
            ties: Ties::default(),
            entries: Entries::default(),
            first_pinned: false,
            scope: Scope::default(),
            ignore: Vec::new(),
            hold_constant: Vec::new(),
            exclude: Vec::new(),
            on_exclude: OnExclude::default(),
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepDefinition {
    /// The name shown.
    pub name: String,
    /// The event that takes the step; or `any_of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Events any of which takes the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Alternative>,
    /// Conditions that the event must meet, all of them.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Predicate>,
    /// Whether the step may be skipped without dropping out. Not the first, not the last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Longest time since the previous required step, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub max_gap: Option<Length>,
    /// Shortest time since the previous required step, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub min_gap: Option<Length>,
}

/// One event that may take a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// The event's name.
    pub event: String,
    /// Conditions that the event must meet, all of them.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Predicate>,
}

/// A side result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutcomeDefinition {
    /// The name shown.
    pub name: String,
    /// The event that shows it; or `any_of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Events any of which shows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Alternative>,
    /// Conditions that the event must meet, all of them.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Predicate>,
}

/// Events that may not stand between two steps (semantics rule 11).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExclusionDefinition {
    /// The event; or `any_of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Events any of which is excluded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Alternative>,
    /// Conditions that the event must meet, all of them.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Predicate>,
    /// Number of the step, from 1, after which it may not stand.
    pub after: usize,
    /// Number of the step before which it may not stand.
    pub before: usize,
}

/// How steps relate in time.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Each step after the one before; other events may stand between.
    #[default]
    Ordered,
    /// As ordered, and no other event of the scope stands between two consecutive steps.
    Strict,
    /// Any order; step k is then "k of n": as many of the steps have an event each.
    Unordered,
}

/// Which events break a strict funnel (semantics rule 10).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those that match a step or an exclusion.
    #[default]
    Matched,
    /// Every event of the subject, save those in `ignore`.
    All,
}

impl Scope {
    fn is_matched(&self) -> bool {
        *self == Scope::Matched
    }
}

/// What an excluded event does (semantics rule 11).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnExclude {
    /// No chain of steps passes over it; another chain can still convert.
    #[default]
    Block,
    /// The subject counts nowhere (PostHog's behaviour).
    DiscardSubject,
}

impl OnExclude {
    fn is_block(&self) -> bool {
        *self == OnExclude::Block
    }
}

/// What events of the same instant may do (semantics rule 6).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// They may be used in whatever order helps.
    #[default]
    AnyOrder,
    /// Each next step needs a later time.
    StrictIncrease,
}

/// Which entry of a subject speaks for it (semantics rule 14).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Entries {
    /// The first entry sets the clock; what any entry completes by the clock's end counts.
    #[default]
    Cohort,
    /// Any entry of the range, each with its own window, may win: "ever, by any entry".
    Best,
    /// Each entry counts as a subject of its own; the next begins after a conversion or the window's end.
    All,
}

/// What a funnel counts (semantics rule 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant is the thing counted")]
pub enum Subject {
    Journey,
    Attempt,
    Session,
    Company,
    User,
    Anonymous,
    Connection,
    Invite,
    PaymentLink,
    Application,
}

impl Subject {
    /// The id that tells one subject from another.
    pub fn id_kind(self) -> IdKind {
        match self {
            Subject::Journey => IdKind::Journey,
            Subject::Attempt => IdKind::Attempt,
            Subject::Session => IdKind::Session,
            Subject::Company => IdKind::Company,
            Subject::User => IdKind::User,
            Subject::Anonymous => IdKind::Anonymous,
            Subject::Connection => IdKind::Connection,
            Subject::Invite => IdKind::Invite,
            Subject::PaymentLink => IdKind::PaymentLink,
            Subject::Application => IdKind::Application,
        }
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        self.id_kind().as_str()
    }
}

impl StepDefinition {
    /// The events that take the step, each with all its conditions.
    pub fn alternatives(&self) -> Vec<Alternative> {
        alternatives(self.event.as_deref(), &self.any_of, &self.conditions)
    }
}

impl OutcomeDefinition {
    /// The events that show the outcome, each with all its conditions.
    pub fn alternatives(&self) -> Vec<Alternative> {
        alternatives(self.event.as_deref(), &self.any_of, &self.conditions)
    }
}

impl ExclusionDefinition {
    /// The excluded events, each with all its conditions.
    pub fn alternatives(&self) -> Vec<Alternative> {
        alternatives(self.event.as_deref(), &self.any_of, &self.conditions)
    }
}

fn alternatives(
    event: Option<&str>,
    any_of: &[Alternative],
    shared: &[Predicate],
) -> Vec<Alternative> {
    let single = event.map(|event| Alternative {
        event: event.to_owned(),
        conditions: Vec::new(),
    });
    single
        .into_iter()
        .chain(any_of.iter().cloned())
        .map(|mut alternative| {
            alternative.conditions.extend(shared.iter().cloned());
            alternative
        })
        .collect()
}

/// A built-in funnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NamedFunnel {
    /// The id used in questions.
    pub id: String,
    /// The name shown.
    pub name: String,
    /// What it answers.
    pub description: String,
    /// The definition.
    pub definition: FunnelDefinition,
}
