//! GET /api/v1/success-rates: linked ÷ started, by any dimension, over time. A question in a query string.

use axum::extract::State;
use axum::{Extension, Json};
use linkfunnel_model::Interval;
use linkfunnel_query::{Level, SuccessRatesAnswer, SuccessRatesQuestion};
use serde::Deserialize;

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictQuery;
use crate::failure;
use crate::openapi::Refused;
use crate::parameters::{as_parameters, attributions, filters, range, words};
use crate::problem::{Answer, ProblemBody};

/// What is asked.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Dimensions, comma-separated (`category`, `integration`, `messaging.security`, `attrs.plan`,
    /// `experiments.ID`); none for the total only.
    by: Option<String>,
    /// Which of its values a subject stands under, where that is not the natural one:
    /// `DIMENSION:HOW`, comma-separated, each of `by`; HOW is `entry`, `first`, `last`, `each` or
    /// `step:N`.
    #[param(example = "category:last,integration:step:6")]
    attribution: Option<String>,
    /// Over time: `hour`, `day`, `week` or `month`.
    #[param(inline)]
    interval: Option<Interval>,
    /// Whether each rate is also told without failures put down to the institution or the provider.
    controllable: Option<bool>,
    /// What is counted: `journey` (unless said otherwise), `company` or `attempt`.
    #[param(inline)]
    level: Option<Level>,
    /// Start: a date (midnight in `timezone`) or an RFC 3339 instant. With `to`, or neither: the last 30 days.
    from: Option<String>,
    /// End, exclusive.
    to: Option<String>,
    /// IANA name of the zone of dates and intervals; UTC unless said otherwise.
    timezone: Option<String>,
    /// The built-in funnel: `linking` (unless said otherwise), `linking_7d` or `linking_from_choice`.
    funnel: Option<String>,
    /// Conditions as in a funnel question, as JSON: `[{"field":"surface","op":"eq","value":"hosted_page"}]`.
    filters: Option<String>,
    /// Most segments; the rest is `(other)`.
    limit: Option<usize>,
    /// Token of the view to read; the current one when absent.
    as_of: Option<String>,
}

/// Linked ÷ started by any dimension, over time.
#[utoipa::path(get, path = "/api/v1/success-rates", tag = "questions", params(Asked), responses(
    (status = 200, description = "The rates", body = SuccessRatesAnswer),
    (status = 410, description = "The view of `as_of` is gone",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
    (status = "default", response = Refused),
))]
pub(crate) async fn success_rates(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    StrictQuery(asked): StrictQuery<Asked>,
) -> Answer<Json<SuccessRatesAnswer>> {
    let answer = app
        .engine
        .success_rates(&caller.tenant, question(asked)?)
        .await;
    answer
        .map(Json)
        .map_err(|error| as_parameters(failure::of_query(error)))
}

fn question(asked: Asked) -> Answer<SuccessRatesQuestion> {
    let range = range(asked.from, asked.to, asked.timezone.as_deref())?;
    let by = words(asked.by.as_deref());
    Ok(SuccessRatesQuestion {
        attribution: attributions(asked.attribution.as_deref(), &by)?,
        by,
        interval: asked.interval,
        controllable: asked.controllable.unwrap_or_default(),
        level: asked.level.unwrap_or_default(),
        timezone: asked.timezone.filter(|_| range.is_none()),
        range,
        funnel: asked.funnel,
        filters: filters(asked.filters.as_deref())?,
        limit: asked.limit,
        as_of: asked.as_of,
    })
}
