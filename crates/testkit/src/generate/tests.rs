//! The generator as a whole.

use std::collections::{BTreeMap, HashMap, HashSet};

use linkfunnel_model::{Defaults, Field, IdKind, built_in_funnel, decode, event_key, root_key};

use super::dice::{DAY, HOUR, SECOND};
use super::*;

const NOON_US: i64 = 1_790_812_800 * SECOND;

pub(super) fn config(journeys: u64) -> GenerateConfig {
    GenerateConfig {
        seed: 42,
        start_us: NOON_US,
        days: Some(10.0),
        volume: Volume::Journeys(journeys),
        dirt: Dirt::HEAVY,
        ..GenerateConfig::default()
    }
}

pub(super) fn run(config: GenerateConfig) -> (Vec<Delivery>, Generator) {
    let mut generator = Generator::new(config).unwrap();
    let mut deliveries = Vec::new();
    for delivery in generator.by_ref() {
        deliveries.push(delivery);
    }
    (deliveries, generator)
}

fn linking(generator: &Generator) -> FunnelTruth {
    generator.truth(None).unwrap().tenants["default"]
        .linking
        .clone()
}

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

fn sums(counts: &Counts) {
    assert_eq!(
        counts.entered,
        counts.converted + counts.dropped + counts.open
    );
    assert_eq!(counts.entered, counts.reached[0]);
    assert_eq!(counts.converted, counts.reached[5]);
    assert!(counts.reached[0] >= counts.reached[1]);
    assert!(counts.reached[1] >= counts.reached[3]);
    assert!(counts.reached[3] >= counts.reached[5]);
    assert!(counts.outcomes.iter().sum::<u64>() <= counts.dropped + counts.open);
    assert!(counts.matured.entered <= counts.entered);
}

#[test]
fn truth_adds_up_in_total_by_segment_and_by_day() {
    for ids in [Ids::Full, Ids::Sparse] {
        let (_, generator) = run(GenerateConfig {
            ids,
            ..config(4_000)
        });
        let truth = generator.truth(None).unwrap();
        let tenant = &truth.tenants["default"];
        for funnel in [Some(&tenant.linking), tenant.linking_by_named_ids.as_ref()]
            .into_iter()
            .flatten()
        {
            sums(&funnel.total);
            for (field, values) in &funnel.by {
                values.values().for_each(sums);
                let entered: u64 = values.values().map(|counts| counts.entered).sum();
                if field == "integration" {
                    assert!(entered > funnel.total.entered, "some choose two");
                } else {
                    assert_eq!(entered, funnel.total.entered, "{field}");
                }
            }
            let by_day: u64 = funnel.by_day.values().map(|counts| counts.converted).sum();
            assert_eq!(by_day, funnel.total.converted);
        }
    }
}

