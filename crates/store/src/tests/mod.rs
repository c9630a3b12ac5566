//! Tests over real tables in temporary folders, read through real plans.

mod as_of;
mod builders;
mod commits;
mod compaction;
mod copying;
mod delta;
mod faults;
mod identity;
mod identity_law;
mod lab;
mod saved;
mod scans;
mod sql;
mod views;
