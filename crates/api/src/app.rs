//! What the HTTP door stands on, handed in by the binary: engine, intake, vault, keys, limits.

use std::sync::Arc;
use std::time::Duration;

use linkfunnel_ingest::{Intake, Vault};
use linkfunnel_query::Engine;

use crate::keys::Keys;

/// Everything the routes need. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Answers the questions.
    pub engine: Engine,
    /// Takes events in; none on a server that only answers.
    pub intake: Option<Arc<Intake>>,
    /// Opens dead letters, to show them redacted and to replay them.
    pub vault: Arc<Vault>,
    /// Who may ask; none means everybody (loopback only, see [`crate::refuse_open_listen`]).
    pub keys: Keys,
    /// What `/metrics` shows; the HTTP counters are added to it.
    pub metrics: prometheus::Registry,
    /// Whether `/metrics` needs no key.
    pub open_metrics: bool,
    /// How ready the parts are, asked at each probe; must answer at once.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// What one request may take.
    pub limits: Limits,
}

/// What one request may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest request body in bytes; larger ones get 413. Default 16 MiB.
    pub body_bytes: usize,
    /// Longest time a request may take, its body's upload included; then 503. Default 60 s.
    pub request_time: Duration,
    /// Most events in one request; more get 413. Default 50 000.
    pub events_per_request: usize,
    /// Questions answered at the same time; one more gets 429. Default 16.
    pub questions_at_once: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 16 * 1024 * 1024,
            request_time: Duration::from_secs(60),
            events_per_request: 50_000,
            questions_at_once: 16,
        }
    }
}

/// How ready the process is, as sentences; an empty list means yes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Why it cannot take events or answer.
    pub not_ready: Vec<String>,
    /// What it has not read yet, though it is ready (`stream …: 12 000 messages behind`).
    pub behind: Vec<String>,
}
