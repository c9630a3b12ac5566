//! One canonical event: a sparse list of checked values, borrowed from the message it came in.
//!
//! An event sets about twenty-five of some hundred and twenty fields, so values are kept as a short
//! list in order of arrival; a decoder reuses no map and builds no JSON tree.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::fields::{Field, FieldKind};
use crate::vocab::EventName;

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Text or an id.
    Text(Cow<'a, str>),
    /// A word of a vocabulary.
    Vocab(&'static str),
    /// A whole number.
    Int(i64),
    /// A flag.
    Bool(bool),
    /// µs since the epoch.
    Instant(i64),
    /// A list of short texts.
    Texts(Vec<Cow<'a, str>>),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}
impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}
impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Value::Text(text)
    }
}
impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}
impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl Value<'_> {
    fn into_owned(self) -> Value<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Value::Text(text) => Value::Text(own(text)),
            Value::Vocab(word) => Value::Vocab(word),
            Value::Int(number) => Value::Int(number),
            Value::Bool(flag) => Value::Bool(flag),
            Value::Instant(us) => Value::Instant(us),
            Value::Texts(texts) => Value::Texts(texts.into_iter().map(own).collect()),
        }
    }
}

/// An experiment's variant as the event reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experiment<'a> {
    /// The experiment.
    pub id: Cow<'a, str>,
    /// The variant assigned.
    pub variant: Cow<'a, str>,
    /// What was assigned: a word of [`crate::vocab::ExperimentUnit`].
    pub unit: &'static str,
    /// Whether the unit has seen its variant.
    pub exposed: bool,
}

