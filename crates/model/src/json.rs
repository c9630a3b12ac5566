//! JSON to a checked event, in one pass, borrowing from the message: no map, no value tree.
//!
//! Parsing goes on after the first mistake so that a denied consent is always seen: such a message
//! is suppressed, never kept as a dead letter. The first mistake in reading order is the one told.

mod check;
mod lists;
mod object;
mod scalar;

use std::borrow::Cow;

use serde::Deserializer as _;
use serde::de::IgnoredAny;

use self::check::{Checked, check};
use self::object::ObjectVisitor;
use self::scalar::Scalar;
use crate::event::{Event, Value};
use crate::fields::Field;
use crate::redact::{looks_sensitive, redact};
use crate::vocab::{AnalyticsConsent, Environment, EventName, PrivacyBasis, Source};

/// Largest message that is decoded, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Most attributes of an event.
pub const MAX_ATTRS: usize = 32;
/// Longest attribute key, in bytes.
pub const MAX_ATTR_KEY_BYTES: usize = 64;
/// Longest attribute text, in bytes.
pub const MAX_ATTR_TEXT_BYTES: usize = 256;
/// Most experiments of an event.
pub const MAX_EXPERIMENTS: usize = 16;
/// Earliest `occurred_at`: 2000-01-01T00:00:00Z, in µs.
pub const EARLIEST_US: i64 = 946_684_800_000_000;
const MAX_DROPPED_NAMES: usize = 64;

/// What an intake fills in where an event is silent.
#[derive(Debug, Clone)]
pub struct Defaults<'a> {
    /// Tenant of events that name none.
    pub tenant: Cow<'a, str>,
    /// Source of events that name none.
    pub source: Source,
    /// Whether an event that names another tenant is refused (a key belongs to one tenant).
    pub force_tenant: bool,
}

impl Default for Defaults<'_> {
    fn default() -> Self {
        Defaults {
            tenant: Cow::Borrowed(crate::DEFAULT_TENANT),
            source: Source::FirstPartyServer,
            force_tenant: false,
        }
    }
}

/// Why a message is no event. `code` is stable, `detail` is for a person and repeats no value that
/// looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({code} at {pointer:?})")]
pub struct Refusal {
    /// Stable word, such as `unknown_field`.
    pub code: &'static str,
    /// JSON pointer to the culprit; empty for the message as a whole.
    pub pointer: String,
    /// One sentence that says what to do.
    pub detail: String,
}

impl Refusal {
    /// A refusal of the message as a whole.
    pub fn whole(code: &'static str, detail: impl Into<String>) -> Self {
        Refusal {
            code,
            pointer: String::new(),
            detail: detail.into(),
        }
    }

    /// Whether nothing of the message may be kept but its position, rather than a dead letter.
    pub fn is_suppressed(&self) -> bool {
        self.code == "consent_denied"
    }
}

/// Decodes, drops secrets and checks one event.
///
/// `arrival_us`: the clock in µs since the epoch; an event may lie at most one day after it.
///
/// # Errors
/// A [`Refusal`] with code `empty`, `too_large`, `invalid_utf8`, `not_json`, `not_an_object`,
/// `unknown_field`, `duplicate_field`, `wrong_type`, `bad_value`, `too_long`, `too_many`,
/// `out_of_range`, `bad_time`, `unknown_event`, `missing_field`, `no_id`, `unsupported_version`,
/// `tenant_mismatch` or `consent_denied`.
pub fn decode<'a>(
    json: &'a [u8],
    defaults: &Defaults<'_>,
    arrival_us: i64,
) -> Result<Event<'a>, Refusal> {
    if json.len() > MAX_MESSAGE_BYTES {
        let detail = format!(
            "{} bytes; an event has at most {MAX_MESSAGE_BYTES}",
            json.len()
        );
        return Err(Refusal::whole("too_large", detail));
    }
    let text = std::str::from_utf8(json).map_err(|e| {
        let detail = format!("not UTF-8 from byte {} on", e.valid_up_to());
        Refusal::whole("invalid_utf8", detail)
    })?;
    if text.trim_ascii().is_empty() {
        return Err(Refusal::whole("empty", "the message is empty"));
    }
    let mut reading = Reading {
        arrival_us,
        ..Reading::default()
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer
        .deserialize_any(ObjectVisitor {
            reading: &mut reading,
            group: None,
        })
        .and_then(|()| deserializer.end())
        .map_err(|error| syntax(text, &error))?;
    reading.finish(defaults)
}

fn syntax(text: &str, error: &serde_json::Error) -> Refusal {
    if text.trim_ascii_start().starts_with('{') {
        let detail = format!(
            "not JSON: breaks off or goes wrong at line {} column {}",
            error.line(),
            error.column()
        );
        Refusal::whole("not_json", detail)
    } else if serde_json::from_str::<IgnoredAny>(text).is_ok() {
        Refusal::whole(
            "not_an_object",
            "an event is a JSON object, this is another JSON value",
        )
    } else {
        Refusal::whole("not_json", "not JSON")
    }
}

/// What has been read of one message.
#[derive(Default)]
struct Reading<'a> {
    event: Event<'a>,
    seen: [u64; 2],
    unknown: Vec<String>,
    refusal: Option<Refusal>,
    arrival_us: i64,
}

impl<'a> Reading<'a> {
    fn refuse(&mut self, code: &'static str, pointer: String, detail: impl Into<String>) {
        self.refusal.get_or_insert_with(|| Refusal {
            code,
            pointer,
            detail: detail.into(),
        });
    }

