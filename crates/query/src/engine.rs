//! The engine: one store, limits per query, and what every kind of question shares.
//!
//! A query reads one view from start to end, in a session of its own with its own memory pool, so
//! that one greedy question fails alone. Dropping the future cancels the work.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use linkfunnel_funnel::TooManyHoldings;
use linkfunnel_model::{Clock, IdKind};
use linkfunnel_store::{DefinitionName, Error as StoreError, ReadView, SnapshotToken, Store};

use crate::answer::{Meta, Warning};
use crate::drivers::DriverLimit;
use crate::error::{Error, Result};
use crate::experiment::{Measurements, ValueLimit};
use crate::operator::{ChoiceLimit, SegmentLimit};
use crate::paths::PathLimit;
use crate::trend;

/// How an id is stored: tenant, kind, id → the pseudonym, or the id itself for kinds kept as they are.
pub type Pseudonym = Arc<dyn Fn(&str, IdKind, &str) -> String + Send + Sync>;

/// Limits of the engine.
#[derive(Clone)]
pub struct EngineOptions {
    /// Memory one query may take before it spills or fails, in bytes.
    pub query_memory_bytes: usize,
    /// Time a funnel question may take, in ms.
    pub timeout_ms: u64,
    /// Time an SQL question may take, in ms; a question may ask for less.
    pub sql_timeout_ms: u64,
    /// Rows an SQL answer may have; a question may ask for fewer.
    pub sql_max_rows: usize,
    /// Threads one query uses.
    pub target_partitions: usize,
    /// Where sorts and aggregates spill to; the system's temporary folder when absent.
    pub spill_dir: Option<PathBuf>,
    /// How ids in filters are turned into stored ones; absent: as they are.
    pub pseudonym: Option<Pseudonym>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            query_memory_bytes: 512 << 20,
            timeout_ms: 60_000,
            sql_timeout_ms: 30_000,
            sql_max_rows: 100_000,
            target_partitions: 2,
            spill_dir: None,
            pseudonym: None,
        }
    }
}

impl std::fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineOptions")
            .field("query_memory_bytes", &self.query_memory_bytes)
            .field("timeout_ms", &self.timeout_ms)
            .field("sql_timeout_ms", &self.sql_timeout_ms)
            .field("sql_max_rows", &self.sql_max_rows)
            .field("target_partitions", &self.target_partitions)
            .field("spill_dir", &self.spill_dir)
            .finish_non_exhaustive()
    }
}

/// Answers questions over one store. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) options: EngineOptions,
    pub(crate) clock: Clock,
    runtime: RuntimeEnv,
    queries: AtomicU64,
    /// What experiments measured, of views that may be asked of again.
    pub(crate) measured: Measurements,
}

/// One running question: its view, its session, its start.
pub(crate) struct Run {
    pub(crate) view: Arc<ReadView>,
    pub(crate) session: SessionContext,
    pub(crate) started_us: i64,
    pub(crate) query_id: String,
    /// The definition asked of, when the question names one.
    pub(crate) definition: Option<DefinitionName>,
    memory_bytes: usize,
}

impl Engine {
    /// An engine over `store`.
    ///
    /// # Errors
    /// When the spill folder cannot be used.
    pub fn new(store: Store, options: EngineOptions, clock: Clock) -> Result<Engine> {
        let mut builder = RuntimeEnvBuilder::new();
        if let Some(dir) = &options.spill_dir {
            builder = builder.with_temp_file_path(dir);
        }
        let runtime = builder.build().map_err(|e| Error::Run(Box::new(e)))?;
        let queries = AtomicU64::new(0);
        Ok(Engine {
            inner: Arc::new(Inner {
                store,
                options,
                clock,
                runtime,
                queries,
                measured: Measurements::default(),
            }),
        })
    }

    /// The store this engine reads.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The limits of this engine.
    pub fn options(&self) -> &EngineOptions {
        &self.inner.options
    }

    pub(crate) fn now_us(&self) -> i64 {
        (self.inner.clock)()
    }

    /// Opens the view that a question names, or the current one, in a session of its own.
    pub(crate) async fn start(&self, as_of: Option<&str>) -> Result<Run> {
        let inner = &self.inner;
        let started_us = self.now_us();
        let view = match as_of {
            None => inner.store.view(),
            Some(token) => self.view_as_of(token).await?,
        };
        let memory_bytes = inner.options.query_memory_bytes;
        let top = std::num::NonZeroUsize::new(3).expect("three is not zero");
        let pool = TrackConsumersPool::new(GreedyMemoryPool::new(memory_bytes), top);
        let runtime = RuntimeEnvBuilder::from_runtime_env(&inner.runtime)
            .with_memory_pool(Arc::new(pool))
            .build_arc()
            .map_err(|e| Error::Run(Box::new(e)))?;
        let config = SessionConfig::new()
            .with_target_partitions(inner.options.target_partitions.max(1))
            .with_information_schema(true);
        let number = inner.queries.fetch_add(1, Ordering::Relaxed);
        let query_id = format!("q-{:x}-{number:x}", started_us);
        let session = SessionContext::new_with_config_rt(config, runtime);
        Ok(Run {
            view,
            session,
            started_us,
            query_id,
            definition: None,
            memory_bytes,
        })
    }

    async fn view_as_of(&self, token: &str) -> Result<Arc<ReadView>> {
        let token = SnapshotToken::from_text(token);
        let view = self.inner.store.view_as_of(&token).await;
        view.map_err(token_error)
    }