/// One canonical event (domain.md part B).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event<'a> {
    pub(crate) values: Vec<(Field, Value<'a>)>,
    pub(crate) experiments: Vec<Experiment<'a>>,
    pub(crate) attrs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(crate) attrs_num: Vec<(Cow<'a, str>, f64)>,
    pub(crate) dropped_fields: Vec<Cow<'a, str>>,
}

impl<'a> Event<'a> {
    /// An event with the three fields that every event has. `occurred_at_us`: µs since the epoch.
    pub fn new(event_id: impl Into<Cow<'a, str>>, event: EventName, occurred_at_us: i64) -> Self {
        Event {
            values: vec![
                (Field::EventId, Value::Text(event_id.into())),
                (Field::Event, Value::Text(Cow::Borrowed(event.as_str()))),
                (Field::OccurredAt, Value::Instant(occurred_at_us)),
            ],
            ..Event::default()
        }
    }

    /// The same event with a field set. Trusts its caller: [`crate::decode`] is the checked way in.
    pub fn with(mut self, field: Field, value: impl Into<Value<'a>>) -> Self {
        self.set(field, value);
        self
    }

    /// The same event with a text attribute.
    pub fn with_attr(
        mut self,
        key: impl Into<Cow<'a, str>>,
        text: impl Into<Cow<'a, str>>,
    ) -> Self {
        self.attrs.push((key.into(), text.into()));
        self
    }

    /// The same event with a numeric attribute.
    pub fn with_attr_num(mut self, key: impl Into<Cow<'a, str>>, number: f64) -> Self {
        self.attrs_num.push((key.into(), number));
        self
    }

    /// The same event with an experiment's variant.
    pub fn with_experiment(mut self, experiment: Experiment<'a>) -> Self {
        self.experiments.push(experiment);
        self
    }

    /// Sets a field, replacing what it held.
    pub fn set(&mut self, field: Field, value: impl Into<Value<'a>>) {
        let value = value.into();
        match self.values.iter_mut().find(|(f, _)| *f == field) {
            Some(slot) => slot.1 = value,
            None => self.values.push((field, value)),
        }
    }

    /// The value of a field, if the event has it.
    pub fn get(&self, field: Field) -> Option<&Value<'a>> {
        self.values
            .iter()
            .find(|(f, _)| *f == field)
            .map(|(_, v)| v)
    }

    /// The text of a field: free text, id or vocabulary word.
    pub fn text(&self, field: Field) -> Option<&str> {
        match self.get(field)? {
            Value::Text(text) => Some(text),
            Value::Vocab(word) => Some(word),
            _ => None,
        }
    }

    /// The event's name; empty only for an event built without one.
    pub fn name(&self) -> &str {
        self.text(Field::Event).unwrap_or("")
    }

    /// When it happened, in µs since the epoch.
    pub fn occurred_at_us(&self) -> i64 {
        match self.get(Field::OccurredAt) {
            Some(Value::Instant(us)) => *us,
            _ => 0,
        }
    }

    /// The tenant, `default` when the event names none.
    pub fn tenant(&self) -> &str {
        self.text(Field::TenantId).unwrap_or(crate::DEFAULT_TENANT)
    }

    /// Every field that is set, in order of arrival.
    pub fn values(&self) -> impl Iterator<Item = (Field, &Value<'a>)> {
        self.values.iter().map(|(f, v)| (*f, v))
    }

    /// The experiments the event reports.
    pub fn experiments(&self) -> &[Experiment<'a>] {
        &self.experiments
    }

    /// Text attributes.
    pub fn attrs(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.attrs
    }

    /// Numeric attributes.
    pub fn attrs_num(&self) -> &[(Cow<'a, str>, f64)] {
        &self.attrs_num
    }

    /// Names of the fields that were dropped before anything was written.
    pub fn dropped_fields(&self) -> &[Cow<'a, str>] {
        &self.dropped_fields
    }

    /// The same event, owning its texts.
    pub fn into_owned(self) -> Event<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        Event {
            values: self
                .values
                .into_iter()
                .map(|(f, v)| (f, v.into_owned()))
                .collect(),
            experiments: self
                .experiments
                .into_iter()
                .map(|e| Experiment {
                    id: own(e.id),
                    variant: own(e.variant),
                    unit: e.unit,
                    exposed: e.exposed,
                })
                .collect(),
            attrs: self
                .attrs
                .into_iter()
                .map(|(k, v)| (own(k), own(v)))
                .collect(),
            attrs_num: self
                .attrs_num
                .into_iter()
                .map(|(k, v)| (own(k), v))
                .collect(),
            dropped_fields: self.dropped_fields.into_iter().map(own).collect(),
        }
    }

    /// Appends the canonical JSON: one line, no line end, nested groups together, in table order.
    pub fn to_json(&self, out: &mut Vec<u8>) {
        let mut sorted: Vec<&(Field, Value<'a>)> = self.values.iter().collect();
        sorted.sort_by_key(|(field, _)| *field);
        let mut json = Writer { out, first: true };
        json.out.push(b'{');
        let mut open_group: Option<&str> = None;
        for (field, value) in sorted {
            let (group, name) = match field.path().split_once('.') {
                Some((group, name)) => (Some(group), name),
                None => (None, field.path()),
            };
            if group != open_group {
                if open_group.is_some() {
                    json.close(b'}');
                }
                if let Some(group) = group {
                    json.key(group);
                    json.open(b'{');
                }
                open_group = group;
            }
            json.key(name);
            json.value(*field, value);
        }
        if !self.dropped_fields.is_empty() {
            if open_group != Some("ingest") {
                if open_group.is_some() {
                    json.close(b'}');
                }
                json.key("ingest");
                json.open(b'{');
            }
            json.key("dropped_fields");
            json.texts(&self.dropped_fields);
            open_group = Some("ingest");
        }
        if open_group.is_some() {
            json.close(b'}');
        }
        self.write_lists(&mut json);
        json.out.push(b'}');
    }

    fn write_lists(&self, json: &mut Writer<'_>) {
        if !self.experiments.is_empty() {
            json.key("experiments");
            json.open(b'[');
            for experiment in &self.experiments {
                json.comma();
                json.open(b'{');
                json.key("id");
                json.text(&experiment.id);
                json.key("variant");
                json.text(&experiment.variant);
                json.key("unit");
                json.text(experiment.unit);
                json.key("exposed");
                json.raw(if experiment.exposed { "true" } else { "false" });
                json.close(b'}');
            }
            json.close(b']');
        }
        if !(self.attrs.is_empty() && self.attrs_num.is_empty()) {
            json.key("attrs");
            json.open(b'{');
            for (key, text) in &self.attrs {
                json.key(key);
                json.text(text);
            }
            for (key, number) in &self.attrs_num {
                json.key(key);
                json.raw(
                    &serde_json::Number::from_f64(*number).map_or("null".into(), |n| n.to_string()),
                );
            }
            json.close(b'}');
        }
    }
}

/// µs since the epoch as RFC 3339 in UTC, with as many decimals as it needs.
pub fn instant_text(us: i64) -> String {
    match DateTime::<Utc>::from_timestamp_micros(us) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        None => us.to_string(),
    }
}

/// Writes JSON text straight into the output, remembering only whether a comma is due.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl Writer<'_> {
    fn comma(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
    }
    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.first = true;
    }
    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.first = false;
    }
    fn key(&mut self, key: &str) {
        self.comma();
        self.text(key);
        self.out.push(b':');
    }
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.first = false;
    }
    fn text(&mut self, text: &str) {
        serde_json::to_writer(&mut *self.out, text).expect("writing to memory cannot fail");
        self.first = false;
    }
    fn texts(&mut self, texts: &[Cow<'_, str>]) {
        self.open(b'[');
        for text in texts {
            self.comma();
            self.text(text);
        }
        self.close(b']');
    }
    fn value(&mut self, field: Field, value: &Value<'_>) {
        match value {
            Value::Text(text) => self.text(text),
            Value::Vocab(word) => self.text(word),
            Value::Bool(flag) => self.raw(if *flag { "true" } else { "false" }),
            Value::Instant(us) => self.text(&instant_text(*us)),
            Value::Int(number) if field.kind() == FieldKind::Instant => {
                self.text(&instant_text(*number));
            }
            Value::Int(number) => self.raw(&number.to_string()),
            Value::Texts(texts) => self.texts(texts),
        }
    }
}
