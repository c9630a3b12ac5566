//! What can go wrong while taking events in. Bad events are no errors: they become rejects.

use std::path::PathBuf;

/// Why something could not be taken in, or could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds the local log.
    #[error("{path} is in use by another process")]
    InUse {
        /// The log's file.
        path: PathBuf,
    },
    /// The local log could not be read or written.
    #[error("the local log {path} failed")]
    Log {
        /// The log's file.
        path: PathBuf,
        /// What redb said.
        #[source]
        source: Box<redb::Error>,
    },
    /// The local log holds as many bytes as it may: nothing has been committed for a long time.
    #[error("the local log is full: {bytes} bytes wait to be committed to the table")]
    LogFull {
        /// Bytes that wait.
        bytes: u64,
    },
    /// The local log has been shut down.
    #[error("the local log is closed")]
    LogClosed,
    /// A key file could not be read or written.
    #[error("the key file {path} failed")]
    Keys {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A key file does not hold a key.
    #[error(
        "the key file {path} holds no key: one line `linkfunnel-key-1 <64 hex digits>` is expected"
    )]
    BadKey {
        /// The file.
        path: PathBuf,
    },
    /// More tenants than the vault makes keys for.
    #[error("no key for another tenant: the limit is {limit}")]
    TooManyTenants {
        /// The limit.
        limit: usize,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// Bytes that this tenant's key did not encrypt.
    #[error("these bytes were not encrypted with the tenant's key")]
    NotDecryptable,
    /// Kafka could not be reached or refused.
    #[error("Kafka: {what}")]
    Kafka {
        /// What was tried.
        what: String,
        /// What librdkafka said.
        #[source]
        source: Box<rdkafka::error::KafkaError>,
    },
    /// The table could not be read or written.
    #[error("the table failed")]
    Store(#[from] linkfunnel_store::Error),
    /// A file to import could not be read further.
    #[error("record {number} of the file could not be read")]
    Record {
        /// The record, from 0.
        number: i64,
        /// What the reader said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A metric could not be registered.
    #[error("a metric could not be registered")]
    Metrics(#[from] prometheus::Error),
    /// Reading the stream was ended for a reason that someone must look at.
    #[error("ingest stopped: {why}")]
    Stopped {
        /// The reason.
        why: String,
    },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Kafka said no while trying `what`.
    pub(crate) fn kafka(what: impl Into<String>, source: rdkafka::error::KafkaError) -> Self {
        Error::Kafka {
            what: what.into(),
            source: Box::new(source),
        }
    }

    /// The whole chain of causes in one line, for logs and status pages.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
