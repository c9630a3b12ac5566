//! What linking costs people, counted again from the messages, each by the words of its field.

use std::collections::{BTreeMap, HashMap};

use linkfunnel_model::vocab::Provider;
use linkfunnel_model::{Event, EventName, Field, Value, can_show};

use super::{config, run, truth_of, visible};
use crate::generate::dice::{DAY, MINUTE};
use crate::generate::*;

fn number(event: &Event<'_>, field: Field) -> Option<u64> {
    match event.get(field)? {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn by<'e>(events: &'e [Event<'e>], field: Field) -> HashMap<&'e str, Vec<&'e Event<'e>>> {
    let mut groups: HashMap<&str, Vec<&Event<'_>>> = HashMap::new();
    for event in events {
        if let Some(id) = event.text(field) {
            groups.entry(id).or_default().push(event);
        }
    }
    for group in groups.values_mut() {
        group.sort_by_key(|event| (event.occurred_at_us(), number(event, Field::Seq)));
    }
    groups
}

/// The required steps of `names` in order from each first one on, within `window_us`; whether the last is reached.
fn walks(events: &[&Event<'_>], names: &[&[&str]], window_us: i64) -> bool {
    let at = |names: &[&str], from_us: i64| {
        let named = events.iter().filter(|event| names.contains(&event.name()));
        named
            .map(|event| event.occurred_at_us())
            .filter(|at_us| *at_us >= from_us)
            .min()
    };
    let Some(clock_us) = at(names[0], i64::MIN) else {
        return false;
    };
    let mut now_us = clock_us;
    for names in &names[1..] {
        if cannot_be_seen(events, names) {
            continue;
        }
        match at(names, now_us).filter(|at_us| *at_us <= clock_us + window_us) {
            Some(at_us) => now_us = at_us,
            None => return false,
        }
    }
    true
}

/// Whether none of the events takes a step and a provider that they name cannot show it.
fn cannot_be_seen(events: &[&Event<'_>], names: &[&str]) -> bool {
    let hides = |event: &&&Event<'_>| {
        let provider = event.text(Field::Provider).and_then(Provider::parse);
        let never =
            |name: &&str| provider.is_some_and(|it| !can_show(it, EventName::parse(name).unwrap()));
        names.iter().all(never)
    };
    let on_the_way = |event: &&&Event<'_>| {
        let optional = ["consent.granted", "sca.passed"];
        LINKING.concat().contains(&event.name()) || optional.contains(&event.name())
    };
    !events.iter().any(|event| names.contains(&event.name()))
        && events.iter().filter(on_the_way).any(|event| hides(&event))
}

const TO_THE_LINK: [&[&str]; 5] = [
    &["visit.landed"],
    &["signup.completed"],
    &["invite.clicked", "cta.clicked"],
    &["journey.started"],
    &["connection.linked"],
];
const LINKING: [&[&str]; 4] = [
    &["journey.started", "attempt.opened"],
    &["provider.selected"],
    &["handoff.started", "credentials.submitted"],
    &["connection.linked"],
];

fn count(counts: &mut BTreeMap<u64, u64>, value: u64) {
    *counts.entry(value).or_default() += 1;
}

fn recount(events: &[Event<'_>]) -> EffortTruth {
    let mut effort = EffortTruth::default();
    for event in events {
        let placement = event.text(Field::CtaPlacement);
        let prompt = || placement.unwrap_or("(none)").to_owned();
        match event.name() {
            "cta.shown" => effort.prompts.entry(prompt()).or_default().shown += 1,
            "cta.clicked" => effort.prompts.entry(prompt()).or_default().clicked += 1,
            "cta.dismissed" => effort.prompts.entry(prompt()).or_default().dismissed += 1,
            "prefill.applied" => {
                effort.prefill.events += 1;
                effort.prefill.fields += number(event, Field::CountersFieldsTotal).unwrap();
                effort.prefill.prefilled += number(event, Field::CountersFieldsPrefilled).unwrap();
            }
            "call.booked" => effort.calls.booked += 1,
            "call.held" => {
                effort.calls.held += 1;
                let length_ms = number(event, Field::CountersDurationMs).unwrap();
                count(&mut effort.calls.minutes, length_ms / 60_000);
            }
            "objection.recorded" => {
                let code = event.text(Field::ReasonCode).unwrap().to_owned();
                *effort.objections.entry(code).or_default() += 1;
            }
            _ => {}
        }
    }
    for company in by(events, Field::CompanyId).values() {
        recount_company(company, &mut effort);
    }
    for journey in by(events, Field::JourneyId).values() {
        recount_journey(journey, &mut effort);
    }
    effort
}

fn recount_company(events: &[&Event<'_>], effort: &mut EffortTruth) {
    // Only a first link counts as its beginning.
    let way: Vec<&Event<'_>> = events
        .iter()
        .filter(|event| {
            event.name() != "journey.started"
                || event.text(Field::JourneyType) == Some("first_link")
        })
        .copied()
        .collect();
    let first = |name: &str| way.iter().find(|event| event.name() == name);
    if let (Some(shown), Some(signup)) = (first("cta.shown"), first("signup.completed")) {
        let actions = |event: &Event<'_>| number(event, Field::CountersActions).unwrap();
        for (counts, actions) in [
            (&mut effort.actions_from_signup, actions(shown)),
            (
                &mut effort.actions_from_landing,
                actions(shown) + actions(signup),
            ),
        ] {
            let prompted = counts.entry(actions).or_default();
            prompted.companies += 1;
            prompted.clicked += u64::from(first("cta.clicked").is_some());
            prompted.linked += u64::from(walks(&way, &TO_THE_LINK, 7 * DAY));
        }
    }
    if let Some(landing) = first("visit.landed") {
        effort.landed += 1;
        let session = landing.text(Field::SessionId).unwrap();
        let in_session: Vec<&Event<'_>> = way
            .iter()
            .filter(|event| event.text(Field::SessionId).is_none_or(|it| it == session))
            .copied()
            .collect();
        effort.linked_in_first_session += u64::from(walks(&in_session, &TO_THE_LINK, DAY));
    }
}

fn recount_journey(events: &[&Event<'_>], effort: &mut EffortTruth) {
    let opens = |event: &&&Event<'_>| LINKING[0].contains(&event.name());
    let Some(entry) = events.iter().find(opens) else {
        return;
    };
    let clock_us = entry.occurred_at_us();
    let inside: Vec<&Event<'_>> = events
        .iter()
        .filter(|event| (clock_us..=clock_us + DAY).contains(&event.occurred_at_us()))
        .copied()
        .collect();
    let apart = |pair: &[&Event<'_>]| pair[1].occurred_at_us() - pair[0].occurred_at_us();
    effort.idle_journeys += u64::from(inside.windows(2).any(|pair| apart(pair) >= 30 * MINUTE));
    let viewed: Vec<u64> = inside
        .iter()
        .filter(|event| event.name() == "step.viewed")
        .filter_map(|event| number(event, Field::StepIndex))
        .collect();
    if !viewed.is_empty() {
        let back = viewed.windows(2).filter(|pair| pair[1] < pair[0]).count();
        count(&mut effort.back_steps, back as u64);
    }
    if !walks(&inside, &LINKING, DAY) {
        return;
    }
    let largest = |field: Field, names: &[&str]| {
        let of = inside
            .iter()
            .filter(|event| names.is_empty() || names.contains(&event.name()));
        of.filter_map(|event| number(event, field)).max()
    };
    if let Some(clicks) = largest(Field::CountersClicks, &[]) {
        count(&mut effort.clicks_of_linked, clicks);
    }
    let ends = ["connection.linked", "journey.completed"];
    if let Some(active_ms) = largest(Field::CountersActiveMs, &ends) {
        let promised = match entry.get(Field::MessagingTimeEstimate) {
            Some(Value::Bool(true)) => "true",
            Some(_) => "false",
            None => "(none)",
        };
        let histogram = effort.active_s_of_linked.entry(promised.to_owned());
        count(histogram.or_default(), active_ms / 1_000);
    }
}

#[test]
fn the_efforts_told_equal_what_the_messages_say() {
    for seed in [1, 2] {
        let (deliveries, generator) = run(GenerateConfig {
            seed,
            ..config(5_000)
        });
        let told = truth_of(&generator).effort;
        let found = recount(&visible(&deliveries));
        assert_eq!(told.actions_from_signup, found.actions_from_signup);
        assert_eq!(told.actions_from_landing, found.actions_from_landing);
        assert_eq!(told.clicks_of_linked, found.clicks_of_linked);
        assert_eq!(told.back_steps, found.back_steps);
        assert!(told == found, "{told:?}\n{found:?}");
    }
}

#[test]
fn efforts_are_of_a_believable_size() {
    let (_, generator) = run(GenerateConfig {
        dirt: Dirt::NONE,
        ..config(20_000)
    });
    let effort = truth_of(&generator).effort;
    let share_up_to = |counts: &BTreeMap<u64, u64>, most: u64| {
        let up_to: u64 = counts.range(..=most).map(|(_, count)| count).sum();
        up_to as f64 / counts.values().sum::<u64>() as f64
    };
    let companies = |counts: &BTreeMap<u64, Prompted>| {
        let companies = counts.iter().map(|(actions, it)| (*actions, it.companies));
        companies.collect::<BTreeMap<u64, u64>>()
    };
    let within_3 = share_up_to(&companies(&effort.actions_from_signup), 3);
    assert!((0.55..0.85).contains(&within_3), "{within_3}");
    assert!(share_up_to(&companies(&effort.actions_from_landing), 3) < within_3);
    let clicked = |from: u64, to: u64| {
        let counts = effort.actions_from_signup.range(from..to);
        let (clicked, all) = counts.fold((0, 0), |(clicked, all), (_, it)| {
            (clicked + it.clicked, all + it.companies)
        });
        clicked as f64 / all as f64
    };
    assert!(clicked(0, 4) > clicked(4, 99) + 0.08);

    let within_6 = share_up_to(&effort.clicks_of_linked, 6);
    assert!((0.6..0.95).contains(&within_6), "{within_6}");
    for promised in ["true", "false"] {
        let within_a_minute = share_up_to(&effort.active_s_of_linked[promised], 60);
        assert!((0.2..0.7).contains(&within_a_minute), "{within_a_minute}");
    }
    let backwards = 1.0 - share_up_to(&effort.back_steps, 0);
    assert!((0.08..0.35).contains(&backwards), "{backwards}");
    let idle = effort.idle_journeys as f64 / truth_of(&generator).linking.total.entered as f64;
    assert!((0.02..0.12).contains(&idle), "{idle}");

    let first = effort.linked_in_first_session as f64 / effort.landed as f64;
    assert!((0.05..0.4).contains(&first), "{first}");
    let centre = effort.prompts["center"];
    let hidden = effort.prompts["sub_menu"];
    let rate = |prompts: Prompts| prompts.clicked as f64 / prompts.shown as f64;
    assert!(rate(centre) > rate(hidden) + 0.2);
    let filled = effort.prefill.prefilled as f64 / effort.prefill.fields as f64;
    assert!((0.6..0.9).contains(&filled), "{filled}");
    let within_30 = share_up_to(&effort.calls.minutes, 29);
    assert!((0.9..=1.0).contains(&within_30), "{within_30}");
    assert!(effort.calls.booked > effort.calls.held && effort.calls.held > 100);
    assert!(effort.objections.len() >= 5, "{:?}", effort.objections);
}
