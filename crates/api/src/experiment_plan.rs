//! POST /api/v1/experiments/plan: how many units an experiment needs, and what the traffic can show.

use axum::extract::State;
use axum::{Extension, Json};
use linkfunnel_query::{ExperimentPlanAnswer, ExperimentPlanQuestion};

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictJson;
use crate::failure;
use crate::openapi::Refused;
use crate::problem::{Answer, ProblemBody};

/// How many units an experiment on a step's rate needs, how many days they take, and how small an effect so much traffic can
/// show; from a rate that is given or measured with a funnel.
#[utoipa::path(post, path = "/api/v1/experiments/plan", operation_id = "plan_experiment", tag = "questions", request_body = ExperimentPlanQuestion, responses(
    (status = 200, description = "The plan", body = ExperimentPlanAnswer),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn plan(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictJson(question): StrictJson<ExperimentPlanQuestion>,
) -> Answer<Json<ExperimentPlanAnswer>> {
    let answer = app.engine.plan_experiment(&caller.tenant, question).await;
    answer.map(Json).map_err(failure::of_query)
}
