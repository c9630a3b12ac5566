//! Funnel questions, the subjects behind their numbers, and the built-in definitions.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use linkfunnel_model::{FunnelQuestion, NamedFunnel, built_in_funnel, built_in_funnels, nearest};
use linkfunnel_query::{FunnelAnswer, SubjectsAnswer, SubjectsQuestion};
use serde::Serialize;

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictJson;
use crate::failure;
use crate::openapi::Refused;
use crate::problem::{Answer, Problem, ProblemBody};

/// Ask a funnel question.
#[utoipa::path(post, path = "/api/v1/funnels/query", operation_id = "query_funnel", tag = "questions", request_body = FunnelQuestion, responses(
    (status = 200, description = "The numbers", body = FunnelAnswer),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn query(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictJson(question): StrictJson<FunnelQuestion>,
) -> Answer<Json<FunnelAnswer>> {
    let answer = app.engine.funnel(&caller.tenant, question).await;
    answer.map(Json).map_err(failure::of_query)
}

/// The subjects behind a number: give the answer's `meta.snapshot` as `as_of`, and the list is as long
/// as the number.
#[utoipa::path(post, path = "/api/v1/funnels/subjects", operation_id = "list_subjects", tag = "questions", request_body = SubjectsQuestion, responses(
    (status = 200, description = "One page", body = SubjectsAnswer),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn subjects(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictJson(question): StrictJson<SubjectsQuestion>,
) -> Answer<Json<SubjectsAnswer>> {
    let answer = app.engine.subjects(&caller.tenant, question).await;
    answer.map(Json).map_err(failure::of_query)
}

/// The funnels there are.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Funnels {
    /// Every built-in funnel.
    funnels: Vec<NamedFunnel>,
    /// The page after; null, because all fit on this one.
    next_cursor: Option<String>,
}

/// The built-in funnels.
#[utoipa::path(get, path = "/api/v1/funnels", operation_id = "list_funnels", tag = "questions", responses(
    (status = 200, description = "All of them", body = Funnels),
    (status = "default", response = Refused),
))]
pub(crate) async fn list() -> Json<Funnels> {
    Json(Funnels {
        funnels: built_in_funnels(),
        next_cursor: None,
    })
}

/// One built-in funnel.
#[utoipa::path(get, path = "/api/v1/funnels/{id}", operation_id = "get_funnel", tag = "questions",
    params(("id" = String, Path, description = "Its id", example = "linking")),
    responses(
        (status = 200, description = "The definition", body = NamedFunnel),
        (status = 404, description = "No such funnel",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = "default", response = Refused),
    ))]
pub(crate) async fn one(Path(id): Path<String>) -> Answer<Json<NamedFunnel>> {
    built_in_funnel(&id).map(Json).ok_or_else(|| {
        let funnels = built_in_funnels();
        let near = nearest(&id, funnels.iter().map(|funnel| funnel.id.as_str()));
        let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        let detail = format!("there is no funnel {id:?}{hint}");
        Problem::new(StatusCode::NOT_FOUND, "unknown_funnel", detail)
    })
}
