//! What is delivered: the same again, in order, valid, within the time asked for.

use std::collections::{BTreeMap, HashMap, HashSet};

use linkfunnel_model::{Defaults, Field, IdKind, decode, event_key, root_key};

use super::{NOON_US, config, run};
use crate::generate::dice::{DAY, HOUR};
use crate::generate::*;

#[test]
fn the_same_seed_makes_the_same_bytes_and_another_seed_others() {
    let (one, _) = run(config(300));
    let (two, _) = run(config(300));
    assert!(one == two);
    let (three, _) = run(GenerateConfig {
        seed: 43,
        ..config(300)
    });
    assert!(one != three);
}

#[test]
fn deliveries_come_in_the_order_of_their_arrival() {
    let (deliveries, _) = run(config(2_000));
    assert!(deliveries.is_sorted_by_key(|delivery| delivery.deliver_at_us));
}

#[test]
fn every_valid_message_decodes_and_every_bad_one_is_refused_as_claimed() {
    for ids in [Ids::Full, Ids::Sparse] {
        let (deliveries, generator) = run(GenerateConfig {
            ids,
            ..config(3_000)
        });
        let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
        let (mut rows, mut dropped) = (0, 0);
        let mut events = HashSet::new();
        for delivery in &deliveries {
            let Some(payload) = &delivery.payload else {
                assert_eq!(delivery.what, DeliveryKind::Malformed("tombstone"));
                *refused.entry("tombstone").or_default() += 1;
                continue;
            };
            let shown = String::from_utf8_lossy(payload);
            match (
                decode(payload, &Defaults::default(), delivery.deliver_at_us),
                delivery.what,
            ) {
                (
                    Ok(event),
                    DeliveryKind::Event | DeliveryKind::Duplicate | DeliveryKind::Resend,
                ) => {
                    rows += 1;
                    dropped += event.dropped_fields().len() as u64;
                    assert!(
                        event
                            .attrs()
                            .iter()
                            .all(|(key, _)| !key.starts_with("raw.")),
                        "{shown}"
                    );
                    let key = (
                        root_key(&event),
                        event.occurred_at_us(),
                        event_key(&event, 0),
                    );
                    assert_eq!(
                        events.insert(key),
                        delivery.what == DeliveryKind::Event || !events.contains(&key)
                    );
                }
                (Err(refusal), what) => {
                    let claimed = match what {
                        DeliveryKind::Malformed(code) => code,
                        DeliveryKind::Denied => "consent_denied",
                        other => panic!("{other:?} refused: {refusal}: {shown}"),
                    };
                    assert_eq!(refusal.code, claimed, "{shown}");
                    *refused.entry(refusal.code).or_default() += 1;
                }
                (Ok(_), what) => panic!("{what:?} was taken: {shown}"),
            }
        }
        let delivered = generator.truth(None).unwrap().delivered;
        assert_eq!(delivered.messages, deliveries.len() as u64);
        assert_eq!(delivered.rows, rows);
        assert_eq!(delivered.events, events.len() as u64);
        let mut claimed = delivered.dead_letters.clone();
        claimed.extend(delivered.suppressed.clone());
        let refused: BTreeMap<String, u64> = refused
            .into_iter()
            .map(|(code, count)| (code.to_owned(), count))
            .collect();
        assert_eq!(claimed, refused);
        assert_eq!(delivered.messages, rows + refused.values().sum::<u64>());
        let truth = generator.truth(None).unwrap();
        let stored = &truth.tenants["default"].stored;
        assert_eq!(
            stored
                .dropped_fields
                .values()
                .map(|counts| counts.rows)
                .sum::<u64>(),
            dropped
        );
        assert!(
            stored.dropped_fields.len() >= 5,
            "{:?}",
            stored.dropped_fields
        );
    }
}

#[test]
fn every_sparse_event_leads_to_its_company_over_at_most_three_steps() {
    let clean = GenerateConfig {
        ids: Ids::Sparse,
        dirt: Dirt::NONE,
        ..config(800)
    };
    let (deliveries, _) = run(clean);
    let mut groups: Vec<Vec<(IdKind, String)>> = Vec::new();
    for delivery in &deliveries {
        let payload = delivery.payload.as_ref().unwrap();
        let event = decode(payload, &Defaults::default(), delivery.deliver_at_us).unwrap();
        let named = IdKind::ALL.iter().filter(|kind| **kind != IdKind::Session);
        groups.push(
            named
                .filter_map(|kind| event.text(kind.field()).map(|id| (*kind, id.to_owned())))
                .collect(),
        );
    }
    let mut known: HashSet<(IdKind, String)> = groups
        .iter()
        .flatten()
        .filter(|(kind, _)| *kind == IdKind::Company)
        .cloned()
        .collect();
    for _ in 0..3 {
        let next: Vec<_> = groups
            .iter()
            .filter(|ids| ids.iter().any(|id| known.contains(id)))
            .flatten()
            .cloned()
            .collect();
        known.extend(next);
    }
    assert!(groups.iter().flatten().all(|id| known.contains(id)));
    let nameless = groups
        .iter()
        .filter(|ids| ids.iter().all(|(kind, _)| *kind != IdKind::Company))
        .count();
    assert!(
        nameless * 2 > groups.len(),
        "{nameless} of {} name no company",
        groups.len()
    );
}

