//! ETags and the two conditions on them (RFC 9110, 8.8.3 and 13.1): `If-Match`, `If-None-Match`.
//!
//! A tag here is the opaque text between the quotes. What cannot be read is refused: to pass over a
//! condition could overwrite what the client meant to keep.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::problem::{Answer, Problem};

/// What one header lists.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Listed {
    /// `*`: anything that is there.
    Any,
    /// Tags, each with whether it is weak.
    Tags(Vec<(bool, String)>),
}

/// What a request demands of the tag of what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    if_match: Option<Listed>,
    if_none_match: Option<Listed>,
}

impl Conditions {
    /// Reads both headers.
    pub(crate) fn of(headers: &HeaderMap) -> Answer<Conditions> {
        Ok(Conditions {
            if_match: listed(headers, header::IF_MATCH)?,
            if_none_match: listed(headers, header::IF_NONE_MATCH)?,
        })
    }

    /// Whether what has this tag (nothing, for `None`) may be changed. A weak tag never matches in
    /// `If-Match`.
    pub(crate) fn allow(&self, there: Option<&str>) -> bool {
        let matches = match (&self.if_match, there) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(Listed::Any), Some(_)) => true,
            (Some(Listed::Tags(tags)), Some(there)) => {
                tags.iter().any(|(weak, tag)| !weak && tag == there)
            }
        };
        matches && !there.is_some_and(|there| self.has(there) || self.has_any())
    }

    /// Whether `If-None-Match` lists the tag: the client has what it stands for.
    pub(crate) fn has(&self, there: &str) -> bool {
        match &self.if_none_match {
            Some(Listed::Tags(tags)) => tags.iter().any(|(_, tag)| tag == there),
            _ => false,
        }
    }

    /// Whether `If-None-Match` is `*`: the client wants nothing that is there.
    pub(crate) fn has_any(&self) -> bool {
        self.if_none_match == Some(Listed::Any)
    }
}

/// The headers of what a client may keep, as long as it asks before it uses it. `weak`: other bytes
/// may stand for the same.
pub(crate) fn kept_as(tag: &str, weak: bool) -> [(HeaderName, HeaderValue); 3] {
    let tag = if weak {
        format!("W/\"{tag}\"")
    } else {
        format!("\"{tag}\"")
    };
    let tag = HeaderValue::from_str(&tag).expect("tags are plain ASCII");
    let whose = HeaderValue::from_static("authorization, linkfunnel-tenant");
    [
        (header::ETAG, tag),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-cache"),
        ),
        (header::VARY, whose),
    ]
}

fn listed(headers: &HeaderMap, name: HeaderName) -> Answer<Option<Listed>> {
    let mut found: Option<Listed> = None;
    for value in headers.get_all(&name) {
        let read = value.to_str().ok().and_then(parse);
        found = match (found, read) {
            (None, Some(read)) => Some(read),
            (Some(Listed::Tags(mut tags)), Some(Listed::Tags(more))) => {
                tags.extend(more);
                Some(Listed::Tags(tags))
            }
            _ => {
                let detail = format!("{name} is * or a list of tags such as \"3-5f2c9a10\"");
                let status = StatusCode::BAD_REQUEST;
                return Err(Problem::new(status, "bad_precondition", detail));
            }
        };
    }
    Ok(found)
}

/// `*`, or `"tag", W/"tag", …`.
fn parse(text: &str) -> Option<Listed> {
    let mut rest = text.trim();
    if rest == "*" {
        return Some(Listed::Any);
    }
    let mut tags = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(Listed::Tags(tags));
        }
        let weak = rest.strip_prefix("W/");
        let quoted = weak.unwrap_or(rest).strip_prefix('"')?;
        let (tag, after) = quoted.split_once('"')?;
        if !tag.bytes().all(|b| b == 0x21 || (0x23..=0x7e).contains(&b)) {
            return None;
        }
        tags.push((weak.is_some(), tag.to_owned()));
        rest = after.trim_start();
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(lines: &[(&'static str, &str)]) -> Answer<Conditions> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Conditions::of(&headers)
    }

    #[test]
    fn what_may_be_changed_is_what_both_headers_allow() {
        // name, value, what is allowed of: nothing, "1", "2"
        for (name, value, allowed) in [
            ("if-match", "\"1\"", [false, true, false]),
            ("if-match", "\"0\", \"1\"", [false, true, false]),
            ("if-match", "W/\"1\"", [false, false, false]),
            ("if-match", "*", [false, true, true]),
            ("if-none-match", "*", [true, false, false]),
            ("if-none-match", "\"1\"", [true, false, true]),
            ("if-none-match", "W/\"1\" ,\"x,y\"", [true, false, true]),
        ] {
            let conditions = conditions(&[(name, value)]).unwrap();
            let found = [None, Some("1"), Some("2")].map(|there| conditions.allow(there));
            assert_eq!(found, allowed, "{name}: {value}");
        }
        let both = conditions(&[("if-match", "*"), ("if-none-match", "\"1\"")]).unwrap();
        assert_eq!(
            [None, Some("1"), Some("2")].map(|t| both.allow(t)),
            [false, false, true]
        );
        let none = conditions(&[]).unwrap();
        assert!(none.allow(None) && none.allow(Some("1")));
    }

    #[test]
    fn several_lines_are_one_list_and_what_cannot_be_read_is_refused() {
        let two = conditions(&[("if-none-match", "\"1\""), ("if-none-match", "\"2\"")]).unwrap();
        assert!(two.has("1") && two.has("2") && !two.has("3") && !two.has_any());
        for bad in [
            "",
            "1",
            "\"1",
            "\"1\" \"2\"",
            "w/\"1\"",
            "*, \"1\"",
            "\"a b\"",
            "W/",
            ",",
        ] {
            let refused = conditions(&[("if-match", bad)]).unwrap_err();
            assert_eq!(
                (refused.status().as_u16(), refused.code()),
                (400, "bad_precondition"),
                "{bad}"
            );
        }
        assert!(conditions(&[("if-match", "*"), ("if-match", "\"1\"")]).is_err());
    }
}
