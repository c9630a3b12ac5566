//! The whole door over a real store, engine and local log in a temporary folder.

mod intake;
mod operations;
mod questions;
mod refusals;
mod tenants;
mod world;
