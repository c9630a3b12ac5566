//! GET /api/v1/effort: what journeys took, held against what is advised. A question in a query string.

use axum::extract::State;
use axum::{Extension, Json};
use linkfunnel_query::{EffortAnswer, EffortQuestion};
use serde::Deserialize;

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictQuery;
use crate::failure;
use crate::openapi::Refused;
use crate::parameters::{as_parameters, filters, range, words};
use crate::problem::{Answer, ProblemBody};

/// What is asked.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EffortAsked {
    /// Dimensions, comma-separated (`category`, `device.class`, `attrs.plan`); none for the total only.
    by: Option<String>,
    /// Start: a date (midnight in `timezone`) or an RFC 3339 instant. With `to`, or neither: the last 30 days.
    from: Option<String>,
    /// End, exclusive.
    to: Option<String>,
    /// IANA name of the zone of dates; UTC unless said otherwise.
    timezone: Option<String>,
    /// The built-in funnel of the journeys: `linking` (unless said otherwise), `linking_7d` or `linking_from_choice`.
    funnel: Option<String>,
    /// Conditions as in a funnel question, as JSON: `[{"field":"surface","op":"eq","value":"hosted_page"}]`.
    filters: Option<String>,
    /// Most segments; the rest is `(other)`.
    limit: Option<usize>,
    /// Token of the view to read; the current one when absent.
    as_of: Option<String>,
}

/// What journeys took: clicks, active and idle time, steps back; and what companies did before the first prompt. By any
/// dimension, held against what is advised.
#[utoipa::path(get, path = "/api/v1/effort", tag = "questions", params(EffortAsked), responses(
    (status = 200, description = "The effort", body = EffortAnswer),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn effort(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictQuery(asked): StrictQuery<EffortAsked>,
) -> Answer<Json<EffortAnswer>> {
    let answer = app.engine.effort(&caller.tenant, question(asked)?).await;
    answer
        .map(Json)
        .map_err(|error| as_parameters(failure::of_query(error)))
}

fn question(asked: EffortAsked) -> Answer<EffortQuestion> {
    let range = range(asked.from, asked.to, asked.timezone.as_deref())?;
    Ok(EffortQuestion {
        by: words(asked.by.as_deref()),
        timezone: asked.timezone.filter(|_| range.is_none()),
        range,
        funnel: asked.funnel,
        filters: filters(asked.filters.as_deref())?,
        limit: asked.limit,
        as_of: asked.as_of,
    })
}
