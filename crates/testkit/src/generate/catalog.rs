//! What companies choose from: categories, integrations with rates of their own, surfaces, countries, reasons.
//! Invented figures of a believable size; no claim about the named businesses.

/// A thing with a name and a weight in the draw.
pub(crate) struct Choice {
    pub(crate) name: &'static str,
    pub(crate) weight: f64,
}

const fn choice(name: &'static str, weight: f64) -> Choice {
    Choice { name, weight }
}

/// Categories of journeys.
pub(crate) const CATEGORIES: &[Choice] = &[
    choice("accounting", 0.48),
    choice("banking", 0.27),
    choice("commerce", 0.13),
    choice("payroll_hris", 0.08),
    choice("expense", 0.04),
];

/// How an integration asks the user in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Redirect to the provider.
    Oauth,
    /// From app to app on the phone.
    AppToApp,
    /// User name and password inside the widget.
    Credentials,
    /// A key pasted.
    Token,
    /// A program on the desktop.
    Desktop,
}

impl Auth {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Auth::Oauth => "oauth_redirect",
            Auth::AppToApp => "app_to_app",
            Auth::Credentials => "embedded_credentials",
            Auth::Token => "api_token",
            Auth::Desktop => "desktop_connector",
        }
    }
}

/// A platform that can be linked.
pub(crate) struct Integration {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    /// Index into CATEGORIES.
    pub(crate) category: u8,
    pub(crate) kind: &'static str,
    /// Index into PROVIDERS.
    pub(crate) provider: u8,
    pub(crate) auth: Auth,
    /// Strong authentication is asked for.
    pub(crate) sca: bool,
    /// Linked with it ÷ journeys that chose it.
    pub(crate) success: f64,
    pub(crate) weight: f64,
}

/// An aggregator and how its events arrive.
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) sdk: &'static str,
    pub(crate) webhook: &'static str,
    /// The consent screen tells us.
    pub(crate) tells_consent: bool,
    /// Granularity of the clock in its webhooks, µs.
    pub(crate) webhook_grain_us: i64,
}

/// Aggregators.
pub(crate) const PROVIDERS: &[Provider] = &[
    provider("codat", "codat.sdk", "codat.webhook", true, 1_000_000),
    provider("plaid", "plaid.sdk", "plaid.webhook", true, 1_000),
    provider(
        "truelayer",
        "truelayer.sdk",
        "truelayer.webhook",
        true,
        1_000,
    ),
    provider("tink", "tink.callback", "tink.webhook", false, 1_000),
    provider(
        "bridge",
        "bridge.callback",
        "bridge.webhook",
        false,
        1_000_000,
    ),
    provider("direct", "first_party_web", "first_party_server", false, 1),
    provider("finch", "finch", "finch", false, 1_000),
    provider("merge", "merge", "merge", false, 1_000),
];

const fn provider(
    name: &'static str,
    sdk: &'static str,
    webhook: &'static str,
    tells_consent: bool,
    webhook_grain_us: i64,
) -> Provider {
    Provider {
        name,
        sdk,
        webhook,
        tells_consent,
        webhook_grain_us,
    }
}

macro_rules! integrations {
    ($($category:literal $kind:literal { $($key:literal $name:literal $provider:literal $auth:ident $sca:literal $success:literal $weight:literal;)+ })+) => {
        /// Everything that can be chosen.
        pub(crate) const INTEGRATIONS: &[Integration] = &[$($(Integration {
            key: $key, name: $name, category: $category, kind: $kind, provider: $provider,
            auth: Auth::$auth, sca: $sca, success: $success, weight: $weight,
        }),+),+];
    };
}

