//! The built-in funnels as the generator counts them: their steps, what they count, and by what they are broken down.

mod steps;

use super::dice::{DAY, HOUR, MINUTE};
use super::fact::ids;
use super::naive::{NaiveStep, optional, required, within};
use super::telling::{By, Telling};
use super::what::What;
use steps::{
    activation_step, application_linking_outcome, application_step, assisted_call_outcome,
    assisted_call_step, checkout_step, first_link_step, invitation_outcome, invitation_step,
    linking_outcome, linking_step, pay_by_link_outcome, pay_by_link_step, uploaded,
};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Journey,
    Company,
    Invite,
    PaymentLink,
    Connection,
    Application,
}

/// One built-in funnel.
pub(crate) struct Spec {
    pub(crate) id: &'static str,
    pub(crate) unit: Unit,
    pub(crate) window_us: i64,
    pub(crate) steps: &'static [NaiveStep],
    pub(crate) outcomes: &'static [&'static str],
    /// The step an event satisfies; no event satisfies two.
    pub(crate) step: fn(&Telling<'_>) -> Option<u8>,
    /// Steps that some provider cannot show, and the events that take them, whatever these say.
    pub(crate) by_provider: &'static [(u8, &'static [What])],
    /// The outcome it is, in the order in which outcomes are listed.
    pub(crate) outcome: fn(&Telling<'_>) -> Option<u8>,
    pub(crate) by: &'static [By],
    /// Events of another session than the entry's are not used.
    pub(crate) in_one_session: bool,
}

/// F1 of domain.md.
pub(crate) const LINKING: &[NaiveStep] = &[
    required("Opened"),
    required("Chose provider"),
    optional("Consented"),
    required("Handed off"),
    optional("Strong authentication"),
    required("Linked"),
];

const LINKING_OUTCOMES: &[&str] = &[
    "Uploaded a file",
    "Typed it in",
    "Skipped",
    "Paused or handed on",
];

const HAND_OFFS: &[What] = &[What::HandoffStarted, What::CredentialsSubmitted];
const LINKING_BY_PROVIDER: &[(u8, &[What])] = &[(1, &[What::ProviderSelected]), (3, HAND_OFFS)];
const INVITATION_BY_PROVIDER: &[(u8, &[What])] =
    &[(2, &[What::InviteDelivered]), (5, &[What::AttemptOpened])];

/// F2.
const FIRST_LINK: &[NaiveStep] = &[
    required("Landed"),
    required("Signed up"),
    optional("Prompted"),
    required("Clicked"),
    required("Started a journey"),
    required("Linked"),
    optional("Prefilled"),
    required("First sync"),
];
/// The step of FIRST_LINK that is the link.
pub(crate) const FIRST_LINK_LINKED: u16 = 5;

/// F3.
const INVITATION: &[NaiveStep] = &[
    required("Created"),
    required("Sent"),
    required("Delivered"),
    required("Read"),
    required("Clicked"),
    required("Opened the flow"),
    required("Linked"),
];
const INVITATION_OUTCOMES: &[&str] = &["Not delivered", "Opened once more after use", "Expired"];

/// F5.
const PAY_BY_LINK: &[NaiveStep] = &[
    required("Created"),
    required("Sent"),
    optional("Delivered"),
    required("Opened"),
    required("Chose bank"),
    required("Strong authentication"),
    required("Authorised"),
    required("Executed"),
    required("Settled"),
    required("Invoice paid"),
];
const PAY_BY_LINK_OUTCOMES: &[&str] = &[
    "Declared a manual transfer",
    "Chose another method",
    "Failed",
    "Withdrawn",
    "Expired",
];
/// The first step of PAY_BY_LINK on the page, and the number of those there.
const ON_THE_PAGE: (u8, u8) = (3, 5);

/// F6.
const ACTIVATION: &[NaiveStep] = &[
    required("Linked"),
    required("Sync started"),
    required("First data"),
    required("First sync"),
    required("First value"),
];
const WRITE_BACK: &[NaiveStep] = &[
    required("Linked"),
    required("Sync started"),
    required("First data"),
    required("First sync"),
    required("Written back"),
];

/// F8.
const APPLICATION: &[NaiveStep] = &[
    required("Started"),
    required("Saw the linking step"),
    optional("Linked"),
    optional("Uploaded a file"),
    optional("Skipped"),
    required("Submitted"),
    required("Decided"),
];
const APPLICATION_LINKING: &[NaiveStep] = &[
    required("Started"),
    required("Saw the linking step"),
    required("Linked"),
];

/// F9.
const ASSISTED_CALL: &[NaiveStep] = &[
    required("Booked a call"),
    required("Held it"),
    required("Opened the flow"),
    within(HOUR, "Linked on the call"),
];

