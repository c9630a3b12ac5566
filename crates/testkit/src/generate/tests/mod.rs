//! The generator as a whole.

mod counts;
mod dirt;
mod efforts;
mod identity;
mod rates;
mod recount;
mod stream;

use std::collections::HashSet;

use linkfunnel_model::{Defaults, Event, Field, decode, event_key, root_key};

use super::dice::SECOND;
use super::*;

const NOON_US: i64 = 1_790_812_800 * SECOND;

fn config(journeys: u64) -> GenerateConfig {
    GenerateConfig {
        seed: 42,
        start_us: NOON_US,
        days: Some(10.0),
        volume: Volume::Journeys(journeys),
        dirt: Dirt::HEAVY,
        ..GenerateConfig::default()
    }
}

fn run(config: GenerateConfig) -> (Vec<Delivery>, Generator) {
    let mut generator = Generator::new(config).unwrap();
    let mut deliveries = Vec::new();
    for delivery in generator.by_ref() {
        deliveries.push(delivery);
    }
    (deliveries, generator)
}

fn truth_of(generator: &Generator) -> TenantTruth {
    generator.truth(None).unwrap().tenants["default"].clone()
}

fn linking(generator: &Generator) -> FunnelTruth {
    truth_of(generator).linking
}

/// The event of a valid message.
fn event_of(delivery: &Delivery) -> Option<Event<'_>> {
    let payload = delivery.payload.as_ref()?;
    decode(payload, &Defaults::default(), delivery.deliver_at_us).ok()
}

/// The events that count by default, each once.
fn visible(deliveries: &[Delivery]) -> Vec<Event<'_>> {
    let mut seen = HashSet::new();
    let mut events = Vec::new();
    for event in deliveries.iter().filter_map(event_of) {
        let human = matches!(event.text(Field::Traffic), None | Some("human"));
        let key = (
            root_key(&event),
            event.occurred_at_us(),
            event_key(&event, 0),
        );
        if seen.insert(key) && human && event.text(Field::Environment) == Some("live") {
            events.push(event);
        }
    }
    events
}
