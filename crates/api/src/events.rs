//! POST /api/v1/events: takes events in, one verdict each.
//!
//! The body is cut into events without building values: a JSON array by its elements' boundaries, NDJSON
//! by its lines; each piece goes to the intake as bytes. Sending the same events again does no harm.
//! A request that cannot be cut (not JSON at all, too many events) is refused whole and takes nothing in.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use linkfunnel_ingest::Verdict;
use linkfunnel_model::Refusal;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::access::Caller;
use crate::app::App;
use crate::body::{content_type, read_body, unsupported_media_type};
use crate::failure;
use crate::openapi::Refused;
use crate::problem::{Answer, Problem, ProblemBody};

const TAKEN: &str = "application/json, application/x-ndjson";

/// How the body is cut into events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A JSON array, or one object.
    Json,
    /// One event a line.
    Lines,
}

/// What became of the events of one request.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct Verdicts {
    /// Events taken in.
    accepted: u64,
    /// Events this server has already taken in (best effort; copies never change an answer).
    duplicates: u64,
    /// Events refused; each says why.
    rejected: u64,
    /// Events not kept because their analytics consent is denied; absent when there are none.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    suppressed: u64,
    /// One an event, in the order sent.
    results: Vec<EventVerdict>,
}

/// What became of one event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct EventVerdict {
    /// Its place in the request, from 0; blank lines are not counted.
    index: usize,
    /// What became of it.
    status: EventStatus,
    /// Why it was refused, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// JSON pointer to the culprit, beginning with the index unless one object was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Why it was refused, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// What became of one event, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventStatus {
    /// Taken in.
    Accepted,
    /// Already taken in before.
    Duplicate,
    /// Refused, and kept as a dead letter; fix it and send it again.
    Rejected,
    /// Not kept: analytics consent is denied.
    Suppressed,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if wants it"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Send events: a JSON array, one JSON object, or NDJSON. Idempotent: send again when in doubt.
///
/// What an event may leave out is filled in: `schema_version` 1.0, `environment` live, `source`
/// first_party_server, `tenant_id` from the key (without keys: from `Linkfunnel-Tenant`, else `default`).
/// The answer is 200 whatever the verdicts are; read them.
#[utoipa::path(post, path = "/api/v1/events", operation_id = "send_events", tag = "events",
    request_body(description = "Events as in schemas/event.schema.json", content(
        (serde_json::Value = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "One verdict an event", body = Verdicts),
        (status = 400, description = "The body cannot be cut into events; nothing was taken in",
        body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = "default", response = Refused),
    ))]
pub(crate) async fn events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Answer<Json<Verdicts>> {
    let shape = match content_type(request.headers()).as_deref() {
        Some("application/json") => Shape::Json,
        Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => Shape::Lines,
        _ => return Err(unsupported_media_type(TAKEN)),
    };
    let Some(intake) = &app.intake else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_intake",
            "this server takes no events in",
        ));
    };
    let body = read_body(request, &app).await?;
    let cut = cut(&body, shape, app.limits.events_per_request)?;
    let defaults = caller.defaults();
    let verdicts = intake
        .accept(&defaults, &cut.events)
        .await
        .map_err(failure::of_intake)?;
    Ok(Json(told(verdicts, cut.single)))
}

/// The events of one body.
#[derive(Debug, PartialEq, Eq)]
struct Cut<'a> {
    events: Vec<&'a [u8]>,
    /// Whether the body was one object, so that pointers begin at it.
    single: bool,
}

fn cut(body: &[u8], shape: Shape, limit: usize) -> Answer<Cut<'_>> {
    let trimmed = body.trim_ascii();
    if trimmed.is_empty() {
        let detail = "the body is empty; send at least one event";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "empty", detail));
    }
    let cut = match (shape, trimmed[0]) {
        (Shape::Json, b'[') => Cut {
            events: elements(body)?,
            single: false,
        },
        (Shape::Json, b'{') => Cut {
            events: vec![trimmed],
            single: true,
        },
        (Shape::Json, _) => {
            let detail = "a JSON array of events is expected, or one event as an object";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "not_json", detail));
        }
        (Shape::Lines, _) => {
            let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            // One more than the limit is enough to know that it is passed.
            let lines = lines
                .filter(|line| !line.is_empty())
                .take(limit.saturating_add(1));
            Cut {
                events: lines.collect(),
                single: false,
            }
        }
    };
    if cut.events.len() > limit {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_many_events",
            format!("more than {limit} events in one request; send them in several"),
        ));
    }
    Ok(cut)
}

