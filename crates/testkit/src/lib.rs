//! What linkfunnel is tested and demonstrated with: link journeys with known truth, an embedded broker, a real Kafka, storage that fails.

pub mod broker;
pub mod faults;
pub mod generate;
pub mod kafka;
