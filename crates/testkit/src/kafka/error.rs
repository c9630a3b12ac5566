//! What can go wrong with a real Kafka in a test, with the brokers' own words where they help.

use std::error::Error as _;
use std::time::Duration;
use std::{fmt, io};

use rdkafka::error::KafkaError;

use super::jars::Skipped;

/// Why the cluster did not do what was asked of it.
#[derive(thiserror::Error)]
pub enum Error {
    /// Real Kafka cannot be had on this machine.
    #[error(transparent)]
    Skipped(#[from] Skipped),
    /// A file or a process could not be made or used.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Two ports of the loopback could not be found for a broker.
    #[error("no free port between {from} and {to}")]
    NoFreePort {
        /// First port tried.
        from: u16,
        /// Last port tried.
        to: u16,
    },
    /// A Kafka process ended with an error, or before it should.
    #[error("{what}; its log ends with:\n{log}")]
    Ended {
        /// Which process, and how.
        what: String,
        /// The last lines that it printed.
        log: String,
    },
    /// A condition did not come true.
    #[error("waited {} s in vain for {what}; the brokers' logs end with:\n{log}", within.as_secs())]
    NotInTime {
        /// The condition.
        what: &'static str,
        /// The limit.
        within: Duration,
        /// The last lines of the brokers' logs.
        log: String,
    },
    /// librdkafka refused, or had a refusal from the broker.
    #[error("{doing}")]
    Client {
        /// What was being done.
        doing: &'static str,
        /// librdkafka's answer.
        source: KafkaError,
    },
}

/// For a test that ends with `?`: the sentence, its sources and the brokers' lines as they are.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
