//! Whose event is whose: companies and journeys found from the messages alone, the plain way.

use std::collections::HashMap;

use linkfunnel_model::{Event, Field, IdKind, Subject, root_key};

use crate::generate::dice::DAY;

/// Whose event each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// Only by the ids it names itself; the root is the coarsest of them.
    Named,
    /// By ids it names and ids it is found through (semantics rules 1 and 2).
    Found,
}

/// The events with the company and journey of each.
pub(super) struct Placed<'e> {
    events: &'e [Event<'e>],
    roots: Vec<String>,
    journeys: Vec<Option<String>>,
}

impl<'e> Placed<'e> {
    pub(super) fn of(events: &'e [Event<'e>], identity: Identity) -> Self {
        match identity {
            Identity::Named => Placed {
                events,
                roots: events
                    .iter()
                    .map(|event| root_key(event).to_string())
                    .collect(),
                journeys: events
                    .iter()
                    .map(|event| id(event, IdKind::Journey))
                    .collect(),
            },
            Identity::Found => {
                let roots = companies(events);
                let journeys = journeys(events, &roots);
                Placed {
                    events,
                    roots,
                    journeys,
                }
            }
        }
    }

    /// The events of each subject.
    pub(super) fn subjects(&self, subject: Subject) -> Vec<Vec<&'e Event<'e>>> {
        let mut subjects: HashMap<(&str, String), Vec<&Event<'_>>> = HashMap::new();
        for (place, event) in self.events.iter().enumerate() {
            let of = match subject {
                Subject::Journey => self.journeys[place].clone(),
                Subject::Company => Some(String::new()),
                other => id(event, other.id_kind()),
            };
            if let Some(of) = of {
                let key = (self.roots[place].as_str(), of);
                subjects.entry(key).or_default().push(event);
            }
        }
        subjects.into_values().collect()
    }
}

fn id(event: &Event<'_>, kind: IdKind) -> Option<String> {
    event.text(kind.field()).map(str::to_owned)
}

/// The company of each event, named or found over at most three steps.
fn companies(events: &[Event<'_>]) -> Vec<String> {
    let kinds = || IdKind::ALL.iter().filter(|kind| **kind != IdKind::Company);
    let mut known: HashMap<(IdKind, String), String> = HashMap::new();
    let company_of = |event: &Event<'_>, known: &HashMap<(IdKind, String), String>| {
        id(event, IdKind::Company).or_else(|| {
            let mut ids = kinds().filter_map(|kind| Some((*kind, id(event, *kind)?)));
            ids.find_map(|id| known.get(&id).cloned())
        })
    };
    for _ in 0..4 {
        let mut next = known.clone();
        for event in events {
            let Some(company) = company_of(event, &known) else {
                continue;
            };
            for kind in kinds() {
                if let Some(id) = id(event, *kind) {
                    let of = next.entry((*kind, id)).or_insert_with(|| company.clone());
                    assert_eq!(*of, company, "an id of two companies");
                }
            }
        }
        known = next;
    }
    events
        .iter()
        .map(|event| company_of(event, &known).expect("every event leads to its company"))
        .collect()
}

/// The journey of each event: named; else the one its attempt, connection or invite leads to; else the company's journey of
/// the same category whose latest explicit event lies at most 24 hours before it.
fn journeys(events: &[Event<'_>], roots: &[String]) -> Vec<Option<String>> {
    let leading = [IdKind::Attempt, IdKind::Connection, IdKind::Invite];
    let mut led: HashMap<(IdKind, String), String> = HashMap::new();
    for _ in 0..2 {
        for event in events {
            let ids = || {
                leading
                    .iter()
                    .filter_map(|kind| Some((*kind, id(event, *kind)?)))
            };
            let journey =
                id(event, IdKind::Journey).or_else(|| ids().find_map(|it| led.get(&it).cloned()));
            if let Some(journey) = journey {
                for id in ids() {
                    led.entry(id).or_insert_with(|| journey.clone());
                }
            }
        }
    }
    let by_ids: Vec<Option<String>> = events
        .iter()
        .map(|event| {
            let mut ids = leading
                .iter()
                .filter_map(|kind| Some((*kind, id(event, *kind)?)));
            id(event, IdKind::Journey).or_else(|| ids.find_map(|id| led.get(&id).cloned()))
        })
        .collect();
    type Told<'e> = Vec<(i64, &'e str, Option<&'e str>)>;
    let mut explicit: HashMap<&str, Told<'_>> = HashMap::new();
    for ((event, journey), root) in events.iter().zip(&by_ids).zip(roots) {
        if let Some(journey) = journey {
            let category = event.text(Field::Category);
            explicit
                .entry(root)
                .or_default()
                .push((event.occurred_at_us(), journey, category));
        }
    }
    let near = |event: &Event<'_>, root: &str| {
        let at_us = event.occurred_at_us();
        let told = explicit.get(root)?;
        let fits = |category: Option<&str>| match (category, event.text(Field::Category)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        told.iter()
            .filter(|(told_us, _, category)| {
                (at_us - DAY..=at_us).contains(told_us) && fits(*category)
            })
            .max()
            .map(|(_, journey, _)| (*journey).to_owned())
    };
    events
        .iter()
        .zip(&by_ids)
        .zip(roots)
        .map(|((event, journey), root)| journey.clone().or_else(|| near(event, root)))
        .collect()
}
