//! What a funnel means, tested: scenarios a person can read, and laws against an exhaustive search.
//!
//! A longer run of the laws: `PROPTEST_CASES=1000000 cargo test --release -p linkfunnel-funnel --test funnel laws`.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod bounds;
mod clickhouse;
mod explain;
mod laws;
mod oracle;
mod orders;
mod scenarios;
mod table;
mod young;
