//! F2: a company's way from its first visit to its first data.
//!
//! In one session means that no event of another session is used; what names none, such as a vendor's webhook, may be.
//! The notation ends in an optional `prefill.applied`; here it stands before the first sync, where it is reported when the
//! prefilling came first.

use super::{E, alternative, days, differs, equals, funnel, only, optional, outcome, step};
use crate::funnel::{NamedFunnel, StepDefinition, Subject};

pub(super) fn all() -> Vec<NamedFunnel> {
    let within = |about, count| {
        funnel(
            about,
            Subject::Company,
            days(count),
            steps(),
            vec![outcome("Uploaded a file", &[E::FileUploaded])],
        )
    };
    let mut in_one_session = within(
        [
            "first_link_session",
            "First link in one session",
            "a company's way from its first visit to its first data, without leaving in between and within a day",
        ],
        1,
    );
    in_one_session.definition.hold_constant = vec!["session_id".to_owned()];
    vec![
        in_one_session,
        within(
            [
                "first_link",
                "First link",
                "a company's way from its first visit to its first data, within seven days",
            ],
            7,
        ),
        within(
            [
                "first_link_1d",
                "First link within a day",
                "a company's way from its first visit to its first data, within a day",
            ],
            1,
        ),
        within(
            [
                "first_link_30d",
                "First link within 30 days",
                "a company's way from its first visit to its first data, within thirty days",
            ],
            30,
        ),
    ]
}

fn steps() -> Vec<StepDefinition> {
    let mut prompted = step("Prompted", &[E::InviteSent, E::CtaShown]);
    prompted.any_of[0].conditions = vec![equals("entry_point", "welcome_email")];
    let mut clicked = step("Clicked", &[]);
    // A click on the link in an invoice is no wish to link.
    clicked.any_of = [E::InviteClicked, E::CtaClicked]
        .map(|event| alternative(event, vec![differs("kind", "payment")]))
        .to_vec();
    vec![
        step("Landed", &[E::VisitLanded]),
        step("Signed up", &[E::SignupCompleted]),
        optional(prompted),
        clicked,
        only(
            equals("journey_type", "first_link"),
            step("Started a journey", &[E::JourneyStarted]),
        ),
        step("Linked", &[E::ConnectionLinked]),
        optional(step("Prefilled", &[E::PrefillApplied])),
        step("First sync", &[E::SyncInitialCompleted]),
    ]
}
