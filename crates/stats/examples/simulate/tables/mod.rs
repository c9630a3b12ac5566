//! Experiments by the thousand, a table a file. Only the drawing of data is done here; statistics are the crate's.
//!
//! The tests under `tests/` run the same experiments and hold what must hold.

#![allow(
    dead_code,
    reason = "a test runs the experiments of some tables and writes none"
)]

#[path = "../../../tests/dice/mod.rs"]
pub(crate) mod dice;

pub(crate) mod arms;
pub(crate) mod companies;
pub(crate) mod coverage;
pub(crate) mod false_alarms;
pub(crate) mod family;
pub(crate) mod guardrails;
pub(crate) mod looking;
pub(crate) mod markdown;
pub(crate) mod power;
pub(crate) mod runs;
pub(crate) mod small_traffic;
pub(crate) mod split;
