//! A question in a query string: its range, its dimensions, its conditions, and where in the query
//! string a mistake in them stands.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use linkfunnel_model::{Attribution, Condition, Range};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as WordError, StrDeserializer};

use crate::body::parse_json;
use crate::problem::{Answer, Problem};

/// `from` and `to` in a zone (UTC unless said otherwise); nothing when both are absent.
pub(crate) fn range(
    from: Option<String>,
    to: Option<String>,
    timezone: Option<&str>,
) -> Answer<Option<Range>> {
    match (from, to) {
        (None, None) => Ok(None),
        (Some(from), Some(to)) => {
            let timezone = timezone.unwrap_or("UTC").to_owned();
            Ok(Some(Range { from, to, timezone }))
        }
        (None, Some(_)) => Err(half_a_range("/from")),
        (Some(_), None) => Err(half_a_range("/to")),
    }
}

fn half_a_range(missing: &'static str) -> Problem {
    let detail = "give both from and to, or neither";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "missing_field", detail).at(missing)
}

/// Words separated by commas.
pub(crate) fn words(list: Option<&str>) -> Vec<String> {
    let words = list.unwrap_or_default().split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Words separated by commas, each one of a few. `at`: the parameter.
pub(crate) fn known_words<T: DeserializeOwned>(list: Option<&str>, at: &str) -> Answer<Vec<T>> {
    let read = |word: String| {
        T::deserialize(StrDeserializer::<WordError>::new(&word)).map_err(|error| {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Problem::new(status, "unknown_value", error.to_string()).at(at)
        })
    };
    words(list).into_iter().map(read).collect()
}

/// `DIMENSION:HOW` separated by commas, each dimension one of `by`.
pub(crate) fn attributions(
    list: Option<&str>,
    by: &[String],
) -> Answer<BTreeMap<String, Attribution>> {
    let refused = |code: &'static str, detail: String| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail).at("/attribution")
    };
    let mut found = BTreeMap::new();
    for item in words(list) {
        let how = |name: &String| item.strip_prefix(name.as_str())?.strip_prefix(':');
        let Some((name, how)) = by.iter().find_map(|name| Some((name, how(name)?))) else {
            let detail = format!("{item:?} is no DIMENSION:HOW with a dimension of `by`");
            return Err(refused("not_a_dimension", detail));
        };
        let how = Attribution::deserialize(StrDeserializer::<WordError>::new(how))
            .map_err(|error| refused("unknown_value", error.to_string()))?;
        if found.insert(name.clone(), how).is_some() {
            let detail = format!("{name} is attributed twice");
            return Err(refused("duplicate_field", detail));
        }
    }
    Ok(found)
}

/// Conditions as JSON.
pub(crate) fn filters(json: Option<&str>) -> Answer<Vec<Condition>> {
    match json {
        None => Ok(Vec::new()),
        Some(json) => parse_json(json.as_bytes()).map_err(|problem| problem.below("/filters")),
    }
}

/// The engine's pointers, where they stand in the query string.
pub(crate) fn as_parameters(problem: Problem) -> Problem {
    if problem
        .pointer()
        .is_some_and(|at| at.starts_with("/attribution/"))
    {
        return problem.at("/attribution");
    }
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
    use linkfunnel_model::Include;

    use super::*;

    fn refused<T: std::fmt::Debug>(answer: Answer<T>) -> (String, String) {
        let problem = answer.unwrap_err();
        let pointer = problem.pointer().unwrap_or_default().to_owned();
        (problem.code().to_owned(), pointer)
    }

    #[test]
    fn a_range_has_both_ends_or_neither_and_takes_the_zone_along() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(range(None, None, Some("Mars")).unwrap(), None);
        let whole = range(text("2026-01-01"), text("2026-02-01"), Some("Europe/Paris"));
        assert_eq!(whole.unwrap().unwrap().timezone, "Europe/Paris");
        let missing = |at: &str| ("missing_field".to_owned(), at.to_owned());
        assert_eq!(refused(range(text("x"), None, None)), missing("/to"));
        assert_eq!(refused(range(None, text("x"), None)), missing("/from"));
    }

    #[test]
    fn lists_are_split_at_commas_and_words_of_a_few_are_checked() {
        assert_eq!(
            words(Some("category, integration,")),
            ["category", "integration"]
        );
        assert_eq!(words(None), [""; 0]);
        let known = known_words::<Include>(Some("time_to_convert"), "/include");
        assert_eq!(known.unwrap(), [Include::TimeToConvert]);
        let unknown = known_words::<Include>(Some("time_to_convert,x"), "/include");
        assert_eq!(
            refused(unknown),
            ("unknown_value".into(), "/include".into())
        );
    }

    #[test]
    fn attributions_name_a_dimension_of_by_and_how() {
        let by = ["category", "attrs.a:b", "integration"].map(str::to_owned);
        let read = |list| attributions(Some(list), &by);
        let found = read("category:last, attrs.a:b:entry,integration:step:2").unwrap();
        let found: Vec<String> = found
            .iter()
            .map(|(name, how)| format!("{name}={how}"))
            .collect();
        assert_eq!(
            found,
            ["attrs.a:b=entry", "category=last", "integration=step:2"]
        );
        for (list, code) in [
            ("surface:last", "not_a_dimension"),
            ("category", "not_a_dimension"),
            ("category:middle", "unknown_value"),
            ("category:step:0", "unknown_value"),
            ("category:last,category:first", "duplicate_field"),
        ] {
            assert_eq!(
                refused(read(list)),
                (code.into(), "/attribution".into()),
                "{list}"
            );
        }
    }

    #[test]
    fn broken_filters_are_refused_at_their_place() {
        assert_eq!(
            refused(filters(Some("["))),
            ("not_json".into(), "/filters".into())
        );
        let unknown = filters(Some(r#"[{"field":"surface","op":"eq","valeu":1}]"#));
        assert_eq!(
            refused(unknown),
            ("unknown_field".into(), "/filters/0/valeu".into())
        );
    }
}
