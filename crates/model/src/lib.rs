//! What linkfunnel speaks of: events and their vocabulary, ids and keys, definitions of funnels and
//! questions about them. Pure: no I/O, no clock, no randomness.
//!
//! Start with [`Field`] (one table of all fields) and [`decode`] (the only checked way in).

mod bins;
mod builtin;
mod compare;
mod condition;
mod event;
mod experiment;
mod fields;
mod funnel;
mod identity;
mod json;
mod keys;
mod observe;
mod question;
mod redact;
mod saved;
mod schema;
mod strict;
mod window;

pub mod vocab;

pub use bins::MAX_EDGES;
pub use builtin::{all as built_in_funnels, find as built_in_funnel};
pub use compare::{Compare, CompareRange, CompareWord};
pub use condition::{
    Condition, FieldRef, MAX_CONDITIONS, MAX_DEPTH, MAX_VALUES, Mistake, Op, Predicate,
    check_conditions, check_predicates, limit,
};
pub use event::{Event, Experiment, Value, instant_text};
pub use experiment::{
    Better, CheckedExperiment, ExperimentContent, ExperimentDefinition, FamilyCorrection,
    GuardrailDefinition, LookMethod, MAX_EXPERIMENT_SEGMENTS, MAX_GUARDRAILS, MAX_LOOKS,
    MAX_PRIMARY, MAX_VARIANTS, Measure, MetricDefinition, RatioDefinition, TwoVariants,
    ValueDefinition, VariantDefinition, WEIGHTS_WITHIN, check_experiment_funnel,
};
pub use fields::{Field, FieldKind, IdKind, Moment, nearest};
pub use funnel::{
    Alternative, Entries, ExclusionDefinition, FunnelDefinition, MAX_ALTERNATIVES, MAX_EXCLUSIONS,
    MAX_HELD, MAX_IGNORED, MAX_OUTCOMES, MAX_STEPS, NamedFunnel, OnExclude, Order,
    OutcomeDefinition, Scope, StepDefinition, Subject, Ties,
};
pub use identity::{Found, Gatherer, Goal, LONGEST_WAY, Pairs, Ways};
pub use json::{
    Defaults, EARLIEST_US, MAX_ATTR_KEY_BYTES, MAX_ATTR_TEXT_BYTES, MAX_ATTRS, MAX_EXPERIMENTS,
    MAX_MESSAGE_BYTES, Refusal, decode,
};
pub use keys::{derived_journey_key, event_key, id_key, root, root_key};
pub use observe::can_show;
pub use question::{
    Attribution, Breakdown, CheckedQuestion, DEFAULT_SEGMENTS, FunnelQuestion, FunnelRef, Include,
    Interval, MAX_BUCKETS, MAX_DIMENSIONS, MAX_SEGMENTS, Range, Span, check_dimensions,
    day_start_us,
};
pub use redact::{MAX_REDACTED_CHARS, is_sensitive, looks_sensitive, redact};
pub use saved::{
    FunnelContent, MAX_FUNNEL_DESCRIPTION, MAX_FUNNEL_NAME, MAX_ID_CHARS, SAVED_ID_RULE, SavedId,
};
pub use schema::{event_schema, experiment_schema, funnel_schema};
pub use strict::{NOT_JSON, data_mistake, pointer_of, pointer_segment, read_strictly};
pub use vocab::EventName;
pub use window::{Length, MAX_LENGTH_US};

/// Tenant of events, keys and questions that name none.
pub const DEFAULT_TENANT: &str = "default";

/// A clock: µs since the epoch, UTC. Made in `cli`, handed to everybody else.
pub type Clock = std::sync::Arc<dyn Fn() -> i64 + Send + Sync>;
