//! The event's object and its groups: which key is which field.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Reading;
use super::lists::{AttrsVisitor, ExperimentsVisitor};
use super::scalar::{KeySeed, Scalar, ScalarSeed};
use crate::fields::Field;
use crate::redact::is_sensitive;

/// Reads the event's object, or one of its groups (`integration`, `reason`, …).
pub(super) struct ObjectVisitor<'r, 'a> {
    pub(super) reading: &'r mut Reading<'a>,
    pub(super) group: Option<&'static str>,
}

impl<'a> DeserializeSeed<'a> for ObjectVisitor<'_, 'a> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> ObjectVisitor<'_, 'a> {
    /// Another value where an object is due: refused inside an event, a failure of the whole else.
    fn no_object<E: serde::de::Error>(self, found: &str) -> Result<(), E> {
        match self.group {
            Some(group) => {
                let detail = format!("expected an object, found {found}");
                self.reading
                    .refuse("wrong_type", format!("/{group}"), detail);
                Ok(())
            }
            None => Err(E::custom("not an object")),
        }
    }
}

impl<'a> Visitor<'a> for ObjectVisitor<'_, 'a> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        if self.group.is_some() {
            Ok(())
        } else {
            self.no_object("null")
        }
    }
    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.no_object("true or false")
    }
    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.no_object("a number")
    }
    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.no_object("a number")
    }
    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.no_object("a number")
    }
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.no_object("a text")
    }
    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.no_object("a list")
    }
    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match field_of(self.group, &key) {
                Some(field) => {
                    let scalar = map.next_value_seed(ScalarSeed)?;
                    self.reading.accept(field, scalar);
                }
                None => self.special(key, &mut map)?,
            }
        }
        Ok(())
    }
}

impl<'a> ObjectVisitor<'_, 'a> {
    fn special<A: MapAccess<'a>>(
        &mut self,
        key: Cow<'a, str>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let reading = &mut *self.reading;
        match (self.group, &*key) {
            (None, "attrs") => {
                let raw = map.next_value::<&'a RawValue>()?;
                let mut inner = serde_json::Deserializer::from_str(raw.get());
                if AttrsVisitor(reading).deserialize(&mut inner).is_err() {
                    let detail = "attrs is an object of texts, numbers and flags";
                    reading.refuse("wrong_type", "/attrs".into(), detail);
                }
                Ok(())
            }
            (None, "experiments") => {
                let raw = map.next_value::<&'a RawValue>()?;
                let mut inner = serde_json::Deserializer::from_str(raw.get());
                if ExperimentsVisitor(reading).deserialize(&mut inner).is_err() {
                    let detail = "experiments is a list of {id, variant, unit, exposed}";
                    reading.refuse("wrong_type", "/experiments".into(), detail);
                }
                Ok(())
            }
            (None, group) if Field::is_group(group) => {
                let group = GROUPS.iter().find(|g| **g == group).copied();
                map.next_value_seed(ObjectVisitor { reading, group })
            }
            (Some("ingest"), "dropped_fields") => {
                if let Scalar::Texts(names) = map.next_value_seed(ScalarSeed)? {
                    names.into_iter().for_each(|name| reading.drop_field(name));
                }
                Ok(())
            }
            (group, name) => {
                map.next_value::<IgnoredAny>()?;
                let path = group.map_or_else(|| name.to_owned(), |group| format!("{group}.{name}"));
                if is_sensitive(name) {
                    reading.drop_field(Cow::Owned(path));
                } else {
                    reading.unknown.push(path);
                }
                Ok(())
            }
        }
    }
}

/// Nested objects of an event.
const GROUPS: &[&str] = &[
    "integration",
    "cta",
    "step",
    "reason",
    "auth",
    "sca",
    "consent",
    "messaging",
    "incentive",
    "device",
    "counters",
    "sync",
    "payment",
    "privacy",
    "ingest",
];

/// The field that `key` names inside `group`. Looked up by length first: a hundred and twenty
/// paths share some thirty lengths.
fn field_of(group: Option<&str>, key: &str) -> Option<Field> {
    use std::sync::LazyLock;
    static BY_LENGTH: LazyLock<Vec<Vec<Field>>> = LazyLock::new(|| {
        let longest = Field::ALL.iter().map(|f| f.path().len()).max().unwrap_or(0);
        let mut table = vec![Vec::new(); longest + 1];
        for field in Field::ALL {
            table[field.path().len()].push(*field);
        }
        table
    });
    let length = key.len() + group.map_or(0, |group| group.len() + 1);
    BY_LENGTH.get(length)?.iter().copied().find(|field| {
        let path = field.path();
        match group {
            None => path == key && !path.contains('.'),
            Some(group) => {
                path.as_bytes()[group.len()] == b'.'
                    && path.starts_with(group)
                    && path.ends_with(key)
            }
        }
    })
}