    /// Runs `work` for at most `limit_ms`.
    pub(crate) async fn within<T>(
        &self,
        limit_ms: u64,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::time::timeout(Duration::from_millis(limit_ms), work)
            .await
            .unwrap_or(Err(Error::Timeout { limit_ms }))
    }

    /// Time since the question came, in ms.
    pub(crate) fn elapsed_ms(&self, run: &Run) -> f64 {
        ms(self.now_us() - run.started_us)
    }

    /// What every answer says about itself; the counts are filled in by the caller.
    pub(crate) fn meta(&self, run: &Run, to_us: i64) -> Result<Meta> {
        let utc = |us| trend::text(us, chrono_tz::Tz::UTC);
        let watermark = run.view.watermark_us;
        let mut warnings = Vec::new();
        if watermark.is_none() {
            warnings.push(Warning {
                code: "no_watermark".to_owned(),
                detail: "nothing has been ingested or imported yet, so no window counts as over"
                    .to_owned(),
            });
        }
        Ok(Meta {
            snapshot: run.token()?.to_string(),
            watermark: watermark.map(utc),
            complete_until: watermark.map(|w| utc(w.min(to_us))),
            events_scanned: 0,
            elapsed_ms: self.elapsed_ms(run),
            without_subject: 0,
            without_entry: 0,
            split_ids: 0,
            filtered_by_default: 0,
            warnings,
            query_id: run.query_id.clone(),
        })
    }
}

impl Run {
    /// A run over the same view in the same memory, with a session of its own: what is registered in this
    /// one's may hold it.
    pub(crate) fn beside(&self) -> Run {
        let config = self.session.copied_config();
        Run {
            view: Arc::clone(&self.view),
            session: SessionContext::new_with_config_rt(config, self.session.runtime_env()),
            started_us: self.started_us,
            query_id: self.query_id.clone(),
            definition: self.definition.clone(),
            memory_bytes: self.memory_bytes,
        }
    }

    /// The name of the view, and of the definition when the question named one.
    fn token(&self) -> Result<SnapshotToken> {
        let token = self.view.token();
        match &self.definition {
            Some(definition) => token.with_definition(definition).map_err(token_error),
            None => Ok(token),
        }
    }

    /// Turns an engine's failure into one of ours.
    pub(crate) fn error(&self, error: DataFusionError) -> Error {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Error::TooLarge {
                limit_bytes: self.memory_bytes,
                source: Box::new(error),
            },
            DataFusionError::External(inner) if inner.is::<Error>() => {
                match inner.downcast_ref().and_then(told_again) {
                    Some(ours) => ours,
                    None => Error::Run(Box::new(error)),
                }
            }
            DataFusionError::External(inner) if inner.is::<SegmentLimit>() => Error::refused(
                "too_many_segments",
                "/breakdown",
                format!(
                    "the breakdown has more than {} segments; filter, or take a coarser dimension",
                    crate::operator::MAX_SEGMENTS
                ),
            ),
            DataFusionError::External(inner) if inner.is::<ChoiceLimit>() => {
                Error::refused("too_many_choices", "/breakdown", inner.to_string())
            }
            DataFusionError::External(inner) if inner.is::<PathLimit>() => Error::refused(
                "too_many_paths",
                "/length",
                format!("{inner}; ask for shorter ones, or filter"),
            ),
            DataFusionError::External(inner) if inner.is::<DriverLimit>() => Error::refused(
                "too_many_drivers",
                "/dimensions",
                format!("{inner}; name fewer dimensions, or filter"),
            ),
            DataFusionError::External(inner) if inner.is::<ValueLimit>() => {
                Error::refused("values_too_large", "/definition/primary", inner.to_string())
            }
            DataFusionError::External(inner) if inner.is::<TooManyHoldings>() => Error::refused(
                "too_many_values_held",
                "/funnel/hold_constant",
                inner.to_string(),
            ),
            DataFusionError::External(inner) => match inner.downcast_ref() {
                Some(linkfunnel_store::Error::TooManyIds { limit_bytes }) => Error::TooLarge {
                    limit_bytes: *limit_bytes,
                    source: Box::new(error),
                },
                _ => Error::Run(Box::new(error)),
            },
            _ => Error::Run(Box::new(error)),
        }
    }
}

/// What is wrong with a snapshot token.
pub(crate) fn token_error(error: StoreError) -> Error {
    let detail = error.to_string();
    match error {
        StoreError::Gone { .. } => Error::Gone { detail },
        StoreError::Behind { .. } => Error::Behind { detail },
        StoreError::Token { .. } => Error::bad("bad_snapshot", "/as_of", detail),
        other => Error::Store(other),
    }
}

/// An error of ours that came through DataFusion, once more; `None` where its source must stay with it.
fn told_again(error: &Error) -> Option<Error> {
    match error {
        Error::Invalid {
            status,
            code,
            pointer,
            detail,
        } => Some(Error::Invalid {
            status: *status,
            code,
            pointer: pointer.clone(),
            detail: detail.clone(),
        }),
        Error::TooLarge {
            limit_bytes,
            source,
        } => Some(Error::TooLarge {
            limit_bytes: *limit_bytes,
            source: Box::new(DataFusionError::ResourcesExhausted(source.to_string())),
        }),
        Error::Timeout { limit_ms } => Some(Error::Timeout {
            limit_ms: *limit_ms,
        }),
        _ => None,
    }
}

/// µs as ms.
#[expect(clippy::cast_precision_loss, reason = "times fit 2^52 µs: 142 years")]
pub(crate) fn ms(us: i64) -> f64 {
    us as f64 / 1000.0
}
