//! POST /api/v1/funnels/paths: what the dropped of a step did after it.

use axum::extract::State;
use axum::{Extension, Json};
use linkfunnel_query::{PathsAnswer, PathsQuestion};

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictJson;
use crate::failure;
use crate::openapi::Refused;
use crate::problem::{Answer, ProblemBody};

/// What those who dropped at a step did after it: the events up to the window's end, most frequent ways first. The counts
/// add up to the step's `dropped`.
#[utoipa::path(post, path = "/api/v1/funnels/paths", operation_id = "paths", tag = "questions", request_body = PathsQuestion, responses(
    (status = 200, description = "The ways", body = PathsAnswer),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn paths(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictJson(question): StrictJson<PathsQuestion>,
) -> Answer<Json<PathsAnswer>> {
    let answer = app.engine.paths(&caller.tenant, question).await;
    answer.map(Json).map_err(failure::of_query)
}
