//! F6: from a new connection to data that is worth something.
//!
//! The notation ends in an optional `write.succeeded`, which cannot be last: writing back is a funnel of its own.

use super::{E, days, funnel, hours, outcome, step};
use crate::funnel::{NamedFunnel, OutcomeDefinition, StepDefinition, Subject};
use crate::window::Length;

pub(super) fn all() -> Vec<NamedFunnel> {
    let value = || step("First value", &[E::ValueFirstDelivered]);
    let sync_failed = || outcome("Sync failed", &[E::SyncFailed]);
    vec![
        activation(
            [
                "activation",
                "Activation",
                "from the link to the first value made of its data, within 24 hours",
            ],
            hours(24),
            value(),
            sync_failed(),
        ),
        activation(
            [
                "activation_7d",
                "Activation within 7 days",
                "from the link to the first value made of its data, within seven days",
            ],
            days(7),
            value(),
            sync_failed(),
        ),
        activation(
            [
                "activation_write_back",
                "Writing back",
                "from the link to the first record written into the company's software, within seven days",
            ],
            days(7),
            step("Written back", &[E::WriteSucceeded]),
            outcome("Writing failed", &[E::WriteFailed]),
        ),
    ]
}

fn activation(
    about: [&str; 3],
    window: Length,
    last: StepDefinition,
    failed: OutcomeDefinition,
) -> NamedFunnel {
    let steps = vec![
        step("Linked", &[E::ConnectionLinked]),
        step("Sync started", &[E::SyncStarted]),
        step("First data", &[E::SyncDatasetCompleted]),
        step("First sync", &[E::SyncInitialCompleted]),
        last,
    ];
    let lost = [E::ConnectionUnlinked, E::ConnectionDeauthorized];
    let outcomes = vec![failed, outcome("Disconnected", &lost)];
    funnel(about, Subject::Connection, window, steps, outcomes)
}