/// The boundaries of an array's elements.
fn elements(body: &[u8]) -> Answer<Vec<&[u8]>> {
    let elements: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        let detail = format!("not a JSON array, so nothing was taken in: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "not_json", detail)
    })?;
    Ok(elements
        .into_iter()
        .map(|raw| raw.get().as_bytes())
        .collect())
}

/// Verdicts as they are told: counted, with pointers into the request.
fn told(verdicts: Vec<Verdict>, single: bool) -> Verdicts {
    let mut told = Verdicts::default();
    for (index, verdict) in verdicts.into_iter().enumerate() {
        let (status, refusal) = match verdict {
            Verdict::Accepted => (EventStatus::Accepted, None),
            Verdict::Duplicate => (EventStatus::Duplicate, None),
            Verdict::Rejected(refusal) if refusal.is_suppressed() => {
                (EventStatus::Suppressed, Some(refusal))
            }
            Verdict::Rejected(refusal) => (EventStatus::Rejected, Some(refusal)),
        };
        match status {
            EventStatus::Accepted => told.accepted += 1,
            EventStatus::Duplicate => told.duplicates += 1,
            EventStatus::Rejected => told.rejected += 1,
            EventStatus::Suppressed => told.suppressed += 1,
        }
        told.results.push(one(index, status, refusal, single));
    }
    told
}

fn one(index: usize, status: EventStatus, refusal: Option<Refusal>, single: bool) -> EventVerdict {
    let Some(refusal) = refusal else {
        return EventVerdict {
            index,
            status,
            code: None,
            pointer: None,
            detail: None,
        };
    };
    let pointer = match single {
        true => refusal.pointer,
        false => format!("/{index}{}", refusal.pointer),
    };
    EventVerdict {
        index,
        status,
        code: Some(refusal.code),
        pointer: Some(pointer),
        detail: Some(refusal.detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(body: &str, shape: Shape) -> Result<Vec<String>, String> {
        let cut = cut(body.as_bytes(), shape, 3).map_err(|p| p.code().to_owned())?;
        Ok(cut
            .events
            .iter()
            .map(|e| String::from_utf8_lossy(e).into_owned())
            .collect())
    }

    #[test]
    fn an_array_is_cut_at_its_elements_and_lines_at_their_ends() {
        let cut = pieces(r#" [ {"a":"]},{"} , [1] , 7 ] "#, Shape::Json);
        assert_eq!(
            cut,
            Ok(vec![r#"{"a":"]},{"}"#.into(), "[1]".into(), "7".into()])
        );
        assert_eq!(pieces("[]", Shape::Json), Ok(vec![]));
        assert_eq!(
            pieces(" {\"a\":1} ", Shape::Json),
            Ok(vec!["{\"a\":1}".into()])
        );
        let cut = pieces("{\"a\":1}\r\n\n  \nx\n", Shape::Lines);
        assert_eq!(cut, Ok(vec!["{\"a\":1}".into(), "x".into()]));
    }

    #[test]
    fn a_body_that_cannot_be_cut_is_refused_whole() {
        for (body, shape, code) in [
            ("", Shape::Json, "empty"),
            (" \n", Shape::Lines, "empty"),
            ("[{\"a\":1},]", Shape::Json, "not_json"),
            ("[1] x", Shape::Json, "not_json"),
            ("7", Shape::Json, "not_json"),
            ("[1,2,3,4]", Shape::Json, "too_many_events"),
            ("1\n2\n3\n4", Shape::Lines, "too_many_events"),
        ] {
            assert_eq!(pieces(body, shape), Err(code.into()), "{body}");
        }
        assert_eq!(pieces("[1,2,3]", Shape::Json).map(|p| p.len()), Ok(3));
    }

    #[test]
    fn pointers_begin_with_the_index_unless_one_object_was_sent() {
        let refusal = Refusal {
            code: "unknown_field",
            pointer: "/x".into(),
            detail: "d".into(),
        };
        let verdicts = || vec![Verdict::Accepted, Verdict::Rejected(refusal.clone())];
        let told_many = told(verdicts(), false);
        assert_eq!((told_many.accepted, told_many.rejected), (1, 1));
        assert_eq!(told_many.results[1].pointer.as_deref(), Some("/1/x"));
        let told_one = told(vec![Verdict::Rejected(refusal.clone())], true);
        assert_eq!(told_one.results[0].pointer.as_deref(), Some("/x"));
    }
}