integrations! {
    0 "smb_accounting" {
        "xero" "Xero" 0 Oauth false 0.88 26.0;
        "quickbooks_online" "QuickBooks Online" 0 Oauth false 0.86 24.0;
        "sage_business_cloud" "Sage Business Cloud" 0 Oauth false 0.78 11.0;
        "sage50" "Sage 50" 0 Desktop false 0.56 5.0;
        "freeagent" "FreeAgent" 0 Oauth false 0.85 7.0;
        "exact" "Exact Online" 0 Oauth false 0.73 5.0;
        "pennylane" "Pennylane" 5 Token false 0.84 8.0;
        "zoho_books" "Zoho Books" 0 Oauth false 0.76 4.0;
        "kashflow" "KashFlow" 0 Credentials false 0.66 2.0;
    }
    0 "erp" {
        "netsuite" "Oracle NetSuite" 0 Token false 0.58 4.0;
        "dynamics_365_bc" "Dynamics 365 Business Central" 0 Oauth false 0.63 4.0;
    }
    1 "bank" {
        "barclays" "Barclays" 2 AppToApp true 0.79 14.0;
        "hsbc" "HSBC" 2 AppToApp true 0.74 12.0;
        "lloyds" "Lloyds Bank" 2 AppToApp true 0.78 11.0;
        "natwest" "NatWest" 2 AppToApp true 0.77 10.0;
        "bnp_paribas" "BNP Paribas" 4 Oauth true 0.68 10.0;
        "credit_agricole" "Crédit Agricole" 4 Oauth true 0.61 9.0;
        "societe_generale" "Société Générale" 4 Oauth true 0.64 8.0;
        "deutsche_bank" "Deutsche Bank" 3 Oauth true 0.66 7.0;
        "commerzbank" "Commerzbank" 3 Credentials true 0.63 5.0;
        "chase" "Chase" 1 Oauth true 0.76 8.0;
        "wells_fargo" "Wells Fargo" 1 Oauth true 0.71 6.0;
    }
    2 "ecommerce" {
        "shopify" "Shopify" 0 Oauth false 0.83 34.0;
        "woocommerce" "WooCommerce" 0 Token false 0.69 22.0;
        "amazon" "Amazon Seller Central" 5 Oauth false 0.66 18.0;
    }
    2 "psp" {
        "stripe" "Stripe" 5 Oauth false 0.87 18.0;
        "square" "Square" 0 Oauth false 0.80 8.0;
    }
    3 "payroll" {
        "gusto" "Gusto" 6 Credentials false 0.78 36.0;
        "adp" "ADP Workforce Now" 6 Credentials false 0.59 30.0;
    }
    3 "hris" {
        "personio" "Personio" 7 Token false 0.75 20.0;
        "bamboohr" "BambooHR" 7 Token false 0.77 14.0;
    }
    4 "other" {
        "pleo" "Pleo" 0 Oauth false 0.82 55.0;
        "spendesk" "Spendesk" 7 Token false 0.76 45.0;
    }
}

/// The place of an integration in INTEGRATIONS.
pub(crate) fn integration(key: &str) -> Option<u8> {
    INTEGRATIONS
        .iter()
        .position(|integration| integration.key == key)
        .and_then(|index| u8::try_from(index).ok())
}

/// Where the journey runs.
pub(crate) struct Surface {
    pub(crate) name: &'static str,
    pub(crate) weight: f64,
    /// Failures of every kind are multiplied by it; the mean over the weights is about one.
    pub(crate) hardship: f64,
    /// Indices into ENTRY_POINTS.
    pub(crate) entry_points: &'static [u8],
    /// Indices into MEDIUMS.
    pub(crate) mediums: &'static [u8],
}

/// Surfaces with different rates.
pub(crate) const SURFACES: &[Surface] = &[
    Surface {
        name: "embedded_sdk",
        weight: 0.52,
        hardship: 0.85,
        entry_points: &[0, 2, 3, 4, 5, 6],
        mediums: &[0],
    },
    Surface {
        name: "hosted_page",
        weight: 0.29,
        hardship: 1.02,
        entry_points: &[1, 2, 6, 7],
        mediums: &[0, 1, 2],
    },
    Surface {
        name: "portal_link",
        weight: 0.19,
        hardship: 1.38,
        entry_points: &[8, 9],
        mediums: &[1, 2, 3, 4],
    },
];
/// Index of `portal_link`, whose journeys begin with an invitation.
pub(crate) const PORTAL: u8 = 2;
/// Index of `embedded_sdk`.
pub(crate) const EMBEDDED: u8 = 0;

/// Where the user came from.
pub(crate) const ENTRY_POINTS: &[&str] = &[
    "signup_confirmation",
    "welcome_email",
    "onboarding_checklist",
    "dashboard_center",
    "main_menu",
    "sub_menu",
    "application_form",
    "need_trigger",
    "campaign_intro_link",
    "relationship_manager",
    "reminder",
];
/// Index of `reminder`: how paused journeys are resumed.
pub(crate) const REMINDER: u8 = 10;

/// What carried the prompt.
pub(crate) const MEDIUMS: &[&str] = &["in_app", "email", "sms", "direct_url", "chat"];
/// Index of `email`.
pub(crate) const EMAIL: u8 = 1;

/// Use cases; many events name none.
pub(crate) const USE_CASES: &[&str] = &[
    "urgent_cash",
    "opportunity",
    "revolving",
    "covenant",
    "onboarding",
    "monitoring",
];

/// Countries with their locale.
pub(crate) const COUNTRIES: &[(&str, &str, f64)] = &[
    ("GB", "en-GB", 0.38),
    ("FR", "fr-FR", 0.22),
    ("DE", "de-DE", 0.15),
    ("US", "en-US", 0.13),
    ("NL", "nl-NL", 0.07),
    ("IE", "en-IE", 0.05),
];

