//! POST /api/v1/funnels/drivers: what goes with success.

use axum::extract::State;
use axum::{Extension, Json};
use linkfunnel_query::{DriversAnswer, DriversQuestion};

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictJson;
use crate::failure;
use crate::openapi::Refused;
use crate::problem::{Answer, ProblemBody};

/// What goes with success: by value of every dimension, and by event on the way, the conversion of those with it and of those
/// without, strongest first. Association, not cause.
#[utoipa::path(post, path = "/api/v1/funnels/drivers", operation_id = "drivers", tag = "questions", request_body = DriversQuestion, responses(
    (status = 200, description = "The rows", body = DriversAnswer),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn drivers(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictJson(question): StrictJson<DriversQuestion>,
) -> Answer<Json<DriversAnswer>> {
    let answer = app.engine.drivers(&caller.tenant, question).await;
    answer.map(Json).map_err(failure::of_query)
}
