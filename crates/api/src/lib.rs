//! The HTTP door of linkfunnel: wire types, routes, keys, problems, OpenAPI. The only crate that knows HTTP.
//!
//! Read [`router`] first: it is the whole map, one group of routes a scope. A request passes the shell
//! (request id, time limit, panics, problems), then the demand of its group (key, scope, tenant), then its
//! handler, which awaits the engine directly: a client that goes away drops the future, and the query ends.

mod access;
mod app;
mod body;
mod dead_letters;
mod definitions;
mod drivers;
mod effort;
mod etag;
mod events;
mod experiment_plan;
mod experiment_results;
mod experiments;
mod failure;
mod formats;
mod funnel_result;
mod funnels;
mod journeys;
mod keys;
mod metrics;
mod never_succeeded;
mod openapi;
mod operations;
mod parameters;
mod paths;
mod problem;
mod router;
mod shell;
mod sql;
mod success_rates;
mod surfaces;
#[cfg(test)]
mod tests;

pub use app::{App, Limits, Readiness};
pub use keys::{
    KeyEntry, Keys, KeysError, MAX_KEYS, OpenListen, Scope, TENANT_RULE, refuse_open_listen,
    valid_tenant,
};
pub use openapi::openapi_json;
pub use problem::Problem;
pub use router::router;
pub use shell::MAX_REQUEST_ID;
