//! What a provider cannot show: the columns marked "–" in every row that vendors.md 2.8 has of it. A step that only such events
//! take is passed over, never a drop-off (semantics rule 12). Of a provider without a row nothing is assumed.
//!
//! What is emitted partly or by inference ("~") can be shown. Two columns are no steps: where somebody left, and the error code.

use crate::vocab::{EventName, Provider};

use EventName as E;

const OPEN: &[E] = &[E::AttemptOpened];
const SEARCH: &[E] = &[E::ProviderSearched, E::ProviderNotFound];
const SELECT: &[E] = &[E::ProviderSelected];
const CONSENT: &[E] = &[E::ConsentViewed, E::ConsentGranted, E::ConsentDenied];
const HANDOFF: &[E] = &[
    E::HandoffStarted,
    E::CredentialsSubmitted,
    E::HandoffReturned,
];
const SCA: &[E] = &[E::ScaChallenged, E::ScaPassed];
const ACCOUNT: &[E] = &[E::AccountSelected];
const DELIVERY: &[E] = &[E::InviteDelivered, E::InviteDeliveryFailed];
const EXPIRY: &[E] = &[E::ConnectionExpiring];
const REVOKE: &[E] = &[E::ConsentRevoked, E::ConnectionDeauthorized];

/// The groups of events that this provider never emits.
fn unseen(provider: Provider) -> &'static [&'static [E]] {
    match provider {
        Provider::Codat => &[OPEN, SEARCH, HANDOFF, SCA, ACCOUNT, DELIVERY, EXPIRY],
        Provider::StripeFc => &[
            OPEN, SEARCH, SELECT, CONSENT, HANDOFF, SCA, ACCOUNT, DELIVERY,
        ],
        Provider::Tink => &[
            OPEN, SEARCH, SELECT, CONSENT, HANDOFF, SCA, ACCOUNT, DELIVERY, EXPIRY, REVOKE,
        ],
        Provider::Finch | Provider::Merge => &[
            OPEN, SEARCH, SELECT, CONSENT, HANDOFF, SCA, ACCOUNT, DELIVERY, EXPIRY,
        ],
        Provider::Bridge => &[OPEN, SEARCH, CONSENT, ACCOUNT, DELIVERY],
        // A mandate that was authorised is told as a consent (3.8).
        Provider::Truelayer => &[SEARCH, ACCOUNT, DELIVERY],
        Provider::Gocardless => &[SEARCH, DELIVERY],
        Provider::Mx | Provider::Mastercard => &[DELIVERY],
        Provider::Plaid
        | Provider::Yapily
        | Provider::Powens
        | Provider::Saltedge
        | Provider::Nango
        | Provider::Direct
        | Provider::Other => &[],
    }
}

/// Whether a provider can show an event at all. A host's own application may still send one the provider never does.
pub fn can_show(provider: Provider, event: EventName) -> bool {
    !unseen(provider).iter().any(|group| group.contains(&event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_hides_a_link_or_a_first_sync_and_plaid_shows_every_step() {
        for provider in Provider::ALL {
            assert!(can_show(*provider, E::ConnectionLinked), "{provider:?}");
            assert!(can_show(*provider, E::SyncInitialCompleted), "{provider:?}");
        }
        for event in EventName::ALL {
            assert!(can_show(Provider::Plaid, *event), "{event:?}");
        }
    }

    #[test]
    fn the_ladder_of_each_provider_is_the_row_of_the_matrix() {
        // open, search, select, consent, hand-off, SCA, account: "–" where it is not emitted.
        let ladder = [OPEN, SEARCH, SELECT, CONSENT, HANDOFF, SCA, ACCOUNT];
        for (provider, row) in [
            (Provider::Codat, "––✓✓–––"),
            (Provider::Plaid, "✓✓✓✓✓✓✓"),
            (Provider::StripeFc, "–––––––"),
            (Provider::Tink, "–––––––"),
            (Provider::Mx, "✓✓✓✓✓✓✓"),
            (Provider::Finch, "–––––––"),
            (Provider::Merge, "–––––––"),
            (Provider::Bridge, "––✓–✓✓–"),
            (Provider::Gocardless, "✓–✓✓✓✓✓"),
        ] {
            let shown: String = ladder
                .iter()
                .map(|group| match can_show(provider, group[0]) {
                    true => '✓',
                    false => '–',
                })
                .collect();
            assert_eq!(shown, row, "{provider:?}");
        }
    }
}