/// Classes of devices: name, weight, hardship.
pub(crate) const DEVICES: &[(&str, f64, f64)] = &[
    ("desktop", 0.62, 0.95),
    ("mobile", 0.33, 1.1),
    ("tablet", 0.05, 1.0),
];

/// Types of journeys.
pub(crate) const JOURNEY_TYPES: &[&str] = &["first_link", "additional_link", "reconnect"];

/// Why something ended.
pub(crate) struct Reason {
    pub(crate) class: &'static str,
    pub(crate) code: &'static str,
    pub(crate) vendor_code: Option<&'static str>,
    pub(crate) attribution: &'static str,
    pub(crate) recoverable: bool,
    pub(crate) stage: &'static str,
}

const fn reason(
    class: &'static str,
    code: &'static str,
    vendor_code: Option<&'static str>,
    attribution: &'static str,
    recoverable: bool,
    stage: &'static str,
) -> Reason {
    Reason {
        class,
        code,
        vendor_code,
        attribution,
        recoverable,
        stage,
    }
}

/// Reasons, by where they happen: see the ranges below.
pub(crate) const REASONS: &[Reason] = &[
    // before a choice
    reason(
        "user_choice",
        "exited_at_step",
        None,
        "user",
        true,
        "provider_selection",
    ),
    reason(
        "effort",
        "no_time",
        None,
        "user",
        true,
        "provider_selection",
    ),
    reason(
        "value",
        "no_perceived_benefit",
        None,
        "user",
        true,
        "provider_selection",
    ),
    reason(
        "entity",
        "unsure_which",
        None,
        "user",
        true,
        "provider_selection",
    ),
    reason(
        "platform",
        "not_found",
        Some("no_result"),
        "provider",
        false,
        "provider_selection",
    ),
    // at consent
    reason(
        "user_choice",
        "consent_denied",
        None,
        "user",
        true,
        "consent",
    ),
    reason("trust", "scope_too_broad", None, "user", true, "consent"),
    reason("trust", "aggregator_unknown", None, "user", true, "consent"),
    // at the provider, the user's side
    reason(
        "user_choice",
        "cancelled",
        Some("403"),
        "user",
        true,
        "handoff",
    ),
    reason(
        "permission",
        "missing_admin",
        Some("insufficient_role"),
        "customer_org",
        true,
        "handoff",
    ),
    reason(
        "authentication",
        "invalid_credentials",
        Some("INVALID_CREDENTIALS"),
        "user",
        true,
        "authentication",
    ),
    reason(
        "permission",
        "no_credentials_at_hand",
        None,
        "customer_org",
        true,
        "authentication",
    ),
    // at the provider, their side
    reason(
        "platform",
        "down",
        Some("503"),
        "institution",
        true,
        "handoff",
    ),
    reason(
        "technical",
        "institution_error",
        Some("server_error"),
        "institution",
        true,
        "handoff",
    ),
    reason(
        "technical",
        "provider_error",
        Some("500"),
        "provider",
        true,
        "handoff",
    ),
    // at strong authentication
    reason(
        "authentication",
        "sca_failed",
        Some("SCA_FAILED"),
        "user",
        true,
        "sca",
    ),
    reason(
        "authentication",
        "sca_timeout",
        Some("SCA_EXPIRED"),
        "user",
        true,
        "sca",
    ),
];
/// Reasons before a choice (the one after them is `not_found`).
pub(crate) const LEFT_EARLY: std::ops::Range<u8> = 0..4;
/// `platform.not_found`.
pub(crate) const NOT_FOUND: u8 = 4;
/// Reasons at consent; the first is `consent_denied`.
pub(crate) const AT_CONSENT: std::ops::Range<u8> = 5..8;
/// Reasons at the provider on the user's side.
pub(crate) const AT_HANDOFF: std::ops::Range<u8> = 8..12;
/// Reasons at the provider on their side; the first is `down`.
pub(crate) const THEIR_FAULT: std::ops::Range<u8> = 12..15;
/// Reasons at strong authentication.
pub(crate) const AT_SCA: std::ops::Range<u8> = 15..17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_more_than_25_integrations_in_every_category() {
        assert!(INTEGRATIONS.len() >= 25);
        for category in 0..CATEGORIES.len() {
            assert!(
                INTEGRATIONS
                    .iter()
                    .filter(|integration| usize::from(integration.category) == category)
                    .count()
                    >= 2
            );
        }
    }

    #[test]
    fn surfaces_differ_but_leave_the_mean_alone() {
        let mean: f64 = SURFACES.iter().map(|s| s.weight * s.hardship).sum();
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
    }
}
