//! Seeded link journeys with known truth: what the engine is shown, judged and demonstrated with.
//!
//! A [`Generator`] yields [`Delivery`] after `Delivery` in the order of arrival, with everything that real streams get wrong,
//! and keeps the [`Truth`]: what answers must say about them. Same config, same bytes. Memory holds only what is under way.
//!
//! How it works: a company is made from its number; it arrives, and means to link some categories and to pay some invoices at
//! some times. When the time of such a story has come, its course is drawn, then told as facts (`journey`, `bill`), by the
//! clocks of their senders (`fact`); facts are written as messages (`encode`), copied, delayed and damaged (`stream`, `damage`),
//! and counted (`account`, `book`, `effort`). What an event says under a dimension is decided in one place (`telling`).
//! Truth never looks at messages: it is taken from the facts by a plain scan of each subject (`naive`).

mod account;
mod bill;
mod book;
mod catalog;
mod company;
mod config;
mod course;
mod damage;
mod dice;
mod effort;
mod encode;
mod error;
mod fact;
mod files;
mod found;
mod funnels;
mod journey;
mod json;
mod naive;
mod pending;
mod plan;
mod season;
mod story;
mod stream;
mod telling;
mod truth;
mod what;

pub use config::{Carrier, Dirt, Experiment, GenerateConfig, Ids, Incident, MandatoryStep, Volume};
pub use effort::{Calls, EffortTruth, Prefill, Prompted, Prompts};
pub use error::Error;
pub use files::{write_ndjson, write_truth};
pub use stream::{Delivery, DeliveryKind, Generator};
pub use truth::{
    Counts, Delivered, EventsAndRows, FunnelTruth, Matured, StepName, Stored, TenantTruth, Truth,
};

#[cfg(test)]
mod tests;
