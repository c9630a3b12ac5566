//! What the routes of saved definitions share, whatever is defined: pages, versions, answers with tags.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use linkfunnel_query::{Saved, Tagged};
use serde::{Deserialize, Serialize};

use crate::etag::{Conditions, kept_as};

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// From the page before.
    pub(crate) cursor: Option<String>,
    /// Size of the page: 100 unless said otherwise, 1 000 at most.
    pub(crate) limit: Option<usize>,
}

/// Which version.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Number of an earlier version; the newest when absent.
    pub(crate) version: Option<u32>,
}

/// What was found, or that the client has it.
pub(crate) fn found<T: Serialize>(conditions: &Conditions, found: Tagged<T>) -> Response {
    let headers = kept_as(&found.tag, false);
    if conditions.has(&found.tag) || conditions.has_any() {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, Json(found.value)).into_response()
}

/// What was saved: 201 with its URL where there was none. `list`: the path that lists its kind.
pub(crate) fn saved<T: Serialize>(done: Saved, saved: Tagged<T>, list: &str, id: &str) -> Response {
    let headers = kept_as(&saved.tag, false);
    let body = Json(saved.value);
    match done {
        Saved::Created => {
            let location = HeaderValue::from_str(&format!("{list}/{id}"))
                .expect("an id that is saved under is plain ASCII");
            let location = [(header::LOCATION, location)];
            (StatusCode::CREATED, headers, location, body).into_response()
        }
        Saved::Changed | Saved::Unchanged => (headers, body).into_response(),
    }
}
