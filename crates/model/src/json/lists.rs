//! Attributes and experiments.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::check::{MAX_ID_BYTES, sized};
use super::scalar::{KeySeed, Scalar, ScalarSeed};
use super::{MAX_ATTR_KEY_BYTES, MAX_ATTR_TEXT_BYTES, MAX_ATTRS, MAX_EXPERIMENTS, Reading};
use crate::event::Experiment;
use crate::redact::is_sensitive;
use crate::vocab::ExperimentUnit;

pub(super) struct AttrsVisitor<'r, 'a>(pub(super) &'r mut Reading<'a>);

impl<'a> DeserializeSeed<'a> for AttrsVisitor<'_, 'a> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for AttrsVisitor<'_, 'a> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut count = 0;
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let scalar = map.next_value_seed(ScalarSeed)?;
            count += 1;
            attr(self.0, key, scalar);
        }
        if count > MAX_ATTRS {
            self.0.refuse(
                "too_many",
                "/attrs".into(),
                format!("{count} attributes; at most {MAX_ATTRS}"),
            );
        }
        Ok(())
    }
}

fn attr<'a>(reading: &mut Reading<'a>, key: Cow<'a, str>, scalar: Scalar<'a>) {
    let pointer = || format!("/attrs/{}", key.replace('~', "~0").replace('/', "~1"));
    if is_sensitive(&key) {
        return reading.drop_field(Cow::Owned(format!("attrs.{key}")));
    }
    if key.is_empty() || key.len() > MAX_ATTR_KEY_BYTES {
        let detail = format!("an attribute's key has 1 to {MAX_ATTR_KEY_BYTES} bytes");
        return reading.refuse("too_long", "/attrs".into(), detail);
    }
    let event = &mut reading.event;
    if event.attrs.iter().any(|(k, _)| *k == key) || event.attrs_num.iter().any(|(k, _)| *k == key)
    {
        return reading.refuse("duplicate_field", pointer(), "the attribute stands twice");
    }
    match scalar {
        Scalar::Null => {}
        Scalar::Text(text) if text.len() > MAX_ATTR_TEXT_BYTES => {
            let detail = format!("{} bytes; at most {MAX_ATTR_TEXT_BYTES}", text.len());
            reading.refuse("too_long", pointer(), detail);
        }
        Scalar::Text(text) => event.attrs.push((key, text)),
        Scalar::Bool(flag) => {
            event
                .attrs
                .push((key, Cow::Borrowed(if flag { "true" } else { "false" })));
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "attributes are doubles by definition"
        )]
        Scalar::Int(number) => event.attrs_num.push((key, number as f64)),
        Scalar::Float(number) => event.attrs_num.push((key, number)),
        other => {
            let detail = format!("expected a text, number or flag, found {}", other.name());
            reading.refuse("wrong_type", pointer(), detail);
        }
    }
}

pub(super) struct ExperimentsVisitor<'r, 'a>(pub(super) &'r mut Reading<'a>);

impl<'a> DeserializeSeed<'a> for ExperimentsVisitor<'_, 'a> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ExperimentsVisitor<'_, 'a> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of experiments")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        while seq
            .next_element_seed(ExperimentVisitor {
                reading: &mut *self.0,
                index,
            })?
            .is_some()
        {
            index += 1;
        }
        if index > MAX_EXPERIMENTS {
            let detail = format!("{index} experiments; at most {MAX_EXPERIMENTS}");
            self.0.refuse("too_many", "/experiments".into(), detail);
        }
        Ok(())
    }
}

struct ExperimentVisitor<'r, 'a> {
    reading: &'r mut Reading<'a>,
    index: usize,
}

impl<'a> DeserializeSeed<'a> for ExperimentVisitor<'_, 'a> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ExperimentVisitor<'_, 'a> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an experiment")
    }
    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let pointer = format!("/experiments/{}", self.index);
        let (mut id, mut variant, mut unit, mut exposed) = (None, None, None, false);
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match (&*key, map.next_value_seed(ScalarSeed)?) {
                ("id", Scalar::Text(text)) => id = sized(text, MAX_ID_BYTES).ok(),
                ("variant", Scalar::Text(text)) => variant = sized(text, MAX_ID_BYTES).ok(),
                ("unit", Scalar::Text(text)) => unit = ExperimentUnit::parse(&text),
                ("exposed", Scalar::Bool(flag)) => exposed = flag,
                (name, _) => {
                    let detail = "an experiment is {id, variant, unit, exposed}";
                    self.reading.refuse(
                        "bad_value",
                        format!("{pointer}/{}", name.replace('/', "~1")),
                        detail,
                    );
                }
            }
        }
        match (id, variant, unit) {
            (Some(id), Some(variant), Some(unit)) => {
                let unit = unit.as_str();
                self.reading.event.experiments.push(Experiment {
                    id,
                    variant,
                    unit,
                    exposed,
                });
            }
            _ => {
                let detail =
                    "an experiment needs id, variant and unit (company, user, session or journey)";
                self.reading.refuse("bad_value", pointer, detail);
            }
        }
        Ok(())
    }
}
