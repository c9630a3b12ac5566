//! JSON read strictly: one document, nothing after it, no unknown or repeated field, and a JSON pointer
//! (RFC 6901) to whatever is wrong.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::condition::Mistake;

/// Codes of text that is no JSON document at all.
pub const NOT_JSON: [&str; 2] = ["empty", "not_json"];

/// Parses one document, and nothing after it.
///
/// # Errors
/// `empty` or `not_json` for what is no JSON; `unknown_field`, `unknown_value`, `missing_field`,
/// `duplicate_field`, `wrong_type` or `invalid_value` for a document that says something wrong.
pub fn read_strictly<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Mistake> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| mistake(error.inner(), pointer_of(error.path())))?;
    reader.end().map_err(|error| {
        let detail = format!("one JSON document is expected: {error}");
        Mistake::new("not_json", "", detail)
    })?;
    Ok(value)
}

fn mistake(error: &serde_json::Error, pointer: String) -> Mistake {
    let said = error.to_string();
    if !error.is_data() {
        let code = if error.is_eof() && error.column() == 0 {
            "empty"
        } else {
            "not_json"
        };
        return Mistake::new(code, "", format!("not JSON: {said}"));
    }
    let said = said.split(" at line ").next().unwrap_or_default();
    data_mistake(said, pointer)
}

/// What serde says of well-formed data, as a code, with the pointer completed by the field it names.
pub fn data_mistake(said: &str, mut pointer: String) -> Mistake {
    const CODES: [(&str, &str); 5] = [
        ("unknown field", "unknown_field"),
        ("unknown variant", "unknown_value"),
        ("missing field", "missing_field"),
        ("duplicate field", "duplicate_field"),
        ("invalid type", "wrong_type"),
    ];
    let code = CODES.iter().find(|(start, _)| said.starts_with(start));
    let code = code.map_or("invalid_value", |(_, code)| code);
    let named = said.split('`').nth(1).unwrap_or_default();
    let last = format!("/{}", pointer_segment(named));
    let names_a_field = matches!(code, "missing_field" | "unknown_field" | "duplicate_field");
    if names_a_field && !named.is_empty() && !pointer.ends_with(&last) {
        pointer.push_str(&last);
    }
    Mistake::new(code, pointer, said)
}

/// The JSON pointer of a place in a document.
pub fn pointer_of(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", pointer_segment(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// Escapes one segment of a JSON pointer.
pub fn pointer_segment(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use crate::FunnelQuestion;

    use super::*;

    #[test]
    fn mistakes_of_a_document_carry_code_and_pointer() {
        for (json, code, pointer) in [
            ("", "empty", ""),
            ("{", "not_json", ""),
            ("{} {}", "missing_field", "/funnel"),
            (
                r#"{"funnel":"linking","range":{"from":"a","to":"b"}} x"#,
                "not_json",
                "",
            ),
            (r#"{"funnel":"linking","rnge":1}"#, "unknown_field", "/rnge"),
            (
                r#"{"funnel":"linking","range":{"from":7}}"#,
                "wrong_type",
                "/range/from",
            ),
            (
                r#"{"funnel":{"steps":[{"name":"A","a/b":1}]}}"#,
                "unknown_field",
                "/funnel/steps/0/a~1b",
            ),
        ] {
            let mistake = read_strictly::<FunnelQuestion>(json.as_bytes()).unwrap_err();
            assert_eq!(
                (mistake.code, mistake.pointer.as_str()),
                (code, pointer),
                "{json}"
            );
        }
    }
}
