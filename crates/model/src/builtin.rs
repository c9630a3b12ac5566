//! Funnels that are there from the start (domain.md part C).

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
    vec![
        linking(
            "linking",
            "Linking",
            "from opening a journey to the link, within 24 hours",
            24,
            true,
        ),
        linking(
            "linking_7d",
            "Linking within 7 days",
            "the same within seven days, for journeys that are paused or handed on",
            7 * 24,
            true,
        ),
        linking(
            "linking_from_choice",
            "Linking from the choice",
            "the same from the choice of provider, where nothing says that a journey was opened",
            24,
            false,
        ),
        first_link(),
    ]
}

fn length(hours: u32) -> Length {
    Length::hours(hours).expect("the window of a built-in funnel is within the longest length")
}

fn step(name: &str, events: &[E]) -> StepDefinition {
    let (event, any_of) = match events {
        [one] => (Some(one.as_str().to_owned()), Vec::new()),
        several => (
            None,
            several.iter().map(|event| alternative(*event)).collect(),
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

fn alternative(event: E) -> Alternative {
    Alternative {
        event: event.as_str().to_owned(),
        conditions: Vec::new(),
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
    Predicate::Is(Condition {
        field: field.to_owned(),
        op: Op::Eq,
        value: word.into(),
    })
}

fn linking(id: &str, name: &str, description: &str, hours: u32, from_opening: bool) -> NamedFunnel {
    let mut steps = vec![
        step("Opened", &[E::JourneyStarted, E::AttemptOpened]),
        step("Chose provider", &[E::ProviderSelected]),
        optional(step("Consented", &[E::ConsentGranted])),
        step("Handed off", &[E::CredentialsSubmitted, E::HandoffStarted]),
        optional(step("Strong authentication", &[E::ScaPassed])),
        step("Linked", &[E::ConnectionLinked]),
    ];
    if !from_opening {
        steps.remove(0);
    }
    let definition = FunnelDefinition {
        outcomes: vec![
            outcome("Uploaded a file", &[E::FileUploaded]),
            outcome("Typed it in", &[E::ManualEntered]),
            outcome("Skipped", &[E::StepSkipped]),
            outcome(
                "Paused or handed on",
                &[E::JourneyPaused, E::JourneyDelegated],
            ),
        ],
        ..FunnelDefinition::ordered(steps, length(hours), Subject::Journey)
    };
    NamedFunnel {
        id: id.into(),
        name: name.into(),
        description: description.into(),
        definition,
    }
}

fn first_link() -> NamedFunnel {
    let mut welcome = step("Prompted", &[E::InviteSent, E::CtaShown]);
    welcome.any_of[0].conditions = vec![equals("entry_point", "welcome_email")];
    let mut started = step("Started a journey", &[E::JourneyStarted]);
    started.conditions = vec![equals("journey_type", "first_link")];
    let steps = vec![
        step("Landed", &[E::VisitLanded]),
        step("Signed up", &[E::SignupCompleted]),
        optional(welcome),
        step("Clicked", &[E::InviteClicked, E::CtaClicked]),
        started,
        step("Linked", &[E::ConnectionLinked]),
        optional(step("Prefilled", &[E::PrefillApplied])),
        step("First sync", &[E::SyncInitialCompleted]),
    ];
    let definition = FunnelDefinition {
        outcomes: vec![outcome("Uploaded a file", &[E::FileUploaded])],
        ..FunnelDefinition::ordered(steps, length(7 * 24), Subject::Company)
    };
    NamedFunnel {
        id: "first_link".into(),
        name: "First link".into(),
        description: "a company's way from its first visit to its first data, within seven days"
            .into(),
        definition,
    }
}
