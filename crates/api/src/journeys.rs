//! GET /api/v1/journeys/{id}: one subject's events, and how each of its entries went.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use linkfunnel_model::Subject;
use linkfunnel_query::{JourneyAnswer, JourneyQuestion};
use serde::Deserialize;

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictQuery;
use crate::failure;
use crate::openapi::Refused;
use crate::parameters::{as_parameters, range};
use crate::problem::{Answer, ProblemBody};

/// What is asked.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// What the id names: `journey` (unless said otherwise), `company`, `attempt`, …
    #[param(inline)]
    subject: Option<Subject>,
    /// Id of the funnel it is explained by; `linking` unless said otherwise.
    funnel: Option<String>,
    /// Entries begun from here: a date (midnight in `timezone`) or an RFC 3339 instant. With `to`, or neither: all of time.
    from: Option<String>,
    /// Entries begun before.
    to: Option<String>,
    /// IANA name of the zone of dates; UTC unless said otherwise.
    timezone: Option<String>,
    /// Events on a page: 1 to 1 000, as many unless said otherwise.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Token of the view to read; the current one when absent.
    as_of: Option<String>,
}

/// One journey (or company, attempt, …): every event, each once, in order of time, and why it is where it is.
#[utoipa::path(get, path = "/api/v1/journeys/{id}", operation_id = "get_journey", tag = "questions",
    params(("id" = String, Path, description = "The id, as events name it or as it is stored", example = "J-48213"), Asked),
    responses(
        (status = 200, description = "The subject, under each company that its id stands under", body = JourneyAnswer),
        (status = 404, description = "Nothing in the view has the id",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 410, description = "The view of `as_of` is gone",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = "default", response = Refused),
    ))]
pub(crate) async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    StrictQuery(asked): StrictQuery<Asked>,
) -> Answer<Json<JourneyAnswer>> {
    let answer = app
        .engine
        .journey(&caller.tenant, question(id, asked)?)
        .await;
    answer
        .map(Json)
        .map_err(|error| as_parameters(failure::of_query(error)))
}

fn question(id: String, asked: Asked) -> Answer<JourneyQuestion> {
    let range = range(asked.from, asked.to, asked.timezone.as_deref())?;
    let plain = JourneyQuestion::of(id);
    Ok(JourneyQuestion {
        subject: asked.subject.unwrap_or(plain.subject),
        funnel: asked.funnel.unwrap_or(plain.funnel),
        range,
        limit: asked.limit,
        cursor: asked.cursor,
        as_of: asked.as_of,
        id: plain.id,
    })
}
