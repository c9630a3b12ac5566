//! POST /api/v1/sql: one read-only statement over the caller's rows, in the format of `Accept`.

use arrow::error::ArrowError;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use linkfunnel_query::{SqlAnswer, SqlQuestion};
use serde::Serialize;

use crate::access::Caller;
use crate::app::App;
use crate::body::StrictJson;
use crate::failure;
use crate::formats::{self, Format};
use crate::openapi::Refused;
use crate::problem::{Answer, Problem};

/// `true` when there were more rows than the limit; for formats that have no other place for it.
const TRUNCATED: HeaderName = HeaderName::from_static("linkfunnel-truncated");
/// The token of the view that was read; give it back as `as_of`.
const SNAPSHOT: HeaderName = HeaderName::from_static("linkfunnel-snapshot");

/// Rows as one JSON document.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SqlRows<'a> {
    /// The columns, in order.
    columns: Vec<SqlColumn>,
    /// One object a row; nulls are written out.
    #[schema(value_type = Vec<Object>)]
    rows: &'a serde_json::value::RawValue,
    /// How many rows there are here.
    row_count: usize,
    /// Whether there were more than the limit.
    truncated: bool,
    /// Where this comes from.
    meta: SqlMeta,
}

/// A column.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SqlColumn {
    /// Its name.
    name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    kind: String,
}

/// Where rows come from.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SqlMeta {
    /// Token of the view that was read; give it back as `as_of`.
    snapshot: String,
    /// Time it took, in ms.
    elapsed_ms: f64,
    /// Name of this run, for logs.
    query_id: String,
}

/// Ask in SQL: one SELECT over events, events_raw, journeys, attempts, funnel_steps_daily, rejects,
/// ingest_offsets, removed_rows and the table function funnel.
///
/// The answer is JSON, NDJSON, CSV (safe to open in a spreadsheet) or an Arrow stream, by Accept.
#[utoipa::path(post, path = "/api/v1/sql", tag = "questions", request_body = SqlQuestion, responses(
    (status = 200, description = "Rows", content(
        (SqlRows<'static> = "application/json"), (String = "application/x-ndjson"),
        (String = "text/csv"), (String = "application/vnd.apache.arrow.stream"))),
    (status = "default", response = Refused),
))]
pub(crate) async fn sql(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    StrictJson(question): StrictJson<SqlQuestion>,
) -> Answer<Response> {
    let format = Format::wanted(&headers)?;
    let answer = app
        .engine
        .sql(&caller.tenant, question)
        .await
        .map_err(failure::of_query)?;
    let body = encode(format, &answer).map_err(|error| {
        tracing::error!(%error, "rows not encoded");
        Problem::internal()
    })?;
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.media_type()),
    );
    let truncated = if answer.truncated { "true" } else { "false" };
    headers.insert(TRUNCATED, HeaderValue::from_static(truncated));
    if let Ok(token) = HeaderValue::from_str(&answer.snapshot) {
        headers.insert(SNAPSHOT, token);
    }
    Ok(response)
}

fn encode(format: Format, answer: &SqlAnswer) -> Result<Vec<u8>, ArrowError> {
    match format {
        Format::Json => json(answer),
        Format::Ndjson => formats::ndjson(&answer.batches),
        Format::Csv => formats::csv(&answer.schema, &answer.batches),
        Format::Arrow => formats::arrow_stream(&answer.schema, &answer.batches),
    }
}

fn json(answer: &SqlAnswer) -> Result<Vec<u8>, ArrowError> {
    let failed = |error: serde_json::Error| ArrowError::JsonError(error.to_string());
    let rows = formats::json_array(&answer.batches)?;
    let columns = answer.schema.fields().iter();
    let document = SqlRows {
        columns: columns
            .map(|f| SqlColumn {
                name: f.name().clone(),
                kind: f.data_type().to_string(),
            })
            .collect(),
        rows: serde_json::from_slice(&rows).map_err(failed)?,
        row_count: answer
            .batches
            .iter()
            .map(arrow::array::RecordBatch::num_rows)
            .sum(),
        truncated: answer.truncated,
        meta: SqlMeta {
            snapshot: answer.snapshot.clone(),
            elapsed_ms: answer.elapsed_ms,
            query_id: answer.query_id.clone(),
        },
    };
    serde_json::to_vec(&document).map_err(failed)
}
