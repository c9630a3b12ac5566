//! What the inside could not do, told to the outside: each error of the engine and the intake as a problem.
//!
//! Faults of the question keep code, pointer and sentence. Our own faults go to the log whole, under the
//! request id, and out as `internal` or `store_unavailable` without a word of the inside.

use axum::http::{StatusCode, header};

use crate::problem::Problem;

/// A question the engine did not answer.
pub(crate) fn of_query(error: linkfunnel_query::Error) -> Problem {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        log("question not answered", &error);
        return Problem::internal();
    }
    let problem = Problem::new(status, error.code(), error.to_string());
    match &error {
        linkfunnel_query::Error::Invalid { pointer, .. } => problem.at(pointer.clone()),
        linkfunnel_query::Error::Gone { .. } => problem.at("/as_of"),
        _ => problem,
    }
}

/// Events the intake could not take.
pub(crate) fn of_intake(error: linkfunnel_ingest::Error) -> Problem {
    use linkfunnel_ingest::Error;
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let problem = match &error {
        Error::LogFull { .. } => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "intake_full",
            "more events are waiting to be stored than this server holds; send them again in a moment",
        ),
        Error::LogClosed => Problem::new(
            status,
            "shutting_down",
            "the server is stopping; send the events again when it is back",
        ),
        Error::Kafka { .. } => {
            log("events not produced", &error);
            Problem::new(
                status,
                "kafka_unavailable",
                "Kafka did not confirm the events; send them again, what was taken is not taken twice",
            )
        }
        Error::TooManyTenants { .. } => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "too_many_tenants",
            error.to_string(),
        ),
        Error::Log { .. } | Error::Store(_) => {
            log("events not stored", &error);
            Problem::new(
                status,
                "store_unavailable",
                "the events could not be written down; send them again, what was taken is not taken twice",
            )
        }
        _ => {
            log("events not taken", &error);
            return Problem::internal();
        }
    };
    problem.with_header(header::RETRY_AFTER, "1")
}

fn log(what: &'static str, error: &(dyn std::error::Error + 'static)) {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        chain.push_str(": ");
        chain.push_str(&inner.to_string());
        cause = inner.source();
    }
    tracing::error!(error = %chain, "{what}");
}
