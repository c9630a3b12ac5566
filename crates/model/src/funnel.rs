//! Definitions of funnels: what is asked, before any data is looked at (semantics.md).
//!
//! The wire types here refuse unknown fields; [`FunnelDefinition::check`] refuses what cannot be
//! meant and says where. Rules that are not built have no field.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fields::{Field, FieldKind, IdKind, nearest};
use crate::vocab::EventName;
use crate::window::Length;

/// Most steps of a funnel.
pub const MAX_STEPS: usize = 64;
/// Most outcomes of a funnel.
pub const MAX_OUTCOMES: usize = 32;
/// Most alternatives of a step or outcome.
pub const MAX_ALTERNATIVES: usize = 16;
/// Most conditions in one list.
pub const MAX_CONDITIONS: usize = 32;
/// Most values of one condition.
pub const MAX_VALUES: usize = 1_000;

/// A mistake in a definition or question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({code} at {pointer})")]
pub struct Mistake {
    /// Stable word, such as `unknown_field`.
    pub code: &'static str,
    /// JSON pointer to the culprit.
    pub pointer: String,
    /// One sentence that says what to do.
    pub detail: String,
}

impl Mistake {
    /// A mistake at a place.
    pub fn new(code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Mistake {
            code,
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

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
    pub conditions: Vec<Condition>,
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
    pub conditions: Vec<Condition>,
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
    pub conditions: Vec<Condition>,
}

/// A condition on one field of an event, or on the value a subject stands under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// A field as named in the event (`integration.key`; `integration` is short for it), or
    /// `attrs.NAME`.
    pub field: String,
    /// How it is compared.
    pub op: Op,
    /// A value, a list of values for `in` and `not_in`, or nothing for `exists` and `missing`.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    #[schema(value_type = Object)]
    pub value: serde_json::Value,
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Equal. A missing value is equal to nothing.
    Eq,
    /// Not equal; a missing value is.
    Ne,
    /// One of a list.
    In,
    /// None of a list; a missing value is.
    NotIn,
    /// Less (numbers).
    Lt,
    /// At most (numbers).
    Lte,
    /// More (numbers).
    Gt,
    /// At least (numbers).
    Gte,
    /// Has a value.
    Exists,
    /// Has none.
    Missing,
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

/// Where the value of a condition or breakdown comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldRef {
    /// A field of the event.
    Field(Field),
    /// An attribute.
    Attr(String),
}

impl FieldRef {
    /// The field or attribute that a name means.
    ///
    /// # Errors
    /// `unknown_field` with the nearest name, pointing at `pointer`.
    pub fn parse(name: &str, pointer: &str) -> Result<Self, Mistake> {
        if let Some(key) = name.strip_prefix("attrs.") {
            return Ok(FieldRef::Attr(key.to_owned()));
        }
        Field::parse(name).map(FieldRef::Field).ok_or_else(|| {
            let hint =
                Field::guess(name).map_or(String::new(), |near| format!("; did you mean {near}?"));
            Mistake::new(
                "unknown_field",
                pointer,
                format!("no field is called {name:?}{hint}"),
            )
        })
    }

