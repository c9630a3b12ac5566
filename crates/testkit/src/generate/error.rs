//! What can go wrong when generating.

/// What can go wrong when generating.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An incident that cannot be read.
    #[error("incident `{given}`: {why}; expected e.g. xero:0.9..0.5@T+2d")]
    Incident {
        /// As given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// A configuration that cannot be generated.
    #[error("cannot generate that: {0}")]
    Config(String),
    /// Writing the messages failed.
    #[error("writing the generated messages failed")]
    Write(#[source] std::io::Error),
    /// Writing the truth failed.
    #[error("writing the truth failed")]
    WriteTruth(#[source] serde_json::Error),
}
