//! What can go wrong, in our words.

use std::error::Error as StdError;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text names no place that data can be kept in.
    #[error("cannot keep data in {location}: {reason}")]
    Location {
        /// The text as given.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk or quota is full.
    #[error("no space left in the storage while {doing}")]
    Full {
        /// What was being done.
        doing: &'static str,
        /// The storage's own words.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The storage failed or refused.
    #[error("the storage failed while {doing}")]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// The storage's own words.
        source: object_store::Error,
    },
    /// Delta Lake's library failed.
    #[error("delta lake failed while {doing}")]
    Delta {
        /// What was being done.
        doing: &'static str,
        /// The library's own words.
        source: Box<deltalake::DeltaTableError>,
    },
    /// A query plan failed.
    #[error("the scan failed while {doing}")]
    Scan {
        /// What was being done.
        doing: &'static str,
        /// The engine's own words.
        source: Box<datafusion::error::DataFusionError>,
    },
    /// A Parquet file could not be written or read.
    #[error("parquet failed while {doing}")]
    Parquet {
        /// What was being done.
        doing: &'static str,
        /// The library's own words.
        source: parquet::errors::ParquetError,
    },
    /// Arrow refused an operation.
    #[error("arrow failed while {doing}")]
    Arrow {
        /// What was being done.
        doing: &'static str,
        /// The library's own words.
        source: arrow::error::ArrowError,
    },
    /// The table at this place is not ours, or was changed in a way we cannot follow.
    #[error("this table cannot be used: {reason}")]
    Foreign {
        /// What we met.
        reason: String,
    },
    /// The asked-for view can no longer be shown.
    #[error("this view is gone: {reason}")]
    Gone {
        /// Why.
        reason: String,
    },
    /// The asked-for view holds rows that this process has not got yet (they are read again after a
    /// restart, or committed soon by another process): ask again shortly.
    #[error("this view is not here yet: {reason}")]
    Behind {
        /// What is missing.
        reason: String,
    },
    /// The text is no view token of this table.
    #[error("not a view token of this table: {reason}")]
    Token {
        /// What is wrong with it.
        reason: String,
    },
    /// A scan asks for a column that the table lacks.
    #[error("there is no column {column}")]
    UnknownColumn {
        /// The column.
        column: String,
    },
    /// A filter was to run before copies are dropped, on a column in which copies may differ.
    #[error("copies of an event may differ in {column}: filter on it after the scan")]
    UnsafeFilter {
        /// The column.
        column: String,
    },
    /// More ids than the limit allows stand together in the view.
    #[error("what ids lead to takes more than the {limit_bytes} bytes allowed")]
    TooManyIds {
        /// The limit, [`crate::StoreOptions::ways_bytes_limit`].
        limit_bytes: usize,
    },
    /// Other writers kept coming first.
    #[error("gave up after {attempts} attempts: {reason}")]
    Contended {
        /// How often it was tried.
        attempts: u32,
        /// What stood in the way.
        reason: String,
    },
    /// Another save under the same id came first; nothing was saved.
    #[error("another save of {id} came first")]
    Overtaken {
        /// The id.
        id: String,
    },
    /// A version, or what the tenant has saved, would be more than is kept.
    #[error("at most {most} {what} are kept")]
    SavedLimit {
        /// What there would be too many of.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// A segment cannot be committed as it stands.
    #[error("this segment cannot be committed: {reason}")]
    Segment {
        /// What is wrong with it.
        reason: String,
    },
}

/// Whether the storage said, anywhere in its chain of causes, that it is full.
fn is_full(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{QuotaExceeded, StorageFull};
            if matches!(io.kind(), StorageFull | QuotaExceeded) {
                return true;
            }
            if let Some(inner) = io.get_ref()
                && is_full(inner)
            {
                return true;
            }
        }
        next = cause.source();
    }
    false
}

/// Names what was being done when an error came up.
pub(crate) trait While<T> {
    fn when(self, doing: &'static str) -> Result<T>;
}

macro_rules! named {
    ($source:ty, |$doing:ident, $error:ident| $make:expr) => {
        impl<T> While<T> for Result<T, $source> {
            fn when(self, $doing: &'static str) -> Result<T> {
                self.map_err(|$error| {
                    if is_full(&$error) {
                        Error::Full {
                            doing: $doing,
                            source: Box::new($error),
                        }
                    } else {
                        $make
                    }
                })
            }
        }
    };
}

named!(object_store::Error, |doing, source| Error::Storage {
    doing,
    source
});
named!(deltalake::DeltaTableError, |doing, source| Error::Delta {
    doing,
    source: source.into()
});
named!(datafusion::error::DataFusionError, |doing, source| {
    Error::Scan {
        doing,
        source: source.into(),
    }
});
named!(parquet::errors::ParquetError, |doing, source| {
    Error::Parquet { doing, source }
});
named!(arrow::error::ArrowError, |doing, source| Error::Arrow {
    doing,
    source
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_however_deep_it_is_wrapped() {
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let wrapped = object_store::Error::Generic {
            store: "x",
            source: Box::new(io),
        };
        let result: Result<(), object_store::Error> = Err(wrapped);
        assert!(matches!(
            result.when("writing"),
            Err(Error::Full {
                doing: "writing",
                ..
            })
        ));
    }
}
