//! What each generated event is to the built-in funnels.

use super::ON_THE_PAGE;
use crate::generate::telling::{By, Telling};
use crate::generate::what::What;

pub(super) fn linking_step(telling: &Telling<'_>) -> Option<u8> {
    telling.fact.what.linking_step()
}

pub(super) fn linking_outcome(telling: &Telling<'_>) -> Option<u8> {
    telling.fact.what.linking_outcome()
}

pub(super) fn uploaded(telling: &Telling<'_>) -> Option<u8> {
    (telling.fact.what == What::FileUploaded).then_some(0)
}

pub(super) fn first_link_step(telling: &Telling<'_>) -> Option<u8> {
    let is_first = |what| {
        let journey = telling.flow();
        telling.fact.what == what && journey.is_some_and(|journey| journey.journey_type == 0)
    };
    Some(match telling.fact.what {
        What::VisitLanded => 0,
        What::SignupCompleted => 1,
        What::CtaShown => 2,
        What::InviteSent if telling.word(By::EntryPoint) == Some("welcome_email") => 2,
        What::InviteClicked | What::CtaClicked => 3,
        What::JourneyStarted if is_first(What::JourneyStarted) => 4,
        What::ConnectionLinked => 5,
        What::PrefillApplied => 6,
        What::SyncInitialCompleted => 7,
        _ => return None,
    })
}

pub(super) fn invitation_step(telling: &Telling<'_>) -> Option<u8> {
    Some(match telling.fact.what {
        What::InviteCreated => 0,
        What::InviteSent => 1,
        What::InviteDelivered => 2,
        What::InviteOpened => 3,
        What::InviteClicked => 4,
        What::AttemptOpened => 5,
        What::ConnectionLinked => 6,
        _ => return None,
    })
}

pub(super) fn invitation_outcome(telling: &Telling<'_>) -> Option<u8> {
    Some(match telling.fact.what {
        What::InviteDeliveryFailed => 0,
        What::InviteReused => 1,
        What::InviteExpired => 2,
        _ => return None,
    })
}

pub(super) fn pay_by_link_step(telling: &Telling<'_>) -> Option<u8> {
    Some(match telling.fact.what {
        What::PaymentLinkCreated => 0,
        What::InviteSent => 1,
        What::InviteDelivered => 2,
        What::PaymentLinkOpened => 3,
        What::PaymentBankSelected => 4,
        What::PaymentAuthorizing => 5,
        What::PaymentAuthorized => 6,
        What::PaymentExecuted => 7,
        What::PaymentSettled => 8,
        What::InvoicePaid => 9,
        _ => return None,
    })
}

pub(super) fn checkout_step(telling: &Telling<'_>) -> Option<u8> {
    let (first, count) = ON_THE_PAGE;
    pay_by_link_step(telling)
        .and_then(|step| step.checked_sub(first))
        .filter(|step| *step < count)
}

pub(super) fn pay_by_link_outcome(telling: &Telling<'_>) -> Option<u8> {
    Some(match telling.fact.what {
        What::PaymentManualDeclared => 0,
        // Only other methods than a transfer are told as chosen.
        What::PaymentMethodChosen => 1,
        What::PaymentFailed => 2,
        What::PaymentLinkRevoked => 3,
        What::PaymentLinkExpired => 4,
        _ => return None,
    })
}

pub(super) fn activation_step(telling: &Telling<'_>, last: What) -> Option<u8> {
    Some(match telling.fact.what {
        What::ConnectionLinked => 0,
        What::SyncStarted => 1,
        What::SyncDatasetCompleted => 2,
        What::SyncInitialCompleted => 3,
        what if what == last => 4,
        _ => return None,
    })
}

pub(super) fn application_step(telling: &Telling<'_>) -> Option<u8> {
    Some(match telling.fact.what {
        What::ApplicationStarted => 0,
        What::StepViewed if telling.requirement().is_some() => 1,
        What::ConnectionLinked => 2,
        What::FileUploaded => 3,
        What::StepSkipped => 4,
        What::ApplicationSubmitted => 5,
        What::ApplicationDecided => 6,
        _ => return None,
    })
}

pub(super) fn application_linking_outcome(telling: &Telling<'_>) -> Option<u8> {
    Some(match telling.fact.what {
        What::FileUploaded => 0,
        What::StepSkipped => 1,
        What::ApplicationSubmitted => 2,
        _ => return None,
    })
}

pub(super) fn assisted_call_step(telling: &Telling<'_>) -> Option<u8> {
    Some(match telling.fact.what {
        What::CallBooked => 0,
        What::CallHeld => 1,
        What::AttemptOpened if telling.word(By::Surface) == Some("assisted_call") => 2,
        What::ConnectionLinked => 3,
        _ => return None,
    })
}

pub(super) fn assisted_call_outcome(telling: &Telling<'_>) -> Option<u8> {
    Some(match telling.fact.what {
        What::FileUploaded => 0,
        What::ObjectionRecorded => 1,
        _ => return None,
    })
}
