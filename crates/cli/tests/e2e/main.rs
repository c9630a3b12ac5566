//! End to end: the built program, as its users meet it. One binary, one module a story.

#![allow(clippy::unwrap_used, reason = "a test may fail at once")]

mod accounting;
mod answers;
mod brokers;
mod compare;
mod disk;
mod documents;
mod experiments;
mod exposures;
mod first_ten_minutes;
mod imported;
mod kills;
mod ledger;
mod program;
mod saved;
mod storage;
mod truth;
