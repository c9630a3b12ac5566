//! F9: linking on a call with somebody who helps.
//!
//! The notation begins with an optional `objection.recorded`, which cannot be first: an objection is an outcome of those who
//! did not link.

use super::{E, days, equals, funnel, hours, only, outcome, step};
use crate::funnel::{NamedFunnel, StepDefinition, Subject};

pub(super) fn all() -> Vec<NamedFunnel> {
    let steps = vec![
        step("Booked a call", &[E::CallBooked]),
        step("Held it", &[E::CallHeld]),
        only(
            equals("surface", "assisted_call"),
            step("Opened the flow", &[E::AttemptOpened]),
        ),
        StepDefinition {
            max_gap: Some(hours(1)),
            ..step("Linked on the call", &[E::ConnectionLinked])
        },
    ];
    let outcomes = vec![
        outcome("Uploaded a file", &[E::FileUploaded]),
        outcome("Objection recorded", &[E::ObjectionRecorded]),
    ];
    vec![funnel(
        [
            "assisted_call",
            "Assisted call",
            "from booking a call, within 30 days, to a link not later than an hour after the flow was opened on it",
        ],
        Subject::Company,
        days(30),
        steps,
        outcomes,
    )]
}
