//! What can go wrong with a question, in words that a client can act on.

use datafusion::error::DataFusionError;
use linkfunnel_model::{Mistake, NOT_JSON};

/// Why a question was not answered. `code` and `pointer` are stable: clients branch on them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The question itself is wrong: 400 when it cannot be read, 422 when it can but makes no
    /// sense or is not supported.
    #[error("{detail}")]
    Invalid {
        /// HTTP status that fits: 400 or 422; 404 for a funnel that was deleted.
        status: u16,
        /// Stable word for the kind of mistake, e.g. `unknown_field`.
        code: &'static str,
        /// JSON pointer to the culprit in the question, e.g. `/filters/0/field`.
        pointer: String,
        /// A sentence for a person.
        detail: String,
    },
    /// A definition's id does not allow this: 404 when there is none or it was deleted, 409 when it is
    /// built in or others kept saving it, 412 when it is not what the caller wants to change, 422
    /// when there would be too much of it.
    #[error("{detail}")]
    Definition {
        /// HTTP status that fits.
        status: u16,
        /// Stable word, e.g. `funnel_deleted`.
        code: &'static str,
        /// A sentence for a person.
        detail: String,
    },
    /// What is asked for is not in the view (404).
    #[error("{detail}")]
    Unknown {
        /// Stable word for what is unknown, e.g. `unknown_subject`.
        code: &'static str,
        /// A sentence for a person.
        detail: String,
    },
    /// The `as_of` token names a view that can no longer be read (410).
    #[error("{detail}")]
    Gone {
        /// Why it is gone.
        detail: String,
    },
    /// The `as_of` token names rows that this process has not read yet (503: ask again shortly).
    #[error("{detail}")]
    Behind {
        /// What is missing.
        detail: String,
    },
    /// The query needs more memory than it may take (422 `query_too_large`).
    #[error("the query needs more memory than the {limit_bytes} bytes it may take")]
    TooLarge {
        /// The limit in bytes: per query, or of what ids lead to.
        limit_bytes: usize,
        /// What was being allocated.
        #[source]
        source: Box<DataFusionError>,
    },
    /// The query ran longer than it may (`timeout`).
    #[error("the query ran longer than the {limit_ms} ms it may take")]
    Timeout {
        /// The limit in ms.
        limit_ms: u64,
    },
    /// The store could not be read.
    #[error("the store could not be read")]
    Store(#[source] linkfunnel_store::Error),
    /// The engine failed while running a plan.
    #[error("the query failed while running")]
    Run(#[source] Box<DataFusionError>),
    /// A promise between the parts was broken (a bug of ours).
    #[error("internal: {0}")]
    Internal(String),
}

impl From<linkfunnel_store::Error> for Error {
    fn from(error: linkfunnel_store::Error) -> Error {
        match error {
            linkfunnel_store::Error::TooManyIds { limit_bytes } => Error::TooLarge {
                limit_bytes,
                source: Box::new(DataFusionError::External(Box::new(error))),
            },
            other => Error::Store(other),
        }
    }
}

impl From<Mistake> for Error {
    /// Syntax of times, zones and JSON is 400; the rest can be read and is 422.
    fn from(mistake: Mistake) -> Error {
        let Mistake {
            code,
            pointer,
            detail,
        } = mistake;
        let status = if matches!(code, "bad_time" | "unknown_timezone") || NOT_JSON.contains(&code)
        {
            400
        } else {
            422
        };
        Error::Invalid {
            status,
            code,
            pointer,
            detail,
        }
    }
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A question that cannot be read (400).
    pub fn bad(code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> Error {
        Error::Invalid {
            status: 400,
            code,
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }

    /// A question that can be read and makes no sense or is not supported (422).
    pub fn refused(
        code: &'static str,
        pointer: impl Into<String>,
        detail: impl Into<String>,
    ) -> Error {
        Error::Invalid {
            status: 422,
            code,
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }

    /// The same with its pointer rewritten, where the question stood at another place than its caller sees.
    pub(crate) fn at(mut self, rewrite: impl FnOnce(&str) -> String) -> Error {
        if let Error::Invalid { pointer, .. } = &mut self {
            *pointer = rewrite(pointer);
        }
        self
    }

    /// The HTTP status that fits this error.
    pub fn status(&self) -> u16 {
        match self {
            Error::Invalid { status, .. } | Error::Definition { status, .. } => *status,
            Error::Unknown { .. } => 404,
            Error::Gone { .. } => 410,
            Error::TooLarge { .. } => 422,
            Error::Timeout { .. } | Error::Behind { .. } => 503,
            Error::Store(_) | Error::Run(_) | Error::Internal(_) => 500,
        }
    }

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Invalid { code, .. }
            | Error::Definition { code, .. }
            | Error::Unknown { code, .. } => code,
            Error::Gone { .. } => "snapshot_gone",
            Error::Behind { .. } => "snapshot_behind",
            Error::TooLarge { .. } => "query_too_large",
            Error::Timeout { .. } => "query_timeout",
            Error::Store(_) => "store_unavailable",
            Error::Run(_) | Error::Internal(_) => "internal",
        }
    }

    /// JSON pointer to the culprit in the question; empty when the question is not at fault.
    pub fn pointer(&self) -> &str {
        match self {
            Error::Invalid { pointer, .. } => pointer,
            Error::Gone { .. } | Error::Behind { .. } => "/as_of",
            _ => "",
        }
    }
}
