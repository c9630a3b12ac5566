//! GET /api/v1/success-rates/never-succeeded: what is chosen again and again and never linked with.

use axum::extract::State;
use axum::{Extension, Json};
use linkfunnel_query::{ChosenBy, Level, NeverSucceededAnswer, NeverSucceededQuestion};
use serde::Deserialize;

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictQuery;
use crate::failure;
use crate::openapi::Refused;
use crate::parameters::{as_parameters, filters, range};
use crate::problem::{Answer, ProblemBody};

/// What is asked.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Of integrations (unless said otherwise) or of providers.
    #[param(inline)]
    by: Option<ChosenBy>,
    /// Matured choices that it takes; 20 unless said otherwise.
    min_choices: Option<u64>,
    /// What is counted: `journey` (unless said otherwise), `company` or `attempt`.
    #[param(inline)]
    level: Option<Level>,
    /// Start: a date (midnight in `timezone`) or an RFC 3339 instant. With `to`, or neither: the last 30 days.
    from: Option<String>,
    /// End, exclusive.
    to: Option<String>,
    /// IANA name of the zone of dates; UTC unless said otherwise.
    timezone: Option<String>,
    /// The built-in funnel: `linking` (unless said otherwise), `linking_7d` or `linking_from_choice`.
    funnel: Option<String>,
    /// Conditions as in a funnel question, as JSON.
    filters: Option<String>,
    /// Size of the page: 100 unless said otherwise, at most 1 000.
    limit: Option<usize>,
    /// `next_cursor` of the page before, together with its `as_of`.
    cursor: Option<String>,
    /// Token of the view to read; the current one when absent.
    as_of: Option<String>,
}

/// Integrations that many chose and nobody linked with.
///
/// The most often chosen first. Everything in the range counts: one success takes an integration off the list.
#[utoipa::path(get, path = "/api/v1/success-rates/never-succeeded", tag = "questions", params(Asked), responses(
    (status = 200, description = "One page", body = NeverSucceededAnswer),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn never_succeeded(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictQuery(asked): StrictQuery<Asked>,
) -> Answer<Json<NeverSucceededAnswer>> {
    let answer = app
        .engine
        .never_succeeded(&caller.tenant, question(asked)?)
        .await;
    answer
        .map(Json)
        .map_err(|error| as_parameters(failure::of_query(error)))
}

fn question(asked: Asked) -> Answer<NeverSucceededQuestion> {
    let range = range(asked.from, asked.to, asked.timezone.as_deref())?;
    Ok(NeverSucceededQuestion {
        by: asked.by.unwrap_or_default(),
        min_choices: asked.min_choices,
        level: asked.level.unwrap_or_default(),
        timezone: asked.timezone.filter(|_| range.is_none()),
        range,
        funnel: asked.funnel,
        filters: filters(asked.filters.as_deref())?,
        limit: asked.limit,
        cursor: asked.cursor,
        as_of: asked.as_of,
    })
}