    /// The name on the wire: `integration.key`, `attrs.platform`.
    pub fn path(&self) -> String {
        match self {
            FieldRef::Field(field) => field.path().to_owned(),
            FieldRef::Attr(key) => format!("attrs.{key}"),
        }
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

fn alternatives(
    event: Option<&str>,
    any_of: &[Alternative],
    shared: &[Condition],
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

impl FunnelDefinition {
    /// Checks everything that can be checked without data. `at`: JSON pointer of the definition.
    ///
    /// # Errors
    /// The first [`Mistake`], with a pointer below `at`.
    pub fn check(&self, at: &str) -> Result<(), Mistake> {
        let steps = self.steps.len();
        if steps < 2 {
            return Err(Mistake::new(
                "too_few_steps",
                format!("{at}/steps"),
                "a funnel has two steps at least",
            ));
        }
        limit(steps, MAX_STEPS, "steps", &format!("{at}/steps"))?;
        limit(
            self.outcomes.len(),
            MAX_OUTCOMES,
            "outcomes",
            &format!("{at}/outcomes"),
        )?;
        for (i, step) in self.steps.iter().enumerate() {
            let at = format!("{at}/steps/{i}");
            check_taken(
                &step.name,
                step.event.as_deref(),
                &step.any_of,
                &step.conditions,
                &at,
            )?;
            if step.optional && (i == 0 || i + 1 == steps) {
                let detail = "the first and the last step cannot be optional";
                return Err(Mistake::new(
                    "optional_end",
                    format!("{at}/optional"),
                    detail,
                ));
            }
            if (i == 0 || step.optional) && (step.max_gap.is_some() || step.min_gap.is_some()) {
                let detail = "gaps are measured from the previous required step to a required one";
                return Err(Mistake::new("gap_without_steps", at, detail));
            }
            if let (Some(min), Some(max)) = (step.min_gap, step.max_gap)
                && min > max
            {
                return Err(Mistake::new(
                    "empty_gap",
                    format!("{at}/min_gap"),
                    "min_gap is over max_gap",
                ));
            }
            if self.steps[..i].iter().any(|other| other.name == step.name) {
                let detail = format!("two steps are called {:?}", step.name);
                return Err(Mistake::new("duplicate_name", format!("{at}/name"), detail));
            }
        }
        for (i, outcome) in self.outcomes.iter().enumerate() {
            let at = format!("{at}/outcomes/{i}");
            check_taken(
                &outcome.name,
                outcome.event.as_deref(),
                &outcome.any_of,
                &outcome.conditions,
                &at,
            )?;
            if self.outcomes[..i]
                .iter()
                .any(|other| other.name == outcome.name)
            {
                let detail = format!("two outcomes are called {:?}", outcome.name);
                return Err(Mistake::new("duplicate_name", format!("{at}/name"), detail));
            }
        }
        Ok(())
    }
}

/// Refuses more than `most` of something.
///
/// # Errors
/// `limit_exceeded`, naming the limit.
pub fn limit(count: usize, most: usize, what: &str, at: &str) -> Result<(), Mistake> {
    if count <= most {
        return Ok(());
    }
    Err(Mistake::new(
        "limit_exceeded",
        at,
        format!("{count} {what}; at most {most}"),
    ))
}

fn check_taken(
    name: &str,
    event: Option<&str>,
    any_of: &[Alternative],
    conditions: &[Condition],
    at: &str,
) -> Result<(), Mistake> {
    if name.trim().is_empty() || name.len() > 100 {
        return Err(Mistake::new(
            "bad_name",
            format!("{at}/name"),
            "a name has 1 to 100 characters",
        ));
    }
    match (event, any_of.is_empty()) {
        (None, true) => {
            return Err(Mistake::new(
                "missing_event",
                at,
                "name the event, or several in any_of",
            ));
        }
        (Some(_), false) => {
            return Err(Mistake::new(
                "two_events",
                at,
                "give either event or any_of, not both",
            ));
        }
        _ => {}
    }
    if let Some(event) = event {
        check_event(event, &format!("{at}/event"))?;
    }
    limit(
        any_of.len(),
        MAX_ALTERNATIVES,
        "alternatives",
        &format!("{at}/any_of"),
    )?;
    for (i, alternative) in any_of.iter().enumerate() {
        check_event(&alternative.event, &format!("{at}/any_of/{i}/event"))?;
        check_conditions(&alternative.conditions, &format!("{at}/any_of/{i}/where"))?;
    }
    check_conditions(conditions, &format!("{at}/where"))
}

fn check_event(name: &str, at: &str) -> Result<(), Mistake> {
    if EventName::parse(name).is_some() || name.starts_with("custom.") {
        return Ok(());
    }
    let hint = nearest(name, EventName::WORDS.iter().copied())
        .map_or(String::new(), |near| format!("; did you mean {near}?"));
    Err(Mistake::new(
        "unknown_event",
        at,
        format!("no event is called {name:?}{hint}"),
    ))
}

/// Checks a list of conditions. `at`: its JSON pointer.
///
/// # Errors
/// The first [`Mistake`]: unknown field, wrong kind of value, too many.
pub fn check_conditions(conditions: &[Condition], at: &str) -> Result<(), Mistake> {
    limit(conditions.len(), MAX_CONDITIONS, "conditions", at)?;
    for (i, condition) in conditions.iter().enumerate() {
        check_condition(condition, &format!("{at}/{i}"))?;
    }
    Ok(())
}

fn check_condition(condition: &Condition, at: &str) -> Result<(), Mistake> {
    use serde_json::Value as Json;
    let field = FieldRef::parse(&condition.field, &format!("{at}/field"))?;
    if let FieldRef::Field(field) = field
        && matches!(field.kind(), FieldKind::Instant | FieldKind::Texts { .. })
        && !matches!(condition.op, Op::Exists | Op::Missing)
    {
        let detail = format!(
            "{} can only be asked for with exists or missing",
            field.path()
        );
        return Err(Mistake::new("wrong_type", format!("{at}/field"), detail));
    }
    let pointer = format!("{at}/value");
    match (condition.op, &condition.value) {
        (Op::Exists | Op::Missing, Json::Null) => Ok(()),
        (Op::Exists | Op::Missing, _) => Err(Mistake::new(
            "wrong_type",
            pointer,
            "exists and missing take no value",
        )),
        (Op::In | Op::NotIn, Json::Array(values)) => {
            limit(values.len(), MAX_VALUES, "values", &pointer)?;
            for (i, value) in values.iter().enumerate() {
                check_value(&field, value, false, &format!("{pointer}/{i}"))?;
            }
            Ok(())
        }
        (Op::In | Op::NotIn, _) => {
            Err(Mistake::new("wrong_type", pointer, "give a list of values"))
        }
        (Op::Lt | Op::Lte | Op::Gt | Op::Gte, value) => check_value(&field, value, true, &pointer),
        (Op::Eq | Op::Ne, value) => check_value(&field, value, false, &pointer),
    }
}

fn check_value(
    field: &FieldRef,
    value: &serde_json::Value,
    ordered: bool,
    at: &str,
) -> Result<(), Mistake> {
    let FieldRef::Field(field) = field else {
        return match value {
            _ if value.is_number() || (!ordered && (value.is_string() || value.is_boolean())) => {
                Ok(())
            }
            _ => Err(Mistake::new(
                "wrong_type",
                at,
                "give a text, number or flag",
            )),
        };
    };
    let wrong = |expected: &str| {
        Err(Mistake::new(
            "wrong_type",
            at,
            format!("{} is compared with {expected}", field.path()),
        ))
    };
    match field.kind() {
        FieldKind::Int { .. } if !value.is_number() => wrong("a number"),
        FieldKind::Int { .. } => Ok(()),
        _ if ordered => wrong("a text or flag, which have no order; use eq, ne, in or not_in"),
        FieldKind::Bool if !value.is_boolean() => wrong("true or false"),
        FieldKind::Bool => Ok(()),
        _ if !value.is_string() => wrong("a text"),
        _ => Ok(()),
    }
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
