//! Seeded link journeys with known truth: what the engine is shown, judged and demonstrated with.
//!
//! A [`Generator`] yields [`Delivery`] after `Delivery` in the order of arrival, with everything that real streams get wrong,
//! and keeps the [`Truth`]: what answers must say about them. Same config, same bytes. Memory holds only what is under way.
//!
//! How it works: a company is made from its number; it arrives, and means to link some categories at some times. When the time
//! of a journey has come, its course is drawn, then told as facts (`journey`), by the clocks of their senders (`fact`); facts
//! are written as messages (`encode`), copied, delayed and damaged (`stream`, `damage`), and counted (`account`, `book`).
//! Truth never looks at messages: it is taken from the facts by a plain scan of each subject (`naive`).

mod account;
mod book;
mod catalog;
mod company;
mod config;
mod course;
mod damage;
mod dice;
mod encode;
mod error;
mod fact;
mod files;
mod journey;
mod naive;
mod pending;
mod plan;
mod season;
mod stream;
mod truth;
mod what;

pub use config::{Carrier, Dirt, Experiment, GenerateConfig, Ids, Incident, Volume};
pub use error::Error;
pub use files::{write_ndjson, write_truth};
pub use stream::{Delivery, DeliveryKind, Generator};
pub use truth::{
    Counts, Delivered, EventsAndRows, FunnelTruth, Matured, StepName, Stored, TenantTruth, Truth,
};

#[cfg(test)]
mod from_messages;
#[cfg(test)]
mod tests;
