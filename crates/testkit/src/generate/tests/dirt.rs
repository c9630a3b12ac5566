//! What real streams get wrong is there, in its share.

use std::collections::{HashMap, HashSet};

use linkfunnel_model::Field;

use super::{config, event_of, run};
use crate::generate::dice::SECOND;
use crate::generate::*;

#[test]
fn dirt_is_there_in_its_shares() {
    let (deliveries, generator) = run(config(8_000));
    let delivered = generator.truth(None).unwrap().delivered;
    let events = delivered.events as f64;
    let share = |count: u64| count as f64 / events;
    assert!(
        (0.04..0.06).contains(&share(delivered.duplicates)),
        "{delivered:?}"
    );
    assert!(
        (0.02..0.04).contains(&share(delivered.resends)),
        "{delivered:?}"
    );
    assert!(
        (0.006..0.014).contains(&share(delivered.dead_letters.values().sum())),
        "{delivered:?}"
    );
    assert!(
        delivered.dead_letters.len() >= 11,
        "{:?}",
        delivered.dead_letters
    );
    assert!(
        delivered.suppressed.len() == 1,
        "{:?}",
        delivered.suppressed
    );
    let truth = generator.truth(None).unwrap();
    let filtered = &truth.tenants["default"].stored.filtered_by_default;
    assert_eq!(
        filtered.keys().collect::<Vec<_>>(),
        ["bot", "internal", "sandbox", "test"]
    );
    let late = deliveries
        .iter()
        .filter(|d| d.what == DeliveryKind::Resend)
        .count();
    assert!(late > 0);
}

#[test]
fn events_stand_at_the_same_instant_and_clocks_of_whole_seconds_exist() {
    let (deliveries, _) = run(config(1_000));
    let mut instants: HashMap<(String, i64), u32> = HashMap::new();
    let (mut whole, mut all) = (0, 0);
    for delivery in deliveries.iter().filter(|d| d.what == DeliveryKind::Event) {
        let event = event_of(delivery).unwrap();
        let Some(journey) = event.text(Field::JourneyId) else {
            continue;
        };
        *instants
            .entry((journey.to_owned(), event.occurred_at_us()))
            .or_default() += 1;
        whole += u32::from(event.occurred_at_us() % SECOND == 0);
        all += 1;
    }
    assert!(instants.values().filter(|count| **count > 1).count() > 100);
    assert!(whole * 5 > all && whole < all);
}

#[test]
fn every_planted_secret_is_in_some_message_and_in_the_list() {
    let (deliveries, generator) = run(config(2_000));
    let secrets = generator.planted_secrets();
    assert!(secrets.len() > 50);
    let text: Vec<u8> = deliveries
        .iter()
        .filter_map(|d| d.payload.clone())
        .flatten()
        .collect();
    let text = String::from_utf8_lossy(&text);
    for secret in secrets {
        assert!(text.contains(secret.as_str()), "{secret}");
    }
    for (marker, name) in [
        ("sk_live_", "token"),
        ("@example.com", "e-mail"),
        ("FR76", "iban"),
    ] {
        let listed: HashSet<&str> = secrets.iter().map(String::as_str).collect();
        for (place, _) in text.match_indices(marker) {
            let from = text[..place].rfind('"').map_or(0, |quote| quote + 1);
            let value: String = text[from..].chars().take_while(|c| *c != '"').collect();
            let known = listed.contains(value.as_str())
                || secrets
                    .iter()
                    .any(|s| value.contains(s.as_str()) || s.contains(&value));
            assert!(known, "a {name} that is not listed: {value}");
        }
    }
}