#[test]
fn a_target_in_events_is_met_too() {
    let asked = GenerateConfig {
        volume: Volume::Events(50_000),
        ..config(1)
    };
    let (_, generator) = run(asked);
    let events = generator.truth(None).unwrap().delivered.events;
    assert!((46_000..54_000).contains(&events), "{events}");
    let expected = generator.expected_deliveries().unwrap();
    assert!((48_000..62_000).contains(&expected), "{expected}");
}

#[test]
fn nothing_is_delivered_after_the_end_and_the_truth_knows() {
    let end_us = NOON_US + 2 * DAY;
    let (deliveries, generator) = run(GenerateConfig {
        end_us: Some(end_us),
        ..config(3_000)
    });
    assert!(
        deliveries
            .iter()
            .all(|delivery| delivery.deliver_at_us <= end_us)
    );
    let delivered = generator.truth(None).unwrap().delivered;
    assert_eq!(delivered.messages, deliveries.len() as u64);
}

#[test]
fn tenants_share_ids_but_not_truth() {
    let tenants = vec!["north".to_owned(), "south".to_owned()];
    let (deliveries, generator) = run(GenerateConfig {
        tenants,
        ..config(4_000)
    });
    let mut companies: HashMap<String, HashSet<String>> = HashMap::new();
    for delivery in deliveries.iter().filter(|d| d.what == DeliveryKind::Event) {
        let payload = delivery.payload.as_ref().unwrap();
        let event = decode(payload, &Defaults::default(), delivery.deliver_at_us).unwrap();
        assert_eq!(event.tenant(), &*delivery.tenant);
        let company = event.text(Field::CompanyId).unwrap().to_owned();
        companies
            .entry(company)
            .or_default()
            .insert(event.tenant().to_owned());
    }
    assert!(
        companies
            .values()
            .filter(|tenants| tenants.len() == 2)
            .count()
            > 100
    );
    let truth = generator.truth(None).unwrap();
    let rows: u64 = truth
        .tenants
        .values()
        .map(|tenant| tenant.stored.rows)
        .sum();
    assert_eq!(rows, truth.delivered.rows);
    let entered = |name: &str| truth.tenants[name].linking.total.entered;
    assert!(entered("north") > entered("south") && entered("south") > 500);
}

#[test]
fn a_file_has_a_line_for_every_message_and_its_truth_beside_it() {
    let mut generator = Generator::new(GenerateConfig {
        carrier: Carrier::File,
        ..config(1_000)
    })
    .unwrap();
    let mut file = Vec::new();
    let lines = write_ndjson(generator.by_ref(), &mut file).unwrap();
    let truth = generator.truth(None).unwrap();
    assert_eq!(lines, truth.delivered.messages);
    assert_eq!(
        file.iter().filter(|byte| **byte == b'\n').count() as u64,
        lines
    );
    let mut beside = Vec::new();
    write_truth(&truth, &mut beside).unwrap();
    assert!(serde_json::from_slice::<Truth>(&beside).unwrap() == truth);
}

#[test]
fn a_live_stream_reaches_its_rate_and_never_ends() {
    let mut generator = Generator::new(GenerateConfig::live(7, NOON_US, 50.0)).unwrap();
    assert_eq!(generator.expected_deliveries(), None);
    let mut in_second_hour = 0;
    for delivery in generator.by_ref() {
        let after_us = delivery.deliver_at_us - NOON_US;
        if after_us >= 2 * HOUR {
            break;
        }
        in_second_hour += u32::from(after_us >= HOUR);
    }
    let rate = f64::from(in_second_hour) / 3_600.0;
    assert!((40.0..65.0).contains(&rate), "{rate} events a second");
}

#[test]
fn what_cannot_be_generated_is_refused() {
    for wrong in [
        GenerateConfig {
            tenants: Vec::new(),
            ..config(1)
        },
        GenerateConfig {
            days: None,
            ..config(1)
        },
        GenerateConfig {
            days: Some(-1.0),
            ..config(1)
        },
        GenerateConfig {
            volume: Volume::EventsPerSecond(0.0),
            ..config(1)
        },
    ] {
        assert!(matches!(Generator::new(wrong), Err(Error::Config(_))));
    }
}
