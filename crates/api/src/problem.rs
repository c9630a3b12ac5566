//! What went wrong, as RFC 9457 `application/problem+json`: every refusal of every route has this one form.
//!
//! `code` is stable and meant for programs, `detail` is a sentence for people, `pointer` is a JSON pointer
//! (RFC 6901) to the culprit in the request body; for a query string it names the parameter (`/by`).
//! A handler returns a [`Problem`]; the shell renders it, because only the shell knows the request id.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What a handler gives back: its answer, or the problem that stands in the way.
pub(crate) type Answer<T> = Result<T, Problem>;

/// One refusal: a status, a stable code, a sentence, and where in the request the culprit stands.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    pointer: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with a stable `code` (snake_case) and a sentence that says what to do about it.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Problem {
        Problem {
            status,
            code: code.into(),
            detail: detail.into(),
            pointer: None,
            headers: Vec::new(),
        }
    }

    /// The same problem, with the JSON pointer of the culprit. An empty pointer is the whole document.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Problem {
        self.pointer = Some(pointer.into());
        self
    }

    /// The same problem, when its document is itself a part at `parent` of the request.
    #[must_use]
    pub(crate) fn below(self, parent: &str) -> Problem {
        let pointer = format!("{parent}{}", self.pointer.as_deref().unwrap_or_default());
        self.at(pointer)
    }

    /// The same problem, with one more response header (`Allow`, `Retry-After`, `WWW-Authenticate`, …).
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &'static str) -> Problem {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// The status code the problem is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Where the culprit stands, if it stands in the request.
    pub fn pointer(&self) -> Option<&str> {
        self.pointer.as_deref()
    }

    /// The problem that stands for an error answer that has no words of its own
    /// (the router's 404 and 405, for instance).
    pub(crate) fn of_bare(status: StatusCode, path: &str) -> Problem {
        match status {
            StatusCode::NOT_FOUND => Problem::new(
                status,
                "no_such_route",
                format!("nothing lives at {path}; GET / lists what there is"),
            ),
            StatusCode::METHOD_NOT_ALLOWED => Problem::new(
                status,
                "method_not_allowed",
                format!("{path} does not take this method; the header allow lists those it takes"),
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(status, "body_too_large", "the request body is too large")
            }
            _ if status.is_server_error() => Problem::internal(),
            _ => Problem::new(
                status,
                "bad_request",
                status.canonical_reason().unwrap_or("bad request"),
            ),
        }
    }

    /// Our own fault. The sentence names nothing of the inside; the log has it under the request id.
    pub(crate) fn internal() -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something broke on our side; the server's log has the details under this request_id",
        )
    }

    /// The response, with the request id inside. `base` keeps headers that were already set (`Allow`).
    pub(crate) fn render(self, request_id: &str, mut base: HeaderMap) -> Response {
        let body = ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: &self.code,
            detail: &self.detail,
            pointer: self.pointer.as_deref(),
            request_id,
        };
        let json = serde_json::to_vec(&body).expect("strings and one number always serialize");
        base.remove(header::CONTENT_LENGTH);
        base.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        for (name, value) in self.headers {
            base.insert(name, value);
        }
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = self.status;
        *response.headers_mut() = base;
        response
    }
}

impl IntoResponse for Problem {
    /// An empty response that carries the problem; the shell renders it.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The wire form of a problem (RFC 9457).
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Always `about:blank`: the meaning is in `status` and `code`.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'a str,
    /// The status in words.
    #[schema(example = "Unprocessable Entity")]
    title: &'a str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// Stable code for programs.
    #[schema(example = "unknown_field")]
    code: &'a str,
    /// A sentence for people.
    #[schema(example = "unknown field `stepz`")]
    detail: &'a str,
    /// JSON pointer to the culprit in the body; for a query string `/` and the parameter's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/funnel/stepz")]
    pointer: Option<&'a str>,
    /// The id of this request, also in the header `x-request-id` and in the server's log.
    #[schema(example = "0199f2a0-7c3e-7e6b-8c55-3f0a4d1b2c3d")]
    request_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_500_says_nothing_of_the_inside() {
        let problem = Problem::of_bare(StatusCode::BAD_GATEWAY, "/x");
        assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(problem.code(), "internal");
    }
}
