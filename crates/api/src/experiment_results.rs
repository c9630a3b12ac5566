//! GET /api/v1/experiments/{id}/results: what an experiment shows, and what follows from it.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use linkfunnel_query::{ExperimentAnswer, ExperimentQuestion};
use serde::Deserialize;

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictQuery;
use crate::failure;
use crate::openapi::Refused;
use crate::parameters::as_parameters;
use crate::problem::{Answer, ProblemBody};

/// What is asked of an experiment.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Whether units count whose window still runs: rates are then so far.
    #[serde(default)]
    #[param(required = false)]
    include_open: bool,
    /// Token of the view to read; the current one when absent.
    as_of: Option<String>,
}

/// The results of an experiment by its newest definition, everything from one view: variants, lift with intervals, guardrails,
/// health, segments, time to convert, series by day, and a verdict in words with the rule that gave it. linkfunnel analyses
/// experiments, it does not assign.
#[utoipa::path(get, path = "/api/v1/experiments/{id}/results", operation_id = "get_experiment_results", tag = "questions",
    params(
        ("id" = String, Path, description = "The experiment's id, as events tell it", example = "short_consent"),
        Asked,
    ),
    responses(
        (status = 200, description = "The results", body = ExperimentAnswer),
        (status = 404, description = "No such experiment, or it was deleted",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 410, description = "The view of `as_of` is gone",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = "default", response = Refused),
    ))]
pub(crate) async fn results(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    StrictQuery(asked): StrictQuery<Asked>,
) -> Answer<Json<ExperimentAnswer>> {
    let question = ExperimentQuestion {
        id,
        include_open: asked.include_open,
        as_of: asked.as_of,
    };
    let answer = app.engine.experiment_results(&caller.tenant, question);
    let answer = answer
        .await
        .map_err(|error| as_parameters(failure::of_query(error)))?;
    Ok(Json(answer))
}
