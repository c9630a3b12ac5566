//! F1: from opening a journey to the link.

use super::{E, days, funnel, hours, optional, outcome, step};
use crate::funnel::{NamedFunnel, OutcomeDefinition, StepDefinition, Subject};

pub(super) fn all() -> Vec<NamedFunnel> {
    let linking = |about, window, steps| funnel(about, Subject::Journey, window, steps, outcomes());
    let mut from_choice = steps();
    from_choice.remove(0);
    vec![
        linking(
            [
                "linking",
                "Linking",
                "from opening a journey to the link, within 24 hours",
            ],
            hours(24),
            steps(),
        ),
        linking(
            [
                "linking_7d",
                "Linking within 7 days",
                "from opening a journey to the link, within seven days, for journeys that are paused or handed on",
            ],
            days(7),
            steps(),
        ),
        linking(
            [
                "linking_from_choice",
                "Linking from the choice",
                "from the choice of provider to the link, within 24 hours, where nothing says that a journey was opened",
            ],
            hours(24),
            from_choice,
        ),
    ]
}

fn steps() -> Vec<StepDefinition> {
    vec![
        step("Opened", &[E::JourneyStarted, E::AttemptOpened]),
        step("Chose provider", &[E::ProviderSelected]),
        optional(step("Consented", &[E::ConsentGranted])),
        step("Handed off", &[E::CredentialsSubmitted, E::HandoffStarted]),
        optional(step("Strong authentication", &[E::ScaPassed])),
        step("Linked", &[E::ConnectionLinked]),
    ]
}

fn outcomes() -> Vec<OutcomeDefinition> {
    vec![
        outcome("Uploaded a file", &[E::FileUploaded]),
        outcome("Typed it in", &[E::ManualEntered]),
        outcome("Skipped", &[E::StepSkipped]),
        outcome(
            "Paused or handed on",
            &[E::JourneyPaused, E::JourneyDelegated],
        ),
    ]
}