#[test]
fn sparse_and_full_streams_have_journeys_alike_but_fewer_are_found_by_named_ids() {
    let (_, generator) = run(GenerateConfig {
        ids: Ids::Sparse,
        ..config(4_000)
    });
    let truth = generator.truth(None).unwrap();
    let tenant = &truth.tenants["default"];
    let named = tenant.linking_by_named_ids.as_ref().unwrap();
    assert!(named.total.converted < tenant.linking.total.converted);
    let rate = tenant.linking.total.rate().unwrap();
    assert!((0.6..0.75).contains(&rate), "{rate}");
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
fn volumes_and_rates_are_about_the_ones_configured() {
    let quiet = GenerateConfig {
        dirt: Dirt::NONE,
        experiment: None,
        ..config(20_000)
    };
    let (deliveries, generator) = run(quiet);
    let truth = linking(&generator);
    assert!(
        (18_500..21_500).contains(&truth.total.entered),
        "{}",
        truth.total.entered
    );
    let per_journey = deliveries.len() as f64 / truth.total.entered as f64;
    assert!(
        (5.0..8.5).contains(&per_journey),
        "{per_journey} events a journey"
    );
    let rate = truth.total.rate().unwrap();
    assert!((0.66..0.74).contains(&rate), "{rate}");
    for (key, configured) in [
        ("xero", 0.88),
        ("quickbooks_online", 0.86),
        ("barclays", 0.79),
        ("sage50", 0.56),
    ] {
        let told = truth.by["integration"][key].rate().unwrap();
        assert!(
            (told - configured).abs() < 0.05,
            "{key}: {told}, configured {configured}"
        );
    }
    let surfaces = &truth.by["surface"];
    assert!(surfaces["embedded_sdk"].rate() > surfaces["hosted_page"].rate());
    assert!(surfaces["hosted_page"].rate() > surfaces["portal_link"].rate());
    assert!(truth.by["integration"].len() > 25 && truth.by["category"].len() > 4);
    assert!(
        truth.total.outcomes.iter().all(|count| *count > 20),
        "{:?}",
        truth.total.outcomes
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
fn the_experiment_has_its_lift() {
    let experiment = Some(Experiment {
        lift: 0.08,
        ..Experiment::default()
    });
    let (_, generator) = run(GenerateConfig {
        experiment,
        dirt: Dirt::NONE,
        ..config(30_000)
    });
    let by = &linking(&generator).by["experiment"];
    let lift = by["treatment"].rate().unwrap() - by["control"].rate().unwrap();
    assert!((0.055..0.105).contains(&lift), "{lift}");
    assert!(by["(none)"].entered > 0);
}

#[test]
fn an_incident_lowers_the_rate_of_its_integration_only() {
    let incident = Some(Incident::parse("xero:0.9..0.5@T+5d").unwrap());
    let quiet = GenerateConfig {
        incident,
        experiment: None,
        dirt: Dirt::NONE,
        ..config(30_000)
    };
    let rates = |generator: &Generator| {
        let by = &linking(generator).by["integration"];
        (
            by["xero"].rate().unwrap(),
            by["quickbooks_online"].rate().unwrap(),
        )
    };
    let (xero, other) = rates(&run(quiet.clone()).1);
    assert!((0.62..0.78).contains(&xero), "mean of 0.9 and 0.5: {xero}");
    assert!((0.81..0.91).contains(&other), "{other}");
    let before = GenerateConfig {
        end_us: Some(NOON_US + 5 * DAY),
        ..quiet
    };
    let (xero, _) = rates(&run(before).1);
    assert!((0.85..0.94).contains(&xero), "{xero}");
}

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
        let payload = delivery.payload.as_ref().unwrap();
        let event = decode(payload, &Defaults::default(), delivery.deliver_at_us).unwrap();
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

#[test]
fn open_journeys_follow_the_watermark() {
    let end_us = NOON_US + 3 * DAY;
    let (_, generator) = run(GenerateConfig {
        end_us: Some(end_us),
        season: false,
        ..config(9_000)
    });
    let at = |watermark_us| {
        generator.truth(watermark_us).unwrap().tenants["default"]
            .linking
            .total
            .clone()
    };
    let (now, later, over) = (at(Some(end_us)), at(Some(end_us + 12 * HOUR)), at(None));
    for counts in [&now, &later, &over] {
        sums(counts);
        assert_eq!(counts.entered, over.entered);
        assert_eq!(counts.converted, over.converted);
        assert_eq!(counts.reached, over.reached);
    }
    assert!(now.open > later.open && later.open > 0 && over.open == 0);
    assert_eq!(over.matured.entered, over.entered);
    assert!(
        generator.truth(Some(NOON_US + DAY)).is_none(),
        "records of that time are gone"
    );
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
fn some_link_after_a_pause_and_some_too_late() {
    let (deliveries, generator) = run(GenerateConfig {
        dirt: Dirt::NONE,
        ..config(20_000)
    });
    let truth = generator.truth(None).unwrap();
    let linked: u64 = truth.tenants["default"]
        .stored
        .linked_per_day
        .values()
        .sum();
    let converted = truth.tenants["default"].linking.total.converted;
    assert!(
        linked > converted,
        "{linked} linked, {converted} inside 24 hours"
    );
    let mut opened: HashMap<String, i64> = HashMap::new();
    let mut took: Vec<i64> = Vec::new();
    for delivery in &deliveries {
        let payload = delivery.payload.as_ref().unwrap();
        let event = decode(payload, &Defaults::default(), delivery.deliver_at_us).unwrap();
        let Some(journey) = event.text(Field::JourneyId) else {
            continue;
        };
        match event.name() {
            "journey.started" | "attempt.opened" => {
                opened
                    .entry(journey.to_owned())
                    .or_insert(event.occurred_at_us());
            }
            "connection.linked" => {
                took.extend(opened.get(journey).map(|at| event.occurred_at_us() - at))
            }
            _ => {}
        }
    }
    took.sort_unstable();
    let median_s = took[took.len() / 2] / SECOND;
    assert!((50..95).contains(&median_s), "median {median_s} s");
    assert!(took.iter().filter(|took| **took > HOUR).count() > 100);
}

#[test]
fn first_link_is_walked_by_companies_and_every_step_loses_some() {
    let (_, generator) = run(GenerateConfig {
        dirt: Dirt::NONE,
        ..config(10_000)
    });
    let truth = generator.truth(None).unwrap();
    let first = truth.tenants["default"].first_link.as_ref().unwrap();
    let reached = &first.total.reached;
    let required: Vec<u64> = [0, 1, 3, 4, 5, 7]
        .iter()
        .map(|step| reached[*step])
        .collect();
    assert!(
        required.windows(2).all(|pair| pair[0] > pair[1]),
        "{reached:?}"
    );
    assert!(reached[2] > 0 && reached[6] > 0);
    assert_eq!(first.total.converted, reached[7]);
    assert!(reached[7] * 20 > reached[0], "{reached:?}");
}

#[test]
fn built_in_funnels_have_the_steps_that_the_truth_names() {
    let (_, generator) = run(config(100));
    let truth = generator.truth(None).unwrap();
    let tenant = &truth.tenants["default"];
    for funnel in [&tenant.linking, tenant.first_link.as_ref().unwrap()] {
        let built_in = built_in_funnel(&funnel.funnel).unwrap().definition;
        let steps: Vec<StepName> = built_in
            .steps
            .iter()
            .map(|step| StepName {
                name: step.name.clone(),
                optional: step.optional,
            })
            .collect();
        assert_eq!(funnel.steps, steps);
        let outcomes: Vec<String> = built_in.outcomes.iter().map(|o| o.name.clone()).collect();
        assert_eq!(funnel.outcomes, outcomes);
        assert_eq!(funnel.window_us, built_in.window.us());
    }
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
