//! JSON Schemas of what is sent to us, generated from the tables and types (kept in `schemas/`).

use serde_json::{Map, Value as Json, json};

use crate::experiment::ExperimentContent;
use crate::fields::{Field, FieldKind};
use crate::funnel::FunnelDefinition;
use crate::json::{MAX_ATTRS, MAX_EXPERIMENTS};
use crate::vocab::{EventName, ExperimentUnit};

/// JSON Schema (2020-12) of an event.
pub fn event_schema() -> Json {
    let mut properties = Map::new();
    for field in Field::ALL {
        if *field == Field::ReceivedAt {
            continue;
        }
        match field.path().split_once('.') {
            None => {
                properties.insert(field.path().to_owned(), field_schema(*field));
            }
            Some((group, name)) => {
                let group = properties.entry(group).or_insert_with(
                    || json!({ "type": "object", "additionalProperties": false, "properties": {} }),
                );
                group["properties"][name] = field_schema(*field);
            }
        }
    }
    properties.insert("experiments".into(), experiments_schema());
    properties.insert(
        "attrs".into(),
        json!({
            "type": "object", "maxProperties": MAX_ATTRS,
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] }
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "linkfunnel event 1.0",
        "description": "One event of a linking journey. Names on the sensitive list are dropped and counted; other unknown names are refused. At least one id of any kind is needed.",
        "type": "object",
        "required": ["event_id", "event", "occurred_at"],
        "additionalProperties": false,
        "properties": properties
    })
}

fn experiments_schema() -> Json {
    json!({
        "type": "array", "maxItems": MAX_EXPERIMENTS,
        "items": {
            "type": "object", "additionalProperties": false, "required": ["id", "variant", "unit"],
            "properties": {
                "id": { "type": "string" }, "variant": { "type": "string" },
                "unit": { "enum": ExperimentUnit::WORDS }, "exposed": { "type": "boolean" }
            }
        }
    })
}

fn field_schema(field: Field) -> Json {
    if field == Field::Event {
        return json!({ "anyOf": [
            { "enum": EventName::WORDS },
            { "type": "string", "pattern": "^custom\\.[a-z0-9_.]{1,64}$" }
        ] });
    }
    match field.kind() {
        FieldKind::Id(_) => json!({ "type": "string", "minLength": 1, "maxLength": 128 }),
        FieldKind::Text { max, .. } => {
            json!({ "type": "string", "minLength": 1, "maxLength": max })
        }
        FieldKind::Vocab(words) if field.takes_other() => json!({
            "type": "string", "examples": words,
            "description": "one of the examples; another word is kept as other"
        }),
        FieldKind::Vocab(words) => json!({ "enum": words }),
        FieldKind::Bool => json!({ "type": "boolean" }),
        FieldKind::Int { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        FieldKind::Instant => json!({ "type": "string", "format": "date-time" }),
        FieldKind::Texts { max_items } => {
            json!({ "type": "array", "maxItems": max_items, "items": { "type": "string" } })
        }
    }
}

/// JSON Schema (2020-12) of a funnel's definition.
pub fn funnel_schema() -> Json {
    schemars::schema_for!(FunnelDefinition).to_value()
}

/// JSON Schema (2020-12) of what is saved as an experiment.
pub fn experiment_schema() -> Json {
    schemars::schema_for!(ExperimentContent).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with the file in `schemas/`; `UPDATE_GOLDEN=1 cargo test -p linkfunnel-model` rewrites it.
    fn check(file: &str, schema: &Json) {
        let path = format!("{}/../../schemas/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap_or_default(),
            text,
            "{path} is out of date"
        );
    }

    #[test]
    fn the_schema_of_events_is_the_one_published() {
        check("event.schema.json", &event_schema());
    }

    #[test]
    fn the_schema_of_funnels_is_the_one_published() {
        check("funnel.schema.json", &funnel_schema());
    }

    #[test]
    fn the_schema_of_experiments_is_the_one_published() {
        check("experiment.schema.json", &experiment_schema());
    }
}
