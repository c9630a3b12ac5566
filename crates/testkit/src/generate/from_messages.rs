//! The truth judged by another way to the same numbers: from the delivered bytes alone, decoded, copies dropped, grouped by ids.

use std::collections::{BTreeMap, HashMap, HashSet};

use linkfunnel_model::{Defaults, Event, Field, decode, event_key, root_key};

use super::dice::DAY;
use super::naive::{self, NaiveStep, Row, Told};
use super::tests::{config, run};
use super::*;

/// What a decoded event says, copies and hidden traffic left out.
fn visible(deliveries: &[Delivery]) -> Vec<Event<'_>> {
    let mut seen = HashSet::new();
    let mut events = Vec::new();
    for delivery in deliveries {
        let Some(payload) = &delivery.payload else {
            continue;
        };
        let Ok(event) = decode(payload, &Defaults::default(), delivery.deliver_at_us) else {
            continue;
        };
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

fn linking_row(event: &Event<'_>, integrations: &mut Vec<String>) -> Row {
    let step = match event.name() {
        "journey.started" | "attempt.opened" => Some(0),
        "provider.selected" => Some(1),
        "consent.granted" => Some(2),
        "credentials.submitted" | "handoff.started" => Some(3),
        "sca.passed" => Some(4),
        "connection.linked" => Some(5),
        _ => None,
    };
    let outcome = match event.name() {
        "file.uploaded" => Some(0),
        "manual.entered" => Some(1),
        "step.skipped" => Some(2),
        "journey.paused" | "journey.delegated" => Some(3),
        _ => None,
    };
    let integration = event.text(Field::IntegrationKey).map(|key| {
        let place = integrations.iter().position(|known| known == key);
        place.unwrap_or_else(|| {
            integrations.push(key.to_owned());
            integrations.len() - 1
        })
    });
    Row {
        at_us: event.occurred_at_us(),
        step,
        outcome,
        integration: integration.map(|place| u8::try_from(place).unwrap()),
    }
}

#[derive(Default)]
struct Tallies(BTreeMap<(String, String), Counts>);

impl Tallies {
    fn add(&mut self, field: &str, value: &str, told: &Told, steps: usize, outcomes: usize) {
        let key = (field.to_owned(), value.to_owned());
        let counts = self.0.entry(key).or_insert_with(|| Counts {
            reached: vec![0; steps],
            outcomes: vec![0; outcomes],
            ..Counts::default()
        });
        counts.entered += 1;
        counts.converted += u64::from(told.converted);
        counts.dropped += u64::from(!told.converted);
        for (step, reached) in counts.reached.iter_mut().enumerate() {
            *reached += u64::from(told.reached >> step & 1);
        }
        if let Some(outcome) = told.outcome {
            counts.outcomes[usize::from(outcome)] += 1;
        }
        counts.matured = Matured {
            entered: counts.entered,
            converted: counts.converted,
            reached: counts.reached.clone(),
        };
    }
}

fn told_as_tallies(truth: &FunnelTruth) -> BTreeMap<(String, String), Counts> {
    let mut all = BTreeMap::new();
    all.insert(("total".to_owned(), String::new()), truth.total.clone());
    for (field, values) in &truth.by {
        for (value, counts) in values {
            all.insert((field.clone(), value.clone()), counts.clone());
        }
    }
    all
}

const AT_ENTRY: &[(&str, Field)] = &[
    ("surface", Field::Surface),
    ("medium", Field::Medium),
    ("entry_point", Field::EntryPoint),
    ("use_case", Field::UseCase),
    ("country", Field::Country),
    ("locale", Field::Locale),
    ("device.class", Field::DeviceClass),
];

fn linking_from(events: &[Event<'_>]) -> BTreeMap<(String, String), Counts> {
    let mut journeys: HashMap<(i64, &str), Vec<&Event<'_>>> = HashMap::new();
    for event in events {
        if let Some(journey) = event.text(Field::JourneyId) {
            journeys
                .entry((root_key(event), journey))
                .or_default()
                .push(event);
        }
    }
    let mut integrations = Vec::new();
    let mut tallies = Tallies::default();
    for events in journeys.values() {
        let rows: Vec<Row> = events
            .iter()
            .map(|event| linking_row(event, &mut integrations))
            .collect();
        let Some(clock_us) = naive::clock(&rows) else {
            continue;
        };
        let told = naive::tell(naive::LINKING, DAY, clock_us, &rows, |_| true);
        let mut add = |field: &str, value: &str, told: &Told| {
            tallies.add(field, value, told, naive::LINKING.len(), 4);
        };
        add("total", "", &told);
        let entries: Vec<_> = events
            .iter()
            .zip(&rows)
            .filter(|(_, row)| row.at_us == clock_us && row.step == Some(0))
            .map(|(event, _)| event)
            .collect();
        for (field, of) in AT_ENTRY {
            let value = entries[0].text(*of);
            assert!(
                entries.iter().all(|entry| entry.text(*of) == value),
                "{field} would depend on the order inside an instant"
            );
            add(field, value.unwrap_or("(none)"), &told);
        }
        let variant = entries[0].experiments().first();
        add(
            "experiment",
            variant.map_or("(none)", |it| &it.variant),
            &told,
        );
        let inside =
            |event: &&&Event<'_>| (clock_us..=clock_us + DAY).contains(&event.occurred_at_us());
        let category = events
            .iter()
            .filter(inside)
            .filter(|event| event.text(Field::Category).is_some())
            .min_by_key(|event| event.occurred_at_us());
        let category = category.and_then(|event| event.text(Field::Category));
        add("category", category.unwrap_or("(none)"), &told);
        let chosen: HashSet<&str> = events
            .iter()
            .filter(inside)
            .filter_map(|event| event.text(Field::IntegrationKey))
            .collect();
        let by_steps: HashSet<&str> = events
            .iter()
            .zip(&rows)
            .filter(|(event, row)| inside(event) && row.step.is_some())
            .filter_map(|(event, _)| event.text(Field::IntegrationKey))
            .collect();
        assert_eq!(chosen, by_steps, "both readings of `chosen` agree");
        if chosen.is_empty() {
            add("integration", "(before choice)", &told);
        }
        for key in chosen {
            let place = integrations.iter().position(|known| known == key).unwrap();
            let with = naive::tell(naive::LINKING, DAY, clock_us, &rows, |row| {
                row.integration
                    .is_none_or(|named| usize::from(named) == place)
            });
            add("integration", key, &with);
        }
    }
    tallies.0
}

#[test]
fn the_truth_of_linking_equals_what_the_messages_say() {
    for (seed, ids) in [(1, Ids::Full), (2, Ids::Full), (3, Ids::Sparse)] {
        let (deliveries, generator) = run(GenerateConfig {
            seed,
            ids,
            ..config(4_000)
        });
        let truth = generator.truth(None).unwrap();
        let tenant = &truth.tenants["default"];
        let told = tenant
            .linking_by_named_ids
            .as_ref()
            .unwrap_or(&tenant.linking);
        let found = linking_from(&visible(&deliveries));
        let told = told_as_tallies(told);
        for (key, counts) in &told {
            assert_eq!(found.get(key), Some(counts), "{key:?}");
        }
        assert_eq!(told.len(), found.len());
    }
}

#[test]
fn the_truth_of_a_stream_cut_off_equals_what_the_messages_say() {
    let cut = config(4_000);
    let (deliveries, generator) = run(GenerateConfig {
        end_us: Some(cut.start_us + 4 * DAY),
        ..cut
    });
    let truth = generator.truth(None).unwrap();
    let found = linking_from(&visible(&deliveries));
    assert_eq!(found, told_as_tallies(&truth.tenants["default"].linking));
}

#[test]
fn the_truth_of_first_link_equals_what_the_messages_say() {
    let (deliveries, generator) = run(config(5_000));
    let events = visible(&deliveries);
    let mut companies: HashMap<&str, Vec<Row>> = HashMap::new();
    for event in &events {
        let step = match event.name() {
            "visit.landed" => Some(0),
            "signup.completed" => Some(1),
            "cta.shown" => Some(2),
            "invite.sent" if event.text(Field::EntryPoint) == Some("welcome_email") => Some(2),
            "invite.clicked" | "cta.clicked" => Some(3),
            "journey.started" if event.text(Field::JourneyType) == Some("first_link") => Some(4),
            "connection.linked" => Some(5),
            "prefill.applied" => Some(6),
            "sync.initial_completed" => Some(7),
            _ => None,
        };
        let company = event.text(Field::CompanyId).unwrap();
        companies.entry(company).or_default().push(Row {
            at_us: event.occurred_at_us(),
            step,
            outcome: (event.name() == "file.uploaded").then_some(0),
            integration: None,
        });
    }
    let steps: &[NaiveStep] = naive::FIRST_LINK;
    let mut tallies = Tallies::default();
    for rows in companies.values() {
        if let Some(clock_us) = naive::clock(rows) {
            let told = naive::tell(steps, 7 * DAY, clock_us, rows, |_| true);
            tallies.add("total", "", &told, steps.len(), 1);
        }
    }
    let truth = generator.truth(None).unwrap();
    let first = truth.tenants["default"].first_link.as_ref().unwrap();
    assert_eq!(tallies.0.values().next(), Some(&first.total));
}

#[test]
fn the_table_counts_equal_what_the_messages_say() {
    let (deliveries, generator) = run(config(3_000));
    let mut events: HashMap<(i64, i64, i64), Option<String>> = HashMap::new();
    let mut rows: BTreeMap<String, EventsAndRows> = BTreeMap::new();
    let mut linked: BTreeMap<String, u64> = BTreeMap::new();
    let (mut without, mut without_in_linking) = (0, 0);
    for delivery in &deliveries {
        let payload = delivery.payload.as_deref().unwrap_or(b"");
        let Ok(event) = decode(payload, &Defaults::default(), delivery.deliver_at_us) else {
            continue;
        };
        let why = match (event.text(Field::Environment), event.text(Field::Traffic)) {
            (Some("sandbox"), _) => Some("sandbox"),
            (_, Some("human") | None) => None,
            (_, why) => why,
        };
        let key = (
            root_key(&event),
            event.occurred_at_us(),
            event_key(&event, 0),
        );
        let fresh = events.insert(key, why.map(str::to_owned)).is_none();
        match why {
            Some(why) => {
                let counts = rows.entry(why.to_owned()).or_default();
                counts.rows += 1;
                counts.events += u64::from(fresh);
            }
            None if fresh => {
                if event.name() == "connection.linked" {
                    let day = super::encode::date(event.occurred_at_us().div_euclid(DAY));
                    *linked.entry(day).or_default() += 1;
                }
                if event.text(Field::JourneyId).is_none() {
                    without += 1;
                    let row = linking_row(&event, &mut Vec::new());
                    without_in_linking += u64::from(row.step.is_some() || row.outcome.is_some());
                }
            }
            None => {}
        }
    }
    let truth = generator.truth(None).unwrap();
    let stored = &truth.tenants["default"].stored;
    assert_eq!(stored.events, events.len() as u64);
    assert_eq!(stored.filtered_by_default, rows);
    assert_eq!(stored.linked_per_day, linked);
    assert_eq!(stored.without_journey_id, without);
    assert_eq!(stored.without_journey_id_in_linking, without_in_linking);
    assert_eq!(
        without_in_linking, 0,
        "with full ids every step names its journey"
    );
}
