//! Reads requests strictly: the right content type, one JSON document with nothing after it, no unknown
//! or repeated fields, and a JSON pointer to whatever is wrong. Query strings the same way.

use axum::extract::rejection::{BytesRejection, FailedToBufferBody, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use linkfunnel_model::{Mistake, NOT_JSON, data_mistake, pointer_of, read_strictly};
use serde::de::DeserializeOwned;

use crate::problem::{Answer, Problem};

/// A JSON body that is exactly a `T`.
pub(crate) struct StrictJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for StrictJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        if content_type(request.headers()).as_deref() != Some("application/json") {
            return Err(unsupported_media_type("application/json"));
        }
        let bytes = read_body(request, state).await?;
        // serde would take an array for a struct, field by field in their order.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            let detail = "a JSON object is expected, not an array";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(Problem::new(status, "wrong_type", detail).at(""));
        }
        parse_json(&bytes).map(StrictJson)
    }
}

/// A query string that is exactly a `T`.
pub(crate) struct StrictQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Answer<Self> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(StrictQuery(value)),
            Err(rejection) => Err(query_problem(&rejection)),
        }
    }
}

/// The whole body, within the body limit of the router.
pub(crate) async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Answer<Bytes> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "compressed request bodies are not taken; send the body as it is",
        )
        .with_header(header::ACCEPT_ENCODING, "identity"));
    }
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "the request body is larger than this server takes; send it in several requests",
            )
        }
        _ => Problem::new(
            StatusCode::BAD_REQUEST,
            "body_broken_off",
            "the request body ended before it was complete",
        ),
    })
}

/// The media type of the body in lower case, without parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

/// 415, naming what is taken instead.
pub(crate) fn unsupported_media_type(taken: &'static str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("the content-type must be {taken}"),
    )
    .with_header(header::ACCEPT, taken)
}

/// Parses one document, and nothing after it. Syntax is 400, a well-formed document that says something
/// wrong is 422.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    read_strictly(bytes).map_err(|mistake| {
        if NOT_JSON.contains(&mistake.code) {
            Problem::new(StatusCode::BAD_REQUEST, mistake.code, mistake.detail)
        } else {
            said_wrong(mistake)
        }
    })
}

fn said_wrong(mistake: Mistake) -> Problem {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, mistake.code, mistake.detail).at(mistake.pointer)
}

fn query_problem(rejection: &QueryRejection) -> Problem {
    let mut source = std::error::Error::source(rejection);
    while let Some(error) = source {
        type Inner = serde_path_to_error::Error<serde::de::value::Error>;
        if let Some(error) = error.downcast_ref::<Inner>() {
            let said = error.inner().to_string();
            return said_wrong(data_mistake(&said, pointer_of(error.path())));
        }
        source = error.source();
    }
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad_query_string",
        "the query string cannot be read",
    )
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Doc {
        steps: Vec<Step>,
        limit: Option<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Step {
        name: String,
        order: Option<Order>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Strict,
    }

    fn problem(json: &str) -> (u16, String, Option<String>) {
        let problem = parse_json::<Doc>(json.as_bytes()).unwrap_err();
        let pointer = problem.pointer().map(str::to_owned);
        (
            problem.status().as_u16(),
            problem.code().to_owned(),
            pointer,
        )
    }

    #[test]
    fn a_good_document_is_read() {
        let doc: Doc = parse_json(br#" {"steps":[{"name":"a","order":"strict"}]} "#).unwrap();
        assert_eq!(doc.steps[0].name, "a");
    }

    #[test]
    fn what_is_not_json_is_a_400() {
        for (json, code) in [
            ("", "empty"),
            ("{", "not_json"),
            ("{\"steps\":[]} x", "not_json"),
            ("{\"steps\":[]}{}", "not_json"),
            ("{\"steps\":[],}", "not_json"),
            ("NaN", "not_json"),
        ] {
            let (status, found, _) = problem(json);
            assert_eq!((status, found.as_str()), (400, code), "{json}");
        }
    }

    #[test]
    fn what_says_something_wrong_is_a_422_with_a_pointer() {
        for (json, code, pointer) in [
            (r#"{"stepz":[]}"#, "unknown_field", "/stepz"),
            (
                r#"{"steps":[{"name":"a"},{"nam":"b"}]}"#,
                "unknown_field",
                "/steps/1/nam",
            ),
            (r#"{"steps":[{}]}"#, "missing_field", "/steps/0/name"),
            (r#"{}"#, "missing_field", "/steps"),
            (r#"{"steps":[],"steps":[]}"#, "duplicate_field", "/steps"),
            (r#"{"steps":[{"name":7}]}"#, "wrong_type", "/steps/0/name"),
            (
                r#"{"steps":[{"name":"a","order":"x"}]}"#,
                "unknown_value",
                "/steps/0/order",
            ),
            (r#"{"steps":[],"limit":300}"#, "invalid_value", "/limit"),
            (r#"7"#, "wrong_type", ""),
        ] {
            let found = problem(json);
            assert_eq!(
                found,
                (422, code.to_owned(), Some(pointer.to_owned())),
                "{json}"
            );
        }
    }
}
