//! Alive, ready, caught up; the OpenAPI document; the list of URLs at `/`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::App;
use crate::problem::{Answer, Problem, ProblemBody};

/// One word on how it stands.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Status {
    /// `alive`, `ready` or `caught_up`.
    status: &'static str,
}

/// Whether the process lives. Says nothing about what it depends on.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()), responses(
    (status = 200, description = "It lives", body = Status),
))]
pub(crate) async fn healthz() -> Json<Status> {
    Json(Status { status: "alive" })
}

/// Whether it can take events and answer questions.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()), responses(
    (status = 200, description = "It can", body = Status),
    (status = 503, description = "Not now; the detail says why",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn readyz(State(app): State<App>) -> Answer<Json<Status>> {
    let readiness = (app.readiness)();
    refuse_unless_empty("not_ready", &readiness.not_ready)?;
    Ok(Json(Status { status: "ready" }))
}

/// Whether it is ready and has read everything its streams held when it started.
#[utoipa::path(get, path = "/readyz/caught-up", tag = "operations", security(()), responses(
    (status = 200, description = "It has", body = Status),
    (status = 503, description = "Not yet; the detail says what is behind",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn caught_up(State(app): State<App>) -> Answer<Json<Status>> {
    let readiness = (app.readiness)();
    refuse_unless_empty("not_ready", &readiness.not_ready)?;
    refuse_unless_empty("behind", &readiness.behind)?;
    Ok(Json(Status {
        status: "caught_up",
    }))
}

fn refuse_unless_empty(code: &'static str, reasons: &[String]) -> Answer<()> {
    if reasons.is_empty() {
        return Ok(());
    }
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, reasons.join("; "));
    Err(problem.with_header(header::RETRY_AFTER, "1"))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", security(()), responses(
    (status = 200, description = "OpenAPI 3.1", content_type = "application/json"),
))]
pub(crate) async fn openapi_json() -> Response {
    let json = crate::openapi::openapi_json();
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// What lives where, for the person who opens `/`.
const PLACES: [(&str, &str); 29] = [
    (
        "POST /api/v1/events",
        "send events: JSON array, one object, or NDJSON",
    ),
    ("POST /api/v1/funnels/query", "ask a funnel question"),
    (
        "POST /api/v1/funnels/subjects",
        "the subjects behind a number",
    ),
    ("GET /api/v1/funnels", "the funnels, built in and saved"),
    ("GET /api/v1/funnels/{id}", "one of them, with its history"),
    ("PUT /api/v1/funnels/{id}", "save one"),
    ("DELETE /api/v1/funnels/{id}", "delete one"),
    (
        "GET /api/v1/funnels/{id}/result",
        "its numbers, with an ETag",
    ),
    (
        "GET /api/v1/experiments",
        "the experiments that are defined",
    ),
    (
        "GET /api/v1/experiments/{id}",
        "one of them, with its history and what changed after its start",
    ),
    ("PUT /api/v1/experiments/{id}", "define one"),
    ("DELETE /api/v1/experiments/{id}", "delete one"),
    (
        "GET /api/v1/experiments/{id}/results",
        "what it shows, and what follows from it",
    ),
    (
        "POST /api/v1/experiments/plan",
        "how many units one needs, and what the traffic can show",
    ),
    (
        "GET /api/v1/journeys/{id}",
        "one journey: its events, and why it is where it is",
    ),
    (
        "POST /api/v1/funnels/paths",
        "what the dropped of a step did instead",
    ),
    ("POST /api/v1/funnels/drivers", "what goes with success"),
    (
        "GET /api/v1/effort",
        "clicks, time and steps back up to the link; what comes before the prompt",
    ),
    (
        "GET /api/v1/success-rates",
        "linked ÷ started by any dimension, over time",
    ),
    (
        "GET /api/v1/success-rates/surfaces",
        "embedding against sending a link",
    ),
    (
        "GET /api/v1/success-rates/never-succeeded",
        "what many chose and nobody linked with",
    ),
    (
        "POST /api/v1/sql",
        "read-only SQL over the views events, journeys, … and funnel('{…}')",
    ),
    (
        "GET /api/v1/dead-letters",
        "messages that could not be taken, and why",
    ),
    ("POST /api/v1/dead-letters/replay", "try them again"),
    ("GET /healthz", "alive"),
    ("GET /readyz", "can take events and answer"),
    ("GET /readyz/caught-up", "has read everything"),
    ("GET /metrics", "Prometheus text"),
    ("GET /openapi.json", "all of this, for programs"),
];

/// The list of URLs: HTML for browsers, plain text for others.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        let html = "text/html; charset=utf-8";
        return ([(header::CONTENT_TYPE, html)], index_html()).into_response();
    }
    let title = format!("linkfunnel {}\n\n", env!("CARGO_PKG_VERSION"));
    let lines = PLACES
        .iter()
        .map(|(place, what)| format!("{place:<43}{what}\n"));
    let text = "text/plain; charset=utf-8";
    let body: String = std::iter::once(title).chain(lines).collect();
    ([(header::CONTENT_TYPE, text)], body).into_response()
}

fn index_html() -> String {
    let mut rows = String::new();
    for (place, what) in PLACES {
        let linked = match place
            .strip_prefix("GET ")
            .filter(|path| !path.contains('{'))
        {
            Some(path) => format!("GET <a href=\"{path}\">{path}</a>"),
            None => place.to_owned(),
        };
        rows.push_str(&format!(
            "<tr><td><code>{linked}</code></td><td>{what}</td></tr>\n"
        ));
    }
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>linkfunnel</title></head>\n\
         <body><h1>linkfunnel {version}</h1>\n<table>\n{rows}</table></body></html>\n"
    )
}
