//! F5: what becomes of a payment link.

use super::{E, days, equals, funnel, minutes, one_of, only, optional, outcome, step};
use crate::funnel::{NamedFunnel, OutcomeDefinition, StepDefinition, Subject};

pub(super) fn all() -> Vec<NamedFunnel> {
    let mut steps = vec![
        step("Created", &[E::PaymentLinkCreated]),
        only(equals("kind", "payment"), step("Sent", &[E::InviteSent])),
        optional(step("Delivered", &[E::InviteDelivered])),
    ];
    steps.extend(on_the_page());
    let mut outcomes = on_the_page_otherwise();
    outcomes.extend([
        outcome("Withdrawn", &[E::PaymentLinkRevoked]),
        outcome("Expired", &[E::PaymentLinkExpired]),
    ]);
    steps.extend([
        step("Settled", &[E::PaymentSettled]),
        step("Invoice paid", &[E::InvoicePaid]),
    ]);
    vec![
        funnel(
            [
                "pay_by_link",
                "Pay by link",
                "from a payment link to the paid invoice, within the 90 days that such a link lives at most",
            ],
            Subject::PaymentLink,
            days(90),
            steps,
            outcomes,
        ),
        funnel(
            [
                "pay_by_link_checkout",
                "Pay by link, on the page",
                "from opening the payment page to the executed transfer, within the 15 minutes of a checkout",
            ],
            Subject::PaymentLink,
            minutes(15),
            on_the_page(),
            on_the_page_otherwise(),
        ),
    ]
}

fn on_the_page() -> Vec<StepDefinition> {
    vec![
        step("Opened", &[E::PaymentLinkOpened]),
        step("Chose bank", &[E::PaymentBankSelected]),
        step("Strong authentication", &[E::PaymentAuthorizing]),
        step("Authorised", &[E::PaymentAuthorized]),
        step("Executed", &[E::PaymentExecuted]),
    ]
}

fn on_the_page_otherwise() -> Vec<OutcomeDefinition> {
    let mut other_method = outcome("Chose another method", &[E::PaymentMethodChosen]);
    let others = ["card", "direct_debit", "manual_transfer", "other"];
    other_method.conditions = vec![one_of("payment.method", &others)];
    vec![
        outcome("Declared a manual transfer", &[E::PaymentManualDeclared]),
        other_method,
        outcome("Failed", &[E::PaymentFailed]),
    ]
}
