//! The whole door over a real store, engine and local log in a temporary folder.

mod analyses;
mod experiment_results;
mod experiments;
mod intake;
mod journeys;
mod operations;
mod planning;
mod questions;
mod rates;
mod refusals;
mod results;
mod saved;
mod tenants;
mod world;
