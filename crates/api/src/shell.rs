//! What surrounds every route: the request id, the time limit, panics, rendered problems, counters.
//!
//! Invariant: whatever happens inside, the answer carries `x-request-id`, and every status from 400 on
//! is `application/problem+json` with that id.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::Instrument;

use crate::access::refuse_strange_host;
use crate::app::App;
use crate::metrics::HttpMetrics;
use crate::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id taken over from the client.
pub const MAX_REQUEST_ID: usize = 128;

/// The id of one request: the client's when it is a plain word, else a fresh UUID (v7).
#[derive(Clone)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn of(headers: &HeaderMap) -> RequestId {
        let given = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        match given.filter(|id| is_plain(id)) {
            Some(id) => RequestId(id.into()),
            None => RequestId(uuid::Uuid::now_v7().to_string().into()),
        }
    }
}

/// Plain enough for logs and headers.
fn is_plain(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(allowed)
}

/// What the shell holds.
#[derive(Clone)]
pub(crate) struct Shell {
    pub(crate) app: App,
    pub(crate) metrics: HttpMetrics,
}

/// The outermost layer.
pub(crate) async fn shell(
    State(Shell { app, metrics }): State<Shell>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", id = %id.as_str(), %method, path);
    let started = Instant::now();
    let inner = match refuse_strange_host(&app, request.headers()) {
        Some(problem) => problem.into_response(),
        None => {
            guarded(app.limits.request_time, request, next)
                .instrument(span)
                .await
        }
    };
    let response = finish(inner, &id, &path);
    metrics.observe(route, &method, response.status(), started.elapsed());
    response
}

/// Runs the route; a panic and an overrun become problems. Dropping this future drops the route's,
/// and with it the query it awaits.
async fn guarded(limit: Duration, request: Request, next: Next) -> Response {
    let run = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(limit, run).await {
        Ok(Ok(response)) => {
            if response.status().is_server_error() {
                tracing::error!(status = response.status().as_u16(), "request failed");
            }
            response
        }
        Ok(Err(panic)) => {
            let said = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
            let said = said.unwrap_or_default();
            tracing::error!(panic = %said, "request panicked");
            Problem::internal().into_response()
        }
        Err(_) => {
            tracing::warn!(
                limit_ms = u64::try_from(limit.as_millis()).ok(),
                "request cut off"
            );
            overran(limit).into_response()
        }
    }
}

fn overran(limit: Duration) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "request_timeout",
        format!(
            "the request took longer than the {} s this server allows; ask for less at once. \
             Events of a request cut off may have been taken: sending them again does no harm",
            limit.as_secs_f64()
        ),
    )
}

fn finish(mut response: Response, id: &RequestId, path: &str) -> Response {
    let status = response.status();
    let problem = response.extensions_mut().remove::<Problem>();
    let problem = problem.or_else(|| {
        let bare = status.is_client_error() || status.is_server_error();
        bare.then(|| Problem::of_bare(status, path))
    });
    if let Some(problem) = problem {
        response = problem.render(id.as_str(), std::mem::take(response.headers_mut()));
    }
    let headers = response.headers_mut();
    let value = HeaderValue::from_str(id.as_str()).expect("request ids are plain ASCII");
    headers.insert(REQUEST_ID, value);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_request_id_is_kept_and_a_strange_one_replaced() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                REQUEST_ID,
                HeaderValue::from_bytes(text.as_bytes()).unwrap(),
            );
            RequestId::of(&headers).as_str().to_owned()
        };
        assert_eq!(of("abc-1.2_3:4"), "abc-1.2_3:4");
        let longest = "x".repeat(MAX_REQUEST_ID);
        assert_eq!(of(&longest), longest);
        for strange in ["", "a b", "é", "\"}", &"x".repeat(MAX_REQUEST_ID + 1)] {
            assert_ne!(of(strange), strange);
            assert_eq!(of(strange).len(), 36);
        }
    }
}