const BY_JOURNEY: &[By] = &[
    By::Category,
    By::Surface,
    By::Medium,
    By::EntryPoint,
    By::CampaignId,
    By::TargetGroup,
    By::UseCase,
    By::Country,
    By::Locale,
    By::Device,
    By::Placement,
    By::Message(0),
    By::Message(1),
    By::Message(2),
    By::Message(3),
    By::Message(4),
    By::Message(5),
    By::Message(6),
    By::Message(7),
    By::Incentive,
    By::Experiment,
    By::Integration,
    By::Provider,
    By::IntegrationKind,
    By::AuthMethod,
];
const BY_VISIT: &[By] = &[By::Country, By::Locale, By::Device];
const BY_INVITE: &[By] = &[
    By::Medium,
    By::EntryPoint,
    By::CampaignId,
    By::TargetGroup,
    By::Category,
    By::Integration,
];
const BY_LINK: &[By] = &[
    By::Medium,
    By::EntryPoint,
    By::ReminderNo,
    By::AmountBucket,
    By::DaysOverdue,
    By::Integration,
];
const BY_CONNECTION: &[By] = &[By::Category, By::Integration, By::Provider];
const BY_APPLICATION: &[By] = &[
    By::Requirement,
    By::MandatoryStep,
    By::UseCase,
    By::Country,
    By::Device,
];

/// Every built-in funnel that is counted.
pub(crate) const FUNNELS: &[Spec] = &[
    Spec {
        id: "linking",
        unit: Unit::Journey,
        window_us: DAY,
        steps: LINKING,
        outcomes: LINKING_OUTCOMES,
        step: linking_step,
        by_provider: LINKING_BY_PROVIDER,
        outcome: linking_outcome,
        by: BY_JOURNEY,
        in_one_session: false,
    },
    Spec {
        id: "linking_7d",
        unit: Unit::Journey,
        window_us: 7 * DAY,
        steps: LINKING,
        outcomes: LINKING_OUTCOMES,
        step: linking_step,
        by_provider: LINKING_BY_PROVIDER,
        outcome: linking_outcome,
        by: &[By::Category, By::Surface],
        in_one_session: false,
    },
    Spec {
        id: "linking_from_choice",
        unit: Unit::Journey,
        window_us: DAY,
        steps: LINKING.split_at(1).1,
        outcomes: LINKING_OUTCOMES,
        step: |telling| linking_step(telling).and_then(|step| step.checked_sub(1)),
        by_provider: &[(2, HAND_OFFS)],
        outcome: linking_outcome,
        by: &[By::Category, By::Integration],
        in_one_session: false,
    },
    Spec {
        id: "first_link_session",
        unit: Unit::Company,
        window_us: DAY,
        steps: FIRST_LINK,
        outcomes: &["Uploaded a file"],
        step: first_link_step,
        by_provider: &[],
        outcome: uploaded,
        by: &[],
        in_one_session: true,
    },
    Spec {
        id: "first_link",
        unit: Unit::Company,
        window_us: 7 * DAY,
        steps: FIRST_LINK,
        outcomes: &["Uploaded a file"],
        step: first_link_step,
        by_provider: &[],
        outcome: uploaded,
        by: BY_VISIT,
        in_one_session: false,
    },
    Spec {
        id: "first_link_1d",
        unit: Unit::Company,
        window_us: DAY,
        steps: FIRST_LINK,
        outcomes: &["Uploaded a file"],
        step: first_link_step,
        by_provider: &[],
        outcome: uploaded,
        by: &[],
        in_one_session: false,
    },
    Spec {
        id: "first_link_30d",
        unit: Unit::Company,
        window_us: 30 * DAY,
        steps: FIRST_LINK,
        outcomes: &["Uploaded a file"],
        step: first_link_step,
        by_provider: &[],
        outcome: uploaded,
        by: &[],
        in_one_session: false,
    },
    Spec {
        id: "invitation",
        unit: Unit::Invite,
        window_us: 30 * DAY,
        steps: INVITATION,
        outcomes: INVITATION_OUTCOMES,
        step: invitation_step,
        by_provider: INVITATION_BY_PROVIDER,
        outcome: invitation_outcome,
        by: BY_INVITE,
        in_one_session: false,
    },
    Spec {
        id: "invitation_1d",
        unit: Unit::Invite,
        window_us: DAY,
        steps: INVITATION,
        outcomes: INVITATION_OUTCOMES,
        step: invitation_step,
        by_provider: INVITATION_BY_PROVIDER,
        outcome: invitation_outcome,
        by: &[],
        in_one_session: false,
    },
    Spec {
        id: "pay_by_link",
        unit: Unit::PaymentLink,
        window_us: 90 * DAY,
        steps: PAY_BY_LINK,
        outcomes: PAY_BY_LINK_OUTCOMES,
        step: pay_by_link_step,
        by_provider: &[],
        outcome: pay_by_link_outcome,
        by: BY_LINK,
        in_one_session: false,
    },
    Spec {
        id: "pay_by_link_checkout",
        unit: Unit::PaymentLink,
        window_us: 15 * MINUTE,
        steps: PAY_BY_LINK
            .split_at(ON_THE_PAGE.0 as usize)
            .1
            .split_at(ON_THE_PAGE.1 as usize)
            .0,
        outcomes: PAY_BY_LINK_OUTCOMES.split_at(3).0,
        step: checkout_step,
        by_provider: &[],
        outcome: |telling| pay_by_link_outcome(telling).filter(|outcome| *outcome < 3),
        by: &[By::Medium, By::EntryPoint, By::Device],
        in_one_session: false,
    },
    Spec {
        id: "activation",
        unit: Unit::Connection,
        window_us: DAY,
        steps: ACTIVATION,
        outcomes: &["Sync failed", "Disconnected"],
        step: |telling| activation_step(telling, What::ValueFirstDelivered),
        by_provider: &[],
        outcome: |telling| (telling.fact.what == What::SyncFailed).then_some(0),
        by: BY_CONNECTION,
        in_one_session: false,
    },
    Spec {
        id: "activation_7d",
        unit: Unit::Connection,
        window_us: 7 * DAY,
        steps: ACTIVATION,
        outcomes: &["Sync failed", "Disconnected"],
        step: |telling| activation_step(telling, What::ValueFirstDelivered),
        by_provider: &[],
        outcome: |telling| (telling.fact.what == What::SyncFailed).then_some(0),
        by: &[],
        in_one_session: false,
    },
    Spec {
        id: "activation_write_back",
        unit: Unit::Connection,
        window_us: 7 * DAY,
        steps: WRITE_BACK,
        outcomes: &["Writing failed", "Disconnected"],
        step: |telling| activation_step(telling, What::WriteSucceeded),
        by_provider: &[],
        outcome: |telling| (telling.fact.what == What::WriteFailed).then_some(0),
        by: &[By::Category],
        in_one_session: false,
    },
    Spec {
        id: "application",
        unit: Unit::Application,
        window_us: 30 * DAY,
        steps: APPLICATION,
        outcomes: &[],
        step: application_step,
        by_provider: &[],
        outcome: |_| None,
        by: BY_APPLICATION,
        in_one_session: false,
    },
    Spec {
        id: "application_linking",
        unit: Unit::Application,
        window_us: 30 * DAY,
        steps: APPLICATION_LINKING,
        outcomes: &["Uploaded a file", "Skipped", "Submitted all the same"],
        step: |telling| application_step(telling).filter(|step| *step <= 2),
        by_provider: &[],
        outcome: application_linking_outcome,
        by: BY_APPLICATION,
        in_one_session: false,
    },
    Spec {
        id: "assisted_call",
        unit: Unit::Company,
        window_us: 30 * DAY,
        steps: ASSISTED_CALL,
        outcomes: &["Uploaded a file", "Objection recorded"],
        step: assisted_call_step,
        by_provider: &[],
        outcome: assisted_call_outcome,
        by: &[By::UseCase],
        in_one_session: false,
    },
];

