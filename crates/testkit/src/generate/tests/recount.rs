//! The truth judged by another way to the same numbers: from the delivered bytes alone, decoded, copies dropped, grouped by
//! ids, matched by the built-in definitions.

use std::collections::{BTreeMap, HashMap, HashSet};

use linkfunnel_model::{
    Condition, Defaults, Event, EventName, Field, Moment, Op, Predicate, Subject, Value,
    built_in_funnel, can_show, decode, event_key, root_key,
};

use linkfunnel_model::vocab::Provider;

use super::identity::{Identity, Placed};
use super::{config, run, visible};
use crate::generate::dice::DAY;
use crate::generate::naive::{self, NaiveStep, Row, Told};
use crate::generate::*;

/// Counts by field and value; the total under an empty field, days under `day`.
type Tallies = BTreeMap<(String, String), Counts>;

/// A value as it is shown.
fn shown(event: &Event<'_>, field: &str) -> Option<String> {
    if field == "experiment" {
        return event.experiments().first().map(|it| it.variant.to_string());
    }
    event
        .get(Field::parse(field).unwrap())
        .map(|value| match value {
            Value::Int(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => event
                .text(Field::parse(field).unwrap())
                .expect("a text or word")
                .to_owned(),
        })
}

fn holds(event: &Event<'_>, condition: &Condition) -> bool {
    let value = shown(event, &condition.field);
    let words: Vec<&str> = match &condition.value {
        serde_json::Value::Array(values) => values.iter().filter_map(|v| v.as_str()).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let is_among = value.is_some_and(|value| words.contains(&value.as_str()));
    match condition.op {
        Op::Eq | Op::In => is_among,
        Op::Ne | Op::NotIn => !is_among,
        other => panic!("{other:?} is in no built-in funnel"),
    }
}

/// Groups Journey and Attempt of domain.md 3.3.
fn is_activity(name: &str) -> bool {
    let groups = [
        "journey",
        "step",
        "exit",
        "attempt",
        "provider",
        "handoff",
        "credentials",
        "sca",
        "account",
        "entity",
        "file",
        "manual",
    ];
    groups.contains(&name.split('.').next().unwrap_or(""))
        || [
            "consent.viewed",
            "consent.granted",
            "consent.denied",
            "connection.linked",
        ]
        .contains(&name)
}

/// One built-in funnel.
struct Recount {
    definition: linkfunnel_model::FunnelDefinition,
    steps: Vec<NaiveStep>,
    fields: Vec<String>,
    tallies: Tallies,
    without_entry: u64,
}

impl Recount {
    fn of(truth: &FunnelTruth, placed: &Placed<'_>) -> Self {
        let definition = built_in_funnel(&truth.funnel).unwrap().definition;
        let steps = definition.steps.iter().map(|step| NaiveStep {
            name: "",
            optional: step.optional,
            max_gap_us: step.max_gap.map(|gap| gap.us()),
        });
        let mut recount = Recount {
            steps: steps.collect(),
            definition,
            fields: truth.by.keys().cloned().collect(),
            tallies: Tallies::new(),
            without_entry: 0,
        };
        for events in placed.subjects(recount.definition.subject) {
            recount.subject(&events);
        }
        recount
    }

    fn row(&self, event: &Event<'_>) -> Row {
        let takes = |alternatives: Vec<linkfunnel_model::Alternative>| {
            alternatives.iter().any(|alternative| {
                alternative.event == event.name()
                    && alternative.conditions.iter().all(|it| match it {
                        Predicate::Is(condition) => holds(event, condition),
                        other => panic!("{other:?} is in no built-in funnel"),
                    })
            })
        };
        let mut steps = (0..)
            .zip(&self.definition.steps)
            .filter(|(_, step)| takes(step.alternatives()));
        let step = steps.next().map(|(at, _)| at);
        assert!(steps.next().is_none(), "{} takes two steps", event.name());
        let mut outcomes = (0..).zip(&self.definition.outcomes);
        Row {
            at_us: event.occurred_at_us(),
            step,
            outcome: outcomes
                .find(|(_, outcome)| takes(outcome.alternatives()))
                .map(|(at, _)| at),
            hides: self.hides(event),
        }
    }

    /// The steps, asking nothing of their events, that the provider an event names cannot show.
    fn hides(&self, event: &Event<'_>) -> u16 {
        let Some(provider) = event.text(Field::Provider).and_then(Provider::parse) else {
            return 0;
        };
        let unseen = |it: &linkfunnel_model::Alternative| {
            let event = EventName::parse(&it.event).unwrap();
            it.conditions.is_empty() && !can_show(provider, event)
        };
        let steps = self.definition.steps.iter().enumerate();
        let hidden = steps.filter(|(_, step)| step.alternatives().iter().all(unseen));
        hidden.fold(0, |mask, (at, _)| mask | 1 << at)
    }

    fn subject(&mut self, events: &[&Event<'_>]) {
        let rows: Vec<Row> = events.iter().map(|event| self.row(event)).collect();
        let Some(clock_us) = naive::clock(&rows) else {
            self.without_entry += u64::from(rows.iter().any(|row| row.step.is_some()));
            return;
        };
        let window_us = self.definition.window.us();
        let window = clock_us..=clock_us + window_us;
        let told = self.tell(events, &rows, clock_us);
        self.add("", "", &told);
        let day = crate::generate::json::date(clock_us.div_euclid(DAY));
        self.add("day", &day, &told);
        for field in self.fields.clone() {
            let moment = Field::parse(&field).map_or(Some(Moment::Entry), Field::moment);
            match moment.expect("a dimension") {
                Moment::Entry => {
                    let entries: Vec<&&Event<'_>> = events
                        .iter()
                        .zip(&rows)
                        .filter(|(_, row)| row.at_us == clock_us && row.step == Some(0))
                        .map(|(event, _)| event)
                        .collect();
                    let value = shown(entries[0], &field);
                    assert!(
                        entries.iter().all(|entry| shown(entry, &field) == value),
                        "{field} would depend on the order inside an instant"
                    );
                    self.add(&field, value.as_deref().unwrap_or("(none)"), &told);
                }
                Moment::FirstInWindow => {
                    let first = events
                        .iter()
                        .filter(|event| window.contains(&event.occurred_at_us()))
                        .filter_map(|event| Some((event.occurred_at_us(), shown(event, &field)?)))
                        .min();
                    let value = first.map_or("(none)".to_owned(), |(_, value)| value);
                    self.add(&field, &value, &told);
                }
                Moment::Chosen => self.chosen(&field, events, &rows, clock_us),
            }
        }
    }

    /// What the subject reached; by events that say the same as its entry of the fields held constant, or nothing. An outcome
    /// is not held to them.
    fn tell(&self, events: &[&Event<'_>], rows: &[Row], clock_us: i64) -> Told {
        let window_us = self.definition.window.us();
        let plain = naive::tell(&self.steps, window_us, clock_us, rows, |_| true);
        let held = &self.definition.hold_constant;
        if held.is_empty() {
            return plain;
        }
        let entry = (0..rows.len())
            .find(|at| rows[*at].at_us == clock_us && rows[*at].step == Some(0))
            .unwrap();
        let fits = |at: usize, field: &String| {
            let value = shown(events[at], field);
            value.is_none() || value == shown(events[entry], field)
        };
        let told = naive::tell(&self.steps, window_us, clock_us, rows, |at| {
            held.iter().all(|field| fits(at, field))
        });
        let outcomes = rows
            .iter()
            .filter(|row| (clock_us..=clock_us + window_us).contains(&row.at_us))
            .filter_map(|row| row.outcome);
        let outcome = outcomes.min().filter(|_| !told.converted);
        Told { outcome, ..told }
    }

    fn chosen(&mut self, field: &str, events: &[&Event<'_>], rows: &[Row], clock_us: i64) {
        let window_us = self.definition.window.us();
        let said: Vec<Option<String>> = events.iter().map(|event| shown(event, field)).collect();
        let values: HashSet<&String> = (0..events.len())
            .filter(|at| (clock_us..=clock_us + window_us).contains(&rows[*at].at_us))
            .filter(|at| rows[*at].step.is_some() || is_activity(events[*at].name()))
            .filter_map(|at| said[at].as_ref())
            .collect();
        let tell = |value: Option<&String>| {
            naive::tell(&self.steps, window_us, clock_us, rows, |at| {
                value.is_none() || said[at].is_none() || said[at].as_ref() == value
            })
        };
        // Under a value the subject enters by an event that fits it: the choice of another one is none.
        let enters = |value: &&&String| {
            let inside = |at: &usize| (clock_us..=clock_us + window_us).contains(&rows[*at].at_us);
            let fits = |at: usize| said[at].is_none() || said[at].as_ref() == Some(**value);
            (0..rows.len())
                .filter(inside)
                .any(|at| rows[at].step == Some(0) && fits(at))
        };
        let mut told: Vec<(String, Told)> = values
            .iter()
            .filter(enters)
            .map(|value| ((*value).clone(), tell(Some(value))))
            .collect();
        if values.is_empty() {
            told.push(("(before choice)".to_owned(), tell(None)));
        }
        for (value, told) in told {
            self.add(field, &value, &told);
        }
    }

    fn add(&mut self, field: &str, value: &str, told: &Told) {
        let key = (field.to_owned(), value.to_owned());
        let counts = self.tallies.entry(key).or_insert_with(|| Counts {
            reached: vec![0; self.definition.steps.len()],
            bypassed: vec![0; self.definition.steps.len()],
            outcomes: vec![0; self.definition.outcomes.len()],
            ..Counts::default()
        });
        counts.entered += 1;
        counts.converted += u64::from(told.converted);
        counts.dropped += u64::from(!told.converted);
        for (step, reached) in counts.reached.iter_mut().enumerate() {
            *reached += u64::from(told.reached >> step & 1);
        }
        for (step, bypassed) in counts.bypassed.iter_mut().enumerate() {
            *bypassed += u64::from(told.bypassed >> step & 1);
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

fn told_as_tallies(truth: &FunnelTruth) -> Tallies {
    let mut all = Tallies::new();
    if truth.total.entered > 0 {
        all.insert((String::new(), String::new()), truth.total.clone());
    }
    for (field, values) in &truth.by {
        for (value, counts) in values {
            all.insert((field.clone(), value.clone()), counts.clone());
        }
    }
    for (day, counts) in &truth.by_day {
        all.insert(("day".to_owned(), day.clone()), counts.clone());
    }
    all
}

/// Compares a truth with the messages; how many numbers that were.
fn check(truth: &FunnelTruth, placed: &Placed<'_>, how: &str) -> usize {
    let found = Recount::of(truth, placed);
    let told = told_as_tallies(truth);
    for (key, counts) in &told {
        let id = &truth.funnel;
        assert_eq!(found.tallies.get(key), Some(counts), "{id} {key:?}, {how}");
    }
    assert_eq!(told.len(), found.tallies.len(), "{}, {how}", truth.funnel);
    if let Some(without_entry) = truth.without_entry {
        let found = found.without_entry;
        assert_eq!(
            without_entry, found,
            "{} without entry, {how}",
            truth.funnel
        );
    }
    told.len() * (3 + 2 * truth.steps.len() + truth.outcomes.len())
}

fn subject(truth: &FunnelTruth) -> Subject {
    built_in_funnel(&truth.funnel).unwrap().definition.subject
}

fn funnels(tenant: &TenantTruth) -> Vec<&FunnelTruth> {
    [&tenant.linking, &tenant.first_link]
        .into_iter()
        .chain(tenant.funnels.values())
        .collect()
}

#[test]
fn the_truth_of_every_built_in_funnel_equals_what_the_messages_say() {
    for (seed, ids) in [(1, Ids::Full), (2, Ids::Full), (3, Ids::Sparse)] {
        let (deliveries, generator) = run(GenerateConfig {
            seed,
            ids,
            ..config(4_000)
        });
        let truth = generator.truth(None).unwrap();
        let tenant = &truth.tenants["default"];
        let events = visible(&deliveries);
        let found = Placed::of(&events, Identity::Found);
        let named = Placed::of(&events, Identity::Named);
        let how = format!("seed {seed}, {ids:?}");
        let mut compared = 0;
        for funnel in funnels(tenant) {
            compared += check(funnel, &found, &how);
            // Where every event names its company, nothing has to be found but the journey of what follows a link.
            if ids == Ids::Full && subject(funnel) != Subject::Journey {
                check(funnel, &named, &how);
            }
        }
        if let Some(funnel) = &tenant.linking_by_named_ids {
            compared += check(funnel, &named, &how);
        }
        assert!(compared > 3_000, "{compared} numbers");
    }
}

#[test]
fn the_truth_of_a_stream_cut_off_equals_what_the_messages_say() {
    // At 32 and 90 a clock that runs ahead puts an entry after its link: what follows the link alone says the category.
    for (seed, journeys, days) in [(42, 4_000, 4), (32, 900, 5), (90, 900, 5)] {
        let whole = config(journeys);
        let (deliveries, generator) = run(GenerateConfig {
            seed,
            end_us: Some(whole.start_us + days * DAY),
            ..whole
        });
        let truth = generator.truth(None).unwrap();
        let events = visible(&deliveries);
        let placed = Placed::of(&events, Identity::Found);
        for funnel in funnels(&truth.tenants["default"]) {
            check(funnel, &placed, &format!("seed {seed}, cut off"));
        }
    }
}

#[test]
fn the_table_counts_equal_what_the_messages_say() {
    let built_in = built_in_funnel("linking").unwrap().definition;
    let steps = built_in.steps.iter().flat_map(|step| step.alternatives());
    let outcomes = built_in.outcomes.iter().flat_map(|it| it.alternatives());
    let names: HashSet<String> = steps.chain(outcomes).map(|it| it.event).collect();
    let takes_part = |name: &str| names.contains(name);
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
                    let day = crate::generate::json::date(event.occurred_at_us().div_euclid(DAY));
                    *linked.entry(day).or_default() += 1;
                }
                if event.text(Field::JourneyId).is_none() {
                    without += 1;
                    without_in_linking += u64::from(takes_part(event.name()));
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
