//! Categories, the platforms that can be linked, with rates of their own, and the aggregators between.

use crate::generate::what::What;

/// A category of journeys.
pub(crate) struct Category {
    pub(crate) name: &'static str,
    pub(crate) weight: f64,
    /// What is synced from it, the first type first.
    pub(crate) data_types: &'static [&'static str],
}

/// Categories of journeys.
pub(crate) const CATEGORIES: &[Category] = &[
    category(
        "accounting",
        0.48,
        &["company", "customers", "suppliers", "invoices", "bills"],
    ),
    category("banking", 0.27, &["accounts", "balances", "transactions"]),
    category("commerce", 0.13, &["orders", "products", "payouts"]),
    category("payroll_hris", 0.08, &["employees", "payslips"]),
    category("expense", 0.04, &["expenses"]),
];
/// Index of `accounting`, the category whose software is written back to.
pub(crate) const ACCOUNTING: u8 = 0;
/// Index of `banking`, whose integrations are banks.
pub(crate) const BANKING: u8 = 1;

const fn category(
    name: &'static str,
    weight: f64,
    data_types: &'static [&'static str],
) -> Category {
    Category {
        name,
        weight,
        data_types,
    }
}

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
    /// Events that it never tells (vendors.md 2.8), whoever asks; the page around it may.
    pub(crate) hides: &'static [What],
}

/// Codat tells what was chosen, the consent and the link; the hand-off happens inside it.
const BY_CODAT: &[What] = &[
    What::AttemptOpened,
    What::InviteDelivered,
    What::ProviderSearched,
    What::ProviderNotFound,
    What::HandoffStarted,
    What::CredentialsSubmitted,
    What::ScaChallenged,
    What::ScaPassed,
    What::AccountSelected,
];
const BY_TRUELAYER: &[What] = &[
    What::InviteDelivered,
    What::ProviderSearched,
    What::ProviderNotFound,
    What::AccountSelected,
];
const BY_BRIDGE: &[What] = &[
    What::AttemptOpened,
    What::InviteDelivered,
    What::ProviderSearched,
    What::ProviderNotFound,
    What::ConsentGranted,
    What::ConsentDenied,
    What::AccountSelected,
];
/// Those that tell how it ended and nothing of the way there.
const BY_THE_SILENT: &[What] = &[
    What::AttemptOpened,
    What::InviteDelivered,
    What::ProviderSearched,
    What::ProviderNotFound,
    What::ProviderSelected,
    What::ConsentGranted,
    What::ConsentDenied,
    What::HandoffStarted,
    What::CredentialsSubmitted,
    What::ScaChallenged,
    What::ScaPassed,
    What::AccountSelected,
];

macro_rules! providers {
    ($($name:literal $sdk:literal $webhook:literal $tells_consent:literal $grain_us:literal $hides:expr;)+) => {
        /// Aggregators.
        pub(crate) const PROVIDERS: &[Provider] = &[$(Provider {
            name: $name, sdk: $sdk, webhook: $webhook, tells_consent: $tells_consent,
            webhook_grain_us: $grain_us, hides: $hides,
        }),+];
    };
}

providers! {
    "codat" "codat.sdk" "codat.webhook" true 1_000_000 BY_CODAT;
    "plaid" "plaid.sdk" "plaid.webhook" true 1_000 &[];
    "truelayer" "truelayer.sdk" "truelayer.webhook" true 1_000 BY_TRUELAYER;
    "tink" "tink.callback" "tink.webhook" false 1_000 BY_THE_SILENT;
    "bridge" "bridge.callback" "bridge.webhook" false 1_000_000 BY_BRIDGE;
    "direct" "first_party_web" "first_party_server" false 1 &[];
    "finch" "finch" "finch" false 1_000 BY_THE_SILENT;
    "merge" "merge" "merge" false 1_000 BY_THE_SILENT;
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
}