/// The subjects that the events of one story are part of; those of companies take more than one story.
pub(crate) fn subjects<'a>(unit: Unit, tellings: &[Telling<'a>]) -> Vec<Vec<Telling<'a>>> {
    let named = |bits: u16| {
        let of_subject = tellings.iter().filter(|it| it.fact.ids & bits != 0);
        of_subject.copied().collect::<Vec<_>>()
    };
    let of_journey = tellings
        .first()
        .is_some_and(|telling| telling.story.journey().is_some());
    let subjects = match unit {
        Unit::Company => Vec::new(),
        // An event is part of its journey if it names it or an id that leads to it (semantics rule 2): in a sparse stream its
        // attempt, always its connection. What follows a link takes no step, but it says the category where a clock that runs
        // ahead puts the entry after the link. Invitations take no part: they say nothing that is asked of a journey.
        Unit::Journey if of_journey => vec![named(ids::JOURNEY | ids::ATTEMPT | ids::CONNECTION)],
        Unit::Invite if of_journey => vec![named(ids::INVITE)],
        Unit::Journey | Unit::Invite => Vec::new(),
        Unit::Connection => vec![named(ids::CONNECTION)],
        Unit::Application => vec![named(ids::APPLICATION)],
        Unit::PaymentLink => {
            let named = named(ids::PAYMENT_LINK);
            let last = named.iter().map(|telling| telling.fact.part).max();
            (0..=last.unwrap_or(0))
                .map(|part| {
                    let of_link = named.iter().filter(|telling| telling.fact.part == part);
                    of_link.copied().collect()
                })
                .collect()
        }
    };
    subjects
        .into_iter()
        .filter(|tellings| !tellings.is_empty())
        .collect()
}
