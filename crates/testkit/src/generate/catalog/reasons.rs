//! Why something ended (domain.md 3.7).

use std::ops::Range;

/// Why something ended.
pub(crate) struct Reason {
    pub(crate) class: &'static str,
    pub(crate) code: &'static str,
    pub(crate) vendor_code: Option<&'static str>,
    pub(crate) attribution: &'static str,
    pub(crate) recoverable: bool,
    /// The step it happened at, where it happened at one.
    pub(crate) stage: Option<&'static str>,
}

const fn reason(
    class: &'static str,
    code: &'static str,
    vendor_code: &'static str,
    attribution: &'static str,
    recoverable: bool,
    stage: &'static str,
) -> Reason {
    Reason {
        class,
        code,
        vendor_code: if vendor_code.is_empty() {
            None
        } else {
            Some(vendor_code)
        },
        attribution,
        recoverable,
        stage: if stage.is_empty() { None } else { Some(stage) },
    }
}

/// Reasons, by where they happen: see the ranges below.
#[rustfmt::skip]
pub(crate) const REASONS: &[Reason] = &[
    // before a choice
    reason("user_choice", "exited_at_step", "", "user", true, "provider_selection"),
    reason("effort", "no_time", "", "user", true, "provider_selection"),
    reason("value", "no_perceived_benefit", "", "user", true, "provider_selection"),
    reason("entity", "unsure_which", "", "user", true, "provider_selection"),
    reason("platform", "not_found", "no_result", "provider", false, "provider_selection"),
    // at consent
    reason("user_choice", "consent_denied", "", "user", true, "consent"),
    reason("trust", "scope_too_broad", "", "user", true, "consent"),
    reason("trust", "aggregator_unknown", "", "user", true, "consent"),
    // at the provider, the user's side
    reason("user_choice", "cancelled", "403", "user", true, "handoff"),
    reason("permission", "missing_admin", "insufficient_role", "customer_org", true, "handoff"),
    reason("authentication", "invalid_credentials", "INVALID_CREDENTIALS", "user", true, "authentication"),
    reason("permission", "no_credentials_at_hand", "", "customer_org", true, "authentication"),
    // at the provider, their side
    reason("platform", "down", "503", "institution", true, "handoff"),
    reason("technical", "institution_error", "server_error", "institution", true, "handoff"),
    reason("technical", "provider_error", "500", "provider", true, "handoff"),
    // at strong authentication
    reason("authentication", "sca_failed", "SCA_FAILED", "user", true, "sca"),
    reason("authentication", "sca_timeout", "SCA_EXPIRED", "user", true, "sca"),
    // on the way to the reader
    reason("delivery", "email_bounced", "550", "customer_org", false, "notice"),
    reason("delivery", "sms_failed", "undeliverable", "network", true, "notice"),
    // said to a relationship manager
    reason("trust", "security_concern", "", "user", true, ""),
    reason("trust", "ongoing_access_refused", "", "user", true, ""),
    reason("value", "satisfied_with_manual", "", "user", true, ""),
    reason("effort", "no_time", "", "user", true, ""),
    reason("permission", "it_approval_pending", "", "customer_org", true, ""),
    reason("permission", "company_policy", "", "customer_org", false, ""),
    // of payments
    reason("payment", "insufficient_funds", "insufficient_funds", "user", true, "confirm"),
    reason("payment", "limit_exceeded", "limit_exceeded", "institution", true, "confirm"),
    reason("payment", "provider_rejected", "provider_rejected", "institution", true, "confirm"),
    reason("authentication", "sca_failed", "sca_failed", "user", true, "sca"),
    // of syncs
    reason("data", "auth_error", "401", "provider", true, ""),
    reason("data", "permission_error", "403", "customer_org", true, ""),
    reason("data", "fetch_error", "504", "provider", true, ""),
];
/// Reasons before a choice (the one after them is `not_found`).
pub(crate) const LEFT_EARLY: Range<u8> = 0..4;
/// `platform.not_found`.
pub(crate) const NOT_FOUND: u8 = 4;
/// Reasons at consent; the first is `consent_denied`.
pub(crate) const AT_CONSENT: Range<u8> = 5..8;
/// Reasons at the provider on the user's side.
pub(crate) const AT_HANDOFF: Range<u8> = 8..12;
/// Reasons at the provider on their side; the first is `down`.
pub(crate) const THEIR_FAULT: Range<u8> = 12..15;
/// Reasons at strong authentication.
pub(crate) const AT_SCA: Range<u8> = 15..17;
/// An e-mail that came back.
pub(crate) const BOUNCED: u8 = 17;
/// A message that was not delivered.
pub(crate) const SMS_FAILED: u8 = 18;
/// Objections that a person heard.
pub(crate) const OBJECTIONS: Range<u8> = 19..25;
/// Why payments fail.
pub(crate) const PAYMENT_FAILED: Range<u8> = 25..29;
/// Why syncs fail; `auth_error`, `permission_error`, `fetch_error`.
pub(crate) const DATA_ERROR: Range<u8> = 29..32;
