//! F3: what becomes of an invitation to link, from a portal, a campaign or a hosted page.

use super::{E, days, funnel, hours, none_of, only, outcome, step};
use crate::funnel::{NamedFunnel, Subject};

pub(super) fn all() -> Vec<NamedFunnel> {
    let within = |about, window| {
        // Invitations to pay and to reconnect have funnels of their own.
        let to_link = none_of("kind", &["payment", "reconnect"]);
        let steps = vec![
            only(to_link, step("Created", &[E::InviteCreated])),
            step("Sent", &[E::InviteSent]),
            step("Delivered", &[E::InviteDelivered]),
            step("Read", &[E::InviteOpened]),
            step("Clicked", &[E::InviteClicked]),
            step("Opened the flow", &[E::AttemptOpened]),
            step("Linked", &[E::ConnectionLinked]),
        ];
        let outcomes = vec![
            outcome("Not delivered", &[E::InviteDeliveryFailed]),
            outcome("Opened once more after use", &[E::InviteReused]),
            outcome("Expired", &[E::InviteExpired]),
        ];
        funnel(about, Subject::Invite, window, steps, outcomes)
    };
    vec![
        within(
            [
                "invitation",
                "Invitation",
                "from an invitation to the link, within 30 days; who clicked without opening the flow was blocked on the way",
            ],
            days(30),
        ),
        within(
            [
                "invitation_1d",
                "Invitation within a day",
                "from an invitation to the link, within a day, for invitations that hold a one-time code",
            ],
            hours(24),
        ),
    ]
}
