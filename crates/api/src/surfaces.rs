//! GET /api/v1/success-rates/surfaces: embedding against sending a link, ready-made.

use axum::extract::State;
use axum::{Extension, Json};
use linkfunnel_query::{Level, SurfacesAnswer, SurfacesQuestion};
use serde::Deserialize;

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictQuery;
use crate::failure;
use crate::openapi::Refused;
use crate::parameters::{as_parameters, filters, range};
use crate::problem::{Answer, ProblemBody};

/// What is compared.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Whether each rate is also told without failures put down to the institution or the provider.
    controllable: Option<bool>,
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
    /// Token of the view to read; the current one when absent.
    as_of: Option<String>,
}

/// Does embedding the flow link more than sending a link?
///
/// The success rate of each surface; `embedded_sdk` and `own_ui_api` together against `portal_link` and
/// `hosted_page` together, with the difference and its 95 % interval.
#[utoipa::path(get, path = "/api/v1/success-rates/surfaces", tag = "questions", params(Asked), responses(
    (status = 200, description = "The rates and their difference", body = SurfacesAnswer),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn surfaces(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictQuery(asked): StrictQuery<Asked>,
) -> Answer<Json<SurfacesAnswer>> {
    let answer = app.engine.surfaces(&caller.tenant, question(asked)?).await;
    answer
        .map(Json)
        .map_err(|error| as_parameters(failure::of_query(error)))
}

fn question(asked: Asked) -> Answer<SurfacesQuestion> {
    let range = range(asked.from, asked.to, asked.timezone.as_deref())?;
    Ok(SurfacesQuestion {
        level: asked.level.unwrap_or_default(),
        timezone: asked.timezone.filter(|_| range.is_none()),
        range,
        funnel: asked.funnel,
        filters: filters(asked.filters.as_deref())?,
        controllable: asked.controllable.unwrap_or_default(),
        as_of: asked.as_of,
    })
}
