//! What a provider cannot show (vendors.md 2.8, the columns marked "–" in every one of its rows): a step that only such events
//! take is passed over, never a drop-off (semantics rule 12).

use crate::vocab::{EventName, Provider};

use EventName as E;

const SEARCH: &[E] = &[E::ProviderSearched, E::ProviderNotFound];
const SELECT: &[E] = &[E::ProviderSelected];
const CONSENT: &[E] = &[E::ConsentViewed, E::ConsentGranted, E::ConsentDenied];
const HANDOFF: &[E] = &[E::HandoffStarted, E::CredentialsSubmitted];
const SCA: &[E] = &[E::ScaChallenged, E::ScaPassed];
const ACCOUNT: &[E] = &[E::AccountSelected];

/// The groups of events that this provider never emits.
fn unseen(provider: Provider) -> &'static [&'static [E]] {
    match provider {
        Provider::Codat => &[SEARCH, HANDOFF, SCA, ACCOUNT],
        Provider::StripeFc | Provider::Tink | Provider::Finch | Provider::Merge => {
            &[SEARCH, SELECT, CONSENT, HANDOFF, SCA, ACCOUNT]
        }
        Provider::Bridge | Provider::Truelayer => &[SEARCH, CONSENT, ACCOUNT],
        Provider::Gocardless => &[SEARCH],
        Provider::Plaid
        | Provider::Mx
        | Provider::Mastercard
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
    fn nobody_hides_a_link_and_plaid_shows_every_step() {
        for word in Provider::WORDS {
            let provider = Provider::parse(word).unwrap();
            assert!(can_show(provider, E::ConnectionLinked), "{word}");
        }
        assert!(can_show(Provider::Plaid, E::ScaPassed));
        assert!(!can_show(Provider::Codat, E::HandoffStarted));
        assert!(can_show(Provider::Codat, E::ProviderSelected));
    }
}
