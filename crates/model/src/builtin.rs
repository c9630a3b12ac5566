//! Funnels that are there from the start (domain.md part C).
//!
//! One file a family; here is what they are written with. An optional step can be neither first nor last
//! (semantics rule 12): where the domain's notation has one there, the description says what became of it.

mod activation;
mod application;
mod assisted_call;
mod first_link;
mod invitation;
mod linking;
mod pay_by_link;

use crate::condition::{Condition, Op, Predicate};
use crate::funnel::{
    Alternative, FunnelDefinition, NamedFunnel, OutcomeDefinition, StepDefinition, Subject,
};
use crate::vocab::EventName as E;
use crate::window::Length;

/// The built-in funnel with this id.
pub fn find(id: &str) -> Option<NamedFunnel> {
    all().into_iter().find(|funnel| funnel.id == id)
}

/// Every built-in funnel.
pub fn all() -> Vec<NamedFunnel> {
    [
        linking::all(),
        first_link::all(),
        invitation::all(),
        pay_by_link::all(),
        activation::all(),
        application::all(),
        assisted_call::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A funnel whose rules are the defaults: ordered, ties in any order, entries by cohort.
fn funnel(
    [id, name, description]: [&str; 3],
    subject: Subject,
    window: Length,
    steps: Vec<StepDefinition>,
    outcomes: Vec<OutcomeDefinition>,
) -> NamedFunnel {
    NamedFunnel {
        id: id.into(),
        name: name.into(),
        description: description.into(),
        definition: FunnelDefinition {
            outcomes,
            ..FunnelDefinition::ordered(steps, window, subject)
        },
    }
}

fn minutes(count: i64) -> Length {
    Length::from_us(count * 60_000_000).expect("90 days are within the longest length")
}

fn hours(count: u32) -> Length {
    minutes(i64::from(count) * 60)
}

fn days(count: u32) -> Length {
    hours(24 * count)
}

fn step(name: &str, events: &[E]) -> StepDefinition {
    let (event, any_of) = match events {
        [one] => (Some(one.as_str().to_owned()), Vec::new()),
        several => (
            None,
            several
                .iter()
                .map(|event| alternative(*event, Vec::new()))
                .collect(),
        ),
    };
    StepDefinition {
        name: name.to_owned(),
        event,
        any_of,
        conditions: Vec::new(),
        optional: false,
        max_gap: None,
        min_gap: None,
    }
}

fn optional(step: StepDefinition) -> StepDefinition {
    StepDefinition {
        optional: true,
        ..step
    }
}

/// The step, only by events that meet the condition.
fn only(condition: Predicate, step: StepDefinition) -> StepDefinition {
    StepDefinition {
        conditions: vec![condition],
        ..step
    }
}

fn alternative(event: E, conditions: Vec<Predicate>) -> Alternative {
    Alternative {
        event: event.as_str().to_owned(),
        conditions,
    }
}

fn outcome(name: &str, events: &[E]) -> OutcomeDefinition {
    let StepDefinition {
        name,
        event,
        any_of,
        ..
    } = step(name, events);
    OutcomeDefinition {
        name,
        event,
        any_of,
        conditions: Vec::new(),
    }
}

fn equals(field: &str, word: &str) -> Predicate {
    condition(field, Op::Eq, word.into())
}

/// Another word or none.
fn differs(field: &str, word: &str) -> Predicate {
    condition(field, Op::Ne, word.into())
}

fn one_of(field: &str, words: &[&str]) -> Predicate {
    condition(field, Op::In, words.to_vec().into())
}

fn none_of(field: &str, words: &[&str]) -> Predicate {
    condition(field, Op::NotIn, words.to_vec().into())
}

fn condition(field: &str, op: Op, value: serde_json::Value) -> Predicate {
    Predicate::Is(Condition {
        field: field.to_owned(),
        op,
        value,
    })
}

#[cfg(test)]
mod tests;
