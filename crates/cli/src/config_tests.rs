//! Tests of the config file, and the table that README.md shows of it.

use schemars::schema_for;
use serde_json::Value as Json;

use super::*;

/// The rows `(key, default, what)` of every block, from the types and their comments.
fn rows() -> Vec<(String, String, String)> {
    let schema = Json::from(schema_for!(Config));
    let mut defaults = serde_json::to_value(Config::default()).unwrap();
    defaults["kafka"] = serde_json::to_value(Kafka::default()).unwrap();
    defaults["keys"] = serde_json::json!([Key::default()]);
    let mut rows = Vec::new();
    for (block, values) in defaults.as_object().unwrap() {
        let (name, values) = match values {
            Json::Array(items) => (format!("[[{block}]]"), &items[0]),
            values => (format!("[{block}]"), values),
        };
        for (key, default) in values.as_object().unwrap() {
            let what = description(&schema, block, key);
            let default = match default {
                Json::String(text) if text.is_empty() => "–".into(),
                Json::Array(_) | Json::Object(_) => "–".into(),
                other => format!("`{other}`"),
            };
            rows.push((format!("`{name} {key}`"), default, what));
        }
    }
    rows
}

fn description(schema: &Json, block: &str, key: &str) -> String {
    let defs = schema["$defs"].as_object().unwrap();
    let kind = defs.values().find(|def| {
        let fields = serde_json::to_string(&def["properties"]).unwrap();
        let of_block = schema["properties"][block].to_string();
        fields.contains(&format!("\"{key}\""))
            && defs
                .iter()
                .any(|(name, d)| d == *def && of_block.contains(&format!("#/$defs/{name}\"")))
    });
    kind.and_then(|def| def["properties"][key]["description"].as_str())
        .unwrap_or("")
        .replace('\n', " ")
}

/// The README's table.
fn table() -> String {
    let mut text = String::from("| key | default | what |\n|---|---|---|\n");
    for (key, default, what) in rows() {
        text += &format!("| {key} | {default} | {what} |\n");
    }
    text
}

#[test]
fn every_key_says_what_it_is() {
    for (key, _, what) in rows() {
        assert!(what.len() > 10, "{key}: {what:?}");
    }
}

#[test]
fn every_key_is_in_the_readme_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    if !readme.contains(&table()) {
        panic!("README.md must hold this table:\n\n{}", table());
    }
}

#[test]
fn a_file_that_says_nothing_is_the_default() {
    let config = Config::parse("").unwrap();
    assert_eq!(
        serde_json::to_value(config).unwrap(),
        serde_json::to_value(Config::default()).unwrap()
    );
}

#[test]
fn a_misspelt_key_is_refused_with_its_line_and_the_keys_there_are() {
    let refused = Config::parse("[server]\n\nlisten_on = \"x\"\n")
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains("line 3") && refused.contains("`listen_on`"),
        "{refused}"
    );
    assert!(refused.contains("`listen`"), "{refused}");
}

#[test]
fn secrets_come_from_the_environment_where_the_file_says_so() {
    let text = "[kafka.properties]\n\"sasl.password\" = \"env:LINKFUNNEL_PASSWORD\"\nother = \"env:HOME\"\n";
    let mut config = Config::parse(text).unwrap();
    config
        .fill_in(&|name| (name == "LINKFUNNEL_PASSWORD").then(|| "secret".into()))
        .unwrap();
    let properties = &config.kafka.as_ref().unwrap().properties;
    assert_eq!(properties["sasl.password"], "secret");
    assert_eq!(properties["other"], "env:HOME");
    let mut config = Config::parse(text).unwrap();
    let refused = config.fill_in(&|_| None).err().unwrap().to_string();
    assert!(
        refused.contains("LINKFUNNEL_PASSWORD, which is not set"),
        "{refused}"
    );
}

#[test]
fn keys_with_unknown_scopes_are_refused() {
    let text = "[[keys]]\nname = \"a\"\nsha256 = \"00\"\ntenant = \"t\"\nscopes = [\"write\"]\n";
    let refused = Config::parse(text)
        .unwrap()
        .keys()
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("ingest, read, manage, admin"), "{refused}");
}

#[test]
fn addresses_are_read_as_people_write_them() {
    for text in ["127.0.0.1:8080", "localhost:8080", ":8080", "8080"] {
        assert_eq!(
            parse_listen(text).unwrap().to_string(),
            "127.0.0.1:8080",
            "{text}"
        );
    }
    assert!(parse_listen("here").is_err());
}
