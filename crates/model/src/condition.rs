//! Conditions on the fields of events: what may be asked of a field, and what is refused where.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::fields::{Field, FieldKind, nearest};

/// Most conditions in one list, those inside `any`, `all` and `not` included.
pub const MAX_CONDITIONS: usize = 32;
/// Most values of one condition.
pub const MAX_VALUES: usize = 1_000;
/// How deep `any`, `all` and `not` may stand in each other.
pub const MAX_DEPTH: usize = 8;

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
    /// Begins with (texts).
    Prefix,
    /// Has a value.
    Exists,
    /// Has none.
    Missing,
}

/// A condition, or several combined.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, ToSchema)]
#[serde(untagged)]
#[schema(no_recursion)]
pub enum Predicate {
    /// One condition.
    Is(Condition),
    /// Any of them holds.
    Any {
        /// The alternatives, one at least.
        any: Vec<Predicate>,
    },
    /// All of them hold.
    All {
        /// The parts, one at least.
        all: Vec<Predicate>,
    },
    /// It does not hold.
    Not {
        /// What must not hold.
        not: Box<Predicate>,
    },
}

impl From<Condition> for Predicate {
    fn from(condition: Condition) -> Predicate {
        Predicate::Is(condition)
    }
}

/// Every field that one of the forms may have, so that an unknown one is refused by its name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PredicateWire {
    field: Option<String>,
    op: Option<Op>,
    #[serde(default)]
    value: serde_json::Value,
    any: Option<Vec<Predicate>>,
    all: Option<Vec<Predicate>>,
    not: Option<Box<Predicate>>,
}

impl<'de> Deserialize<'de> for Predicate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let wire = PredicateWire::deserialize(deserializer)?;
        match (wire.field, wire.op, wire.any, wire.all, wire.not) {
            (Some(field), Some(op), None, None, None) => {
                let value = wire.value;
                Ok(Predicate::Is(Condition { field, op, value }))
            }
            (None, None, Some(any), None, None) if wire.value.is_null() => {
                Ok(Predicate::Any { any })
            }
            (None, None, None, Some(all), None) if wire.value.is_null() => {
                Ok(Predicate::All { all })
            }
            (None, None, None, None, Some(not)) if wire.value.is_null() => {
                Ok(Predicate::Not { not })
            }
            (Some(_), None, None, None, None) => Err(D::Error::missing_field("op")),
            (None, Some(_), None, None, None) => Err(D::Error::missing_field("field")),
            _ => Err(D::Error::custom(
                "a condition is either field, op and value, or one of any, all, not",
            )),
        }
    }
}

/// Where the value of a condition or breakdown comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldRef {
    /// A field of the event.
    Field(Field),
    /// An attribute.
    Attr(String),
    /// The variant of an experiment, `experiments.ID`.
    Experiment(String),
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
        if let Some(id) = name.strip_prefix("experiments.") {
            return Ok(FieldRef::Experiment(id.to_owned()));
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

    /// The name on the wire: `integration.key`, `attrs.platform`, `experiments.mandatory_step`.
    pub fn path(&self) -> String {
        match self {
            FieldRef::Field(field) => field.path().to_owned(),
            FieldRef::Attr(key) => format!("attrs.{key}"),
            FieldRef::Experiment(id) => format!("experiments.{id}"),
        }
    }
}

/// Checks a `where`: conditions and their combinations, all of which must hold. `at`: its JSON pointer.
///
/// # Errors
/// The first [`Mistake`]: as [`check_conditions`], or an empty list, or too deep.
pub fn check_predicates(predicates: &[Predicate], at: &str) -> Result<(), Mistake> {
    let count = predicates.iter().map(conditions_in).sum();
    limit(count, MAX_CONDITIONS, "conditions", at)?;
    for (i, predicate) in predicates.iter().enumerate() {
        check_predicate(predicate, &format!("{at}/{i}"), 1)?;
    }
    Ok(())
}

fn conditions_in(predicate: &Predicate) -> usize {
    match predicate {
        Predicate::Is(_) => 1,
        Predicate::Any { any: parts } | Predicate::All { all: parts } => {
            parts.iter().map(conditions_in).sum()
        }
        Predicate::Not { not } => conditions_in(not),
    }
}

fn check_predicate(predicate: &Predicate, at: &str, depth: usize) -> Result<(), Mistake> {
    let (parts, word) = match predicate {
        Predicate::Is(condition) => return check_condition(condition, at),
        Predicate::Any { any } => (any.as_slice(), "any"),
        Predicate::All { all } => (all.as_slice(), "all"),
        Predicate::Not { not } => (std::slice::from_ref(not.as_ref()), "not"),
    };
    if depth == MAX_DEPTH {
        let detail = format!("any, all and not stand in each other at most {MAX_DEPTH} deep");
        return Err(Mistake::new("limit_exceeded", at, detail));
    }
    if parts.is_empty() {
        let detail = format!("{word} needs one condition at least");
        return Err(Mistake::new("empty_list", format!("{at}/{word}"), detail));
    }
    for (i, part) in parts.iter().enumerate() {
        let at = match predicate {
            Predicate::Not { .. } => format!("{at}/not"),
            _ => format!("{at}/{word}/{i}"),
        };
        check_predicate(part, &at, depth + 1)?;
    }
    Ok(())
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
                check_value(&field, condition.op, value, &format!("{pointer}/{i}"))?;
            }
            Ok(())
        }
        (Op::In | Op::NotIn, _) => {
            Err(Mistake::new("wrong_type", pointer, "give a list of values"))
        }
        (Op::Prefix, value) if !value.is_string() => Err(Mistake::new(
            "wrong_type",
            pointer,
            "give the text it begins with",
        )),
        (op, value) => check_value(&field, op, value, &pointer),
    }
}

fn check_value(
    field: &FieldRef,
    op: Op,
    value: &serde_json::Value,
    at: &str,
) -> Result<(), Mistake> {
    let ordered = matches!(op, Op::Lt | Op::Lte | Op::Gt | Op::Gte);
    let field = match field {
        FieldRef::Field(field) => field,
        FieldRef::Experiment(_) if ordered || !value.is_string() => {
            let detail = "a variant is compared with a text";
            return Err(Mistake::new("wrong_type", at, detail));
        }
        FieldRef::Experiment(_) => return Ok(()),
        FieldRef::Attr(_) => {
            return match value {
                _ if value.is_number()
                    || (!ordered && (value.is_string() || value.is_boolean())) =>
                {
                    Ok(())
                }
                _ => Err(Mistake::new(
                    "wrong_type",
                    at,
                    "give a text, number or flag",
                )),
            };
        }
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
        // the beginning of a word is no word
        FieldKind::Vocab(words) if op != Op::Prefix => {
            known_word(*field, words, value.as_str().unwrap_or_default(), at)
        }
        _ => Ok(()),
    }
}

/// Refuses a word that no event can have, which would be a silent zero.
fn known_word(field: Field, words: &[&str], word: &str, at: &str) -> Result<(), Mistake> {
    if words.contains(&word) {
        return Ok(());
    }
    let detail = match nearest(word, words.iter().copied()) {
        Some(near) => format!(
            "{} has no value {word:?}; did you mean {near}?",
            field.path()
        ),
        None => format!(
            "{} has no value {word:?}; it has {}",
            field.path(),
            words.join(", ")
        ),
    };
    Err(Mistake::new("unknown_value", at, detail))
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