    fn drop_field(&mut self, name: Cow<'a, str>) {
        if self.event.dropped_fields.len() < MAX_DROPPED_NAMES
            && !self.event.dropped_fields.contains(&name)
        {
            self.event.dropped_fields.push(name);
        }
    }

    /// Marks a field as seen; false when it was already.
    fn first_time(&mut self, field: Field) -> bool {
        let bit = field as usize;
        let word = &mut self.seen[bit / 64];
        let fresh = *word & (1 << (bit % 64)) == 0;
        *word |= 1 << (bit % 64);
        fresh
    }

    fn accept(&mut self, field: Field, scalar: Scalar<'a>) {
        let pointer = || format!("/{}", field.path().replace('.', "/"));
        if !self.first_time(field) {
            return self.refuse("duplicate_field", pointer(), "the field stands twice");
        }
        if matches!(scalar, Scalar::Null) {
            return;
        }
        if field == Field::ReceivedAt {
            return self.drop_field(Cow::Borrowed("received_at"));
        }
        match check(field, scalar, self.arrival_us) {
            Ok(Checked::Value(value)) => self.event.values.push((field, value)),
            Ok(Checked::Other(raw)) => {
                self.event.values.push((field, Value::Vocab("other")));
                if !looks_sensitive(&raw) {
                    let raw = truncate(raw, MAX_ATTR_TEXT_BYTES);
                    self.event
                        .attrs
                        .push((Cow::Owned(format!("raw.{}", field.path())), raw));
                }
            }
            Err((code, detail)) => self.refuse(code, pointer(), detail),
        }
    }

    fn finish(mut self, defaults: &Defaults<'_>) -> Result<Event<'a>, Refusal> {
        if self.event.text(Field::PrivacyAnalyticsConsent)
            == Some(AnalyticsConsent::Denied.as_str())
        {
            return Err(Refusal::whole(
                "consent_denied",
                "analytics consent was denied; nothing is kept",
            ));
        }
        let newer = self.check_version();
        for name in std::mem::take(&mut self.unknown) {
            if newer {
                self.drop_field(Cow::Owned(name));
            } else {
                let pointer = format!("/{}", name.replace('~', "~0").replace('.', "/"));
                let hint = Field::guess(&name)
                    .map_or(String::new(), |near| format!("; did you mean {near}?"));
                self.refuse("unknown_field", pointer, format!("unknown field{hint}"));
            }
        }
        if let Some(refusal) = self.refusal {
            return Err(redacted(refusal));
        }
        for field in [Field::EventId, Field::Event, Field::OccurredAt] {
            if self.event.get(field).is_none() {
                let detail = format!(
                    "{} is missing; an event needs event_id, event, occurred_at and any one id",
                    field.path()
                );
                return Err(Refusal {
                    code: "missing_field",
                    pointer: format!("/{}", field.path()),
                    detail,
                });
            }
        }
        let is_of_an_experiment = [EventName::ExperimentAssigned, EventName::ExperimentExposed]
            .iter()
            .any(|name| name.as_str() == self.event.name());
        if is_of_an_experiment && self.event.experiments.is_empty() {
            return Err(Refusal {
                code: "missing_field",
                pointer: "/experiments".into(),
                detail: "the event does not say of which experiment: experiments needs an entry"
                    .into(),
            });
        }
        if crate::keys::root(&self.event).is_none() {
            let detail = "no id of any kind; name the company, user, session, journey, attempt or another id";
            return Err(Refusal::whole("no_id", detail));
        }
        self.fill(defaults)?;
        Ok(self.event)
    }

    /// Whether the event is of a newer minor version than ours; refuses another major one.
    fn check_version(&mut self) -> bool {
        let Some(version) = self.event.text(Field::SchemaVersion) else {
            return false;
        };
        let minor = version
            .strip_prefix("1.")
            .and_then(|minor| minor.parse::<u32>().ok());
        if minor.is_none() {
            let detail = "schema_version is MAJOR.MINOR and this server reads 1.x";
            self.refuse("unsupported_version", "/schema_version".into(), detail);
        }
        minor.is_some_and(|minor| minor > 0)
    }

    fn fill(&mut self, defaults: &Defaults<'_>) -> Result<(), Refusal> {
        let event = &mut self.event;
        match event.text(Field::TenantId) {
            None => event.set(Field::TenantId, defaults.tenant.clone().into_owned()),
            Some(tenant) if defaults.force_tenant && tenant != defaults.tenant => {
                return Err(Refusal {
                    code: "tenant_mismatch",
                    pointer: "/tenant_id".into(),
                    detail: "the event names another tenant than the key's; leave tenant_id out"
                        .into(),
                });
            }
            Some(_) => {}
        }
        let fill = [
            (Field::SchemaVersion, Value::Text(Cow::Borrowed("1.0"))),
            (Field::Source, defaults.source.into()),
            (Field::Environment, Environment::Live.into()),
            (Field::PrivacyBasis, PrivacyBasis::Unknown.into()),
            (
                Field::PrivacyAnalyticsConsent,
                AnalyticsConsent::Unknown.into(),
            ),
        ];
        for (field, value) in fill {
            if event.get(field).is_none() {
                event.values.push((field, value));
            }
        }
        Ok(())
    }
}

fn redacted(mut refusal: Refusal) -> Refusal {
    if looks_sensitive(&refusal.pointer) || looks_sensitive(&refusal.detail) {
        refusal.pointer = redact(refusal.pointer.as_bytes());
        refusal.detail = redact(refusal.detail.as_bytes());
    }
    refusal
}

fn truncate(text: Cow<'_, str>, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text;
    }
    let cut = (0..=max)
        .rev()
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0);
    Cow::Owned(text[..cut].to_owned())
}

#[cfg(test)]
mod tests;
