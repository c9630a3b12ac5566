//! GET /api/v1/success-rates: linked ÷ started, by any dimension, over time. A question in a query string.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use linkfunnel_model::{Condition, Interval, Range};
use linkfunnel_query::{Level, SuccessRatesAnswer, SuccessRatesQuestion};
use serde::Deserialize;

use crate::access::Caller;
use crate::app::App;
use crate::body::{StrictQuery, parse_json};
use crate::failure;
use crate::openapi::Refused;
use crate::problem::{Answer, Problem, ProblemBody};

/// What is asked.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Dimensions, comma-separated (`category`, `integration`, `attrs.plan`); none for the total only.
    by: Option<String>,
    /// Over time: `hour`, `day`, `week` or `month`.
    #[param(inline)]
    interval: Option<Interval>,
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
    let range = match (asked.from, asked.to) {
        (None, None) => None,
        (Some(from), Some(to)) => {
            let timezone = asked.timezone.clone().unwrap_or_else(|| "UTC".to_owned());
            Some(Range { from, to, timezone })
        }
        (None, Some(_)) => return Err(half_a_range("/from")),
        (Some(_), None) => return Err(half_a_range("/to")),
    };
    let filters: Vec<Condition> = match &asked.filters {
        None => Vec::new(),
        Some(json) => parse_json(json.as_bytes()).map_err(|problem| problem.below("/filters"))?,
    };
    let by = asked.by.as_deref().unwrap_or_default();
    Ok(SuccessRatesQuestion {
        by: by
            .split(',')
            .map(str::trim)
            .filter(|by| !by.is_empty())
            .map(str::to_owned)
            .collect(),
        interval: asked.interval,
        level: asked.level.unwrap_or_default(),
        timezone: asked.timezone.filter(|_| range.is_none()),
        range,
        funnel: asked.funnel,
        filters,
        limit: asked.limit,
        as_of: asked.as_of,
    })
}

fn half_a_range(missing: &'static str) -> Problem {
    let detail = "give both from and to, or neither (the last 30 days)";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "missing_field", detail).at(missing)
}

/// The engine's pointers, where they stand in the query string.
fn as_parameters(problem: Problem) -> Problem {
    let parameter = problem
        .pointer()
        .and_then(|at| at.strip_prefix("/range"))
        .map(str::to_owned);
    match parameter {
        Some(parameter) if !parameter.is_empty() => problem.at(parameter),
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_split_at_commas_and_the_zone_goes_with_the_range() {
        let text = |text: &str| Some(text.to_owned());
        let asked = Asked {
            by: text("category, integration,"),
            from: text("2026-01-01"),
            to: text("2026-02-01"),
            timezone: text("Europe/Paris"),
            ..Asked::default()
        };
        let question = question(asked).unwrap();
        assert_eq!(question.by, ["category", "integration"]);
        assert_eq!(question.range.unwrap().timezone, "Europe/Paris");
        assert_eq!(question.timezone, None);
    }

    #[test]
    fn half_a_range_and_broken_filters_are_refused_at_their_parameter() {
        let refused = |asked: Asked| {
            let problem = question(asked).unwrap_err();
            (
                problem.code().to_owned(),
                problem.pointer().unwrap_or_default().to_owned(),
            )
        };
        let half = Asked {
            from: Some("2026-01-01".into()),
            ..Asked::default()
        };
        assert_eq!(refused(half), ("missing_field".into(), "/to".into()));
        let half = Asked {
            to: Some("2026-01-01".into()),
            ..Asked::default()
        };
        assert_eq!(refused(half), ("missing_field".into(), "/from".into()));
        let filters = |json: &str| Asked {
            filters: Some(json.into()),
            ..Asked::default()
        };
        assert_eq!(
            refused(filters("[")),
            ("not_json".into(), "/filters".into())
        );
        let unknown = filters(r#"[{"field":"surface","op":"eq","valeu":1}]"#);
        assert_eq!(
            refused(unknown),
            ("unknown_field".into(), "/filters/0/valeu".into())
        );
    }
}
