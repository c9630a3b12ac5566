//! One value against its field's row of the table.

use std::borrow::Cow;

use chrono::DateTime;

use super::EARLIEST_US;
use super::scalar::Scalar;
use crate::event::Value;
use crate::fields::{Field, FieldKind, IdKind, nearest};
use crate::vocab::EventName;

const DAY_US: i64 = 86_400_000_000;
/// Longest id, in bytes.
pub(super) const MAX_ID_BYTES: usize = 128;
const MAX_COMPANY_ID_BYTES: usize = 64;

/// Events that the engine derives and never accepts.
const DERIVED: &[&str] = &[
    "journey.abandoned",
    "journey.stuck",
    "connection.lapsed",
    "invite.ignored",
];

pub(super) enum Checked<'a> {
    Value(Value<'a>),
    Other(Cow<'a, str>),
}

pub(super) type Mistake = (&'static str, String);

pub(super) fn check<'a>(
    field: Field,
    scalar: Scalar<'a>,
    arrival_us: i64,
) -> Result<Checked<'a>, Mistake> {
    let value = match (field.kind(), scalar) {
        (FieldKind::Id(kind), Scalar::Text(text)) => {
            let max = if kind == IdKind::Company {
                MAX_COMPANY_ID_BYTES
            } else {
                MAX_ID_BYTES
            };
            Value::Text(sized(text, max)?)
        }
        (FieldKind::Text { max, .. }, Scalar::Text(text)) => {
            let text = sized(text, max)?;
            if field == Field::Event {
                check_name(&text)?;
            }
            Value::Text(text)
        }
        (FieldKind::Vocab(words), Scalar::Text(text)) => {
            match words.iter().find(|word| **word == text) {
                Some(word) => Value::Vocab(word),
                None if field.takes_other() => return Ok(Checked::Other(text)),
                None => return Err(("bad_value", format!("not one of {}", words.join(", ")))),
            }
        }
        (FieldKind::Bool, Scalar::Bool(flag)) => Value::Bool(flag),
        (FieldKind::Int { min, max }, Scalar::Int(number)) => {
            if number < min || number > max {
                return Err(("out_of_range", format!("outside {min} to {max}")));
            }
            Value::Int(number)
        }
        (FieldKind::Instant, Scalar::Text(text)) => {
            let us = instant(&text)?;
            if field == Field::OccurredAt
                && !(EARLIEST_US..=arrival_us.saturating_add(DAY_US)).contains(&us)
            {
                let detail =
                    "occurred_at must lie between the year 2000 and one day after its arrival";
                return Err(("bad_time", detail.into()));
            }
            Value::Instant(us)
        }
        (FieldKind::Texts { max_items }, Scalar::Texts(texts)) => {
            if texts.len() > max_items {
                return Err(("too_many", format!("more than {max_items} items")));
            }
            let texts = texts.into_iter().map(|text| sized(text, MAX_ID_BYTES));
            Value::Texts(texts.collect::<Result<_, _>>()?)
        }
        (kind, scalar) => {
            return Err((
                "wrong_type",
                format!("expected {}, found {}", expected(kind), scalar.name()),
            ));
        }
    };
    Ok(Checked::Value(value))
}

fn expected(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Id(_) | FieldKind::Text { .. } | FieldKind::Vocab(_) => "a text",
        FieldKind::Bool => "true or false",
        FieldKind::Int { .. } => "a whole number",
        FieldKind::Instant => "a time such as 2026-11-22T09:00:00Z",
        FieldKind::Texts { .. } => "a list of texts",
    }
}

pub(super) fn sized(text: Cow<'_, str>, max: usize) -> Result<Cow<'_, str>, Mistake> {
    match text.len() {
        0 => Err((
            "bad_value",
            "empty text; leave the field out instead".into(),
        )),
        len if len > max => Err(("too_long", format!("{len} bytes; at most {max}"))),
        _ => Ok(text),
    }
}

fn check_name(name: &str) -> Result<(), Mistake> {
    if EventName::parse(name).is_some() {
        return Ok(());
    }
    if let Some(custom) = name.strip_prefix("custom.") {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.';
        return match !custom.is_empty() && custom.len() <= 64 && custom.bytes().all(plain) {
            true => Ok(()),
            false => Err((
                "unknown_event",
                "a custom event is custom. and 1 to 64 of a-z 0-9 _ .".into(),
            )),
        };
    }
    if DERIVED.contains(&name) {
        return Err((
            "unknown_event",
            format!("{name} is derived by the engine and never accepted"),
        ));
    }
    let hint = match nearest(name, EventName::WORDS.iter().copied()) {
        Some(near) => format!("; did you mean {near}?"),
        None => "; events of your own begin with custom.".into(),
    };
    Err(("unknown_event", format!("unknown event name{hint}")))
}

/// An RFC 3339 instant in µs since the epoch; digits beyond µs are cut.
fn instant(text: &str) -> Result<i64, Mistake> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.timestamp_micros())
        .map_err(|_| {
            (
                "bad_time",
                "not an RFC 3339 time with zone, such as 2026-11-22T09:00:00Z".to_owned(),
            )
        })
}
