//! GET /api/v1/funnels/{id}/result: the numbers of a built-in or saved funnel, for a client that
//! keeps them and asks whether they still hold.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use linkfunnel_model::{CompareWord, Interval};
use linkfunnel_query::{FunnelAnswer, ResultQuestion};
use serde::Deserialize;

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictQuery;
use crate::etag::{Conditions, kept_as};
use crate::failure;
use crate::openapi::Refused;
use crate::parameters::{as_parameters, filters, known_words, range, words};
use crate::problem::{Answer, ProblemBody};

/// What is asked of the funnel.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Start: a date (midnight in `timezone`) or an RFC 3339 instant. With `to`, or neither: the last
    /// 30 days of the calendar, today included.
    from: Option<String>,
    /// End, exclusive.
    to: Option<String>,
    /// IANA name of the zone of dates and intervals; UTC unless said otherwise.
    timezone: Option<String>,
    /// Dimensions, comma-separated (`category`, `integration`, `attrs.plan`); none for the total only.
    by: Option<String>,
    /// Most segments; the rest is `(other)`.
    limit: Option<usize>,
    /// Over time: `hour`, `day`, `week` or `month`.
    #[param(inline)]
    interval: Option<Interval>,
    /// The same over another range beside it: `previous_period` or `previous_year`.
    #[param(inline)]
    compare: Option<CompareWord>,
    /// Conditions as in a funnel question, as JSON: `[{"field":"surface","op":"eq","value":"hosted_page"}]`.
    filters: Option<String>,
    /// More to answer, comma-separated: `time_to_convert`.
    include: Option<String>,
    /// Token of the view to read; the current one when absent.
    as_of: Option<String>,
}

/// The result of a built-in or saved funnel. Its ETag stays the same as long as its numbers do: send it
/// back as `If-None-Match`, and 304 says that they still hold (`meta` is of when they were counted).
#[utoipa::path(get, path = "/api/v1/funnels/{id}/result", operation_id = "get_funnel_result", tag = "questions",
    params(
        ("id" = String, Path, description = "The funnel's id", example = "linking"),
        ("If-None-Match" = Option<String>, Header, description = "ETags of results the client has"),
        Asked,
    ),
    responses(
        (status = 200, description = "The numbers", body = FunnelAnswer, headers(
            ("ETag" = String, description = "Names the numbers"))),
        (status = 304, description = "The client has the numbers of now"),
        (status = 404, description = "No such funnel, or it was deleted",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 410, description = "The view of `as_of` is gone",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = "default", response = Refused),
    ))]
pub(crate) async fn result(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    StrictQuery(asked): StrictQuery<Asked>,
) -> Answer<Response> {
    let conditions = Conditions::of(&headers)?;
    let known = |tag: &str| conditions.has(tag);
    let question = question(id, asked)?;
    let result = app.engine.funnel_result(&caller.tenant, question, &known);
    let result = result
        .await
        .map_err(|error| as_parameters(failure::of_query(error)))?;
    let headers = kept_as(&result.tag, true);
    Ok(match result.value.filter(|_| !conditions.has_any()) {
        Some(answer) => (headers, Json(answer)).into_response(),
        None => (StatusCode::NOT_MODIFIED, headers).into_response(),
    })
}

fn question(id: String, asked: Asked) -> Answer<ResultQuestion> {
    Ok(ResultQuestion {
        funnel: id,
        range: range(asked.from, asked.to, asked.timezone.as_deref())?,
        timezone: asked.timezone,
        filters: filters(asked.filters.as_deref())?,
        by: words(asked.by.as_deref()),
        limit: asked.limit,
        interval: asked.interval,
        compare: asked.compare,
        include: known_words(asked.include.as_deref(), "/include")?,
        as_of: asked.as_of,
    })
}
