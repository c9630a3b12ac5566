//! The vendor's sessions inside a journey: what is chosen, where it fails, how it links or ends otherwise.

use super::{End, Teller};
use crate::generate::catalog::{
    AT_CONSENT, AT_HANDOFF, AT_SCA, Auth, INTEGRATIONS, LEFT_EARLY, NOT_FOUND, OWN_UI, PORTAL,
    PROVIDERS, THEIR_FAULT,
};
use crate::generate::company::Requirement;
use crate::generate::dice::SECOND;
use crate::generate::fact::{Detail, Sender, ids};
use crate::generate::what::What;

impl Teller<'_, '_> {
    pub(super) fn open_attempt(&mut self, told: bool, company_known: bool) {
        self.pen.attempt += 1;
        self.sdk_ids = if self.sparse() {
            match self.pen.dice.below(10) {
                // Without its opening nothing else would tie an attempt to its journey.
                _ if !told => ids::JOURNEY | ids::ATTEMPT,
                0..=5 => ids::ATTEMPT,
                6..=7 => ids::JOURNEY | ids::ATTEMPT,
                _ => ids::COMPANY | ids::JOURNEY | ids::ATTEMPT,
            }
        } else {
            self.web_ids() | ids::ATTEMPT
        };
        if !told {
            return;
        }
        let mut ids = self.sdk_ids | ids::JOURNEY;
        if !company_known {
            ids |= ids::COMPANY;
        }
        if self.journey.surface == PORTAL && self.pen.attempt == 1 {
            ids |= ids::INVITE;
        }
        self.pen.tell(What::AttemptOpened, Sender::Sdk, ids);
    }

    /// Another attempt of the same journey.
    pub(super) fn again(&mut self) {
        self.pen.wait(18 * SECOND, 0.8);
        self.clicks += 1;
        self.pen.integration = None;
        if self.pen.dice.chance(0.7) && self.pen.attempt < 250 {
            self.open_attempt(true, true);
        }
    }

    /// Tries one integration, perhaps several times; whether it linked in the end.
    pub(super) fn try_out(&mut self, integration: u8, works: bool) -> bool {
        let failures = if works {
            self.pen.dice.weighted(&[0.86, 0.115, 0.025])
        } else {
            1 + self.pen.dice.weighted(&[0.72, 0.22, 0.06])
        };
        for failure in 0..failures {
            if failure > 0 {
                self.again();
            }
            self.choose(integration);
            self.fail(integration, works || failure + 1 < failures);
        }
        if works {
            if failures > 0 {
                self.again();
            }
            self.choose(integration);
            self.succeed(integration);
        }
        works
    }

    fn choose(&mut self, integration: u8) {
        self.screen(4, "provider_selection");
        self.pen.wait(9 * SECOND, 0.75);
        self.pen.category = true;
        self.clicks += [1, 1, 2, 3][self.pen.dice.below(4)];
        if self.pen.dice.chance(0.05) {
            self.typed += 1;
            self.pen
                .tell(What::ProviderSearched, Sender::Sdk, self.sdk_ids);
            self.pen.wait(4 * SECOND, 0.5);
        }
        self.pen.integration = Some(integration);
        self.click(What::ProviderSelected);
    }

    /// Something that a click did. In one's own flow the choice and the way out are one's own screens, which tell them where
    /// the provider does not.
    fn click(&mut self, what: What) {
        let so_far = Detail::Clicks(self.clicks);
        let on_own_screen = matches!(
            what,
            What::ProviderSelected | What::HandoffStarted | What::CredentialsSubmitted
        );
        let sender = match self.journey.surface == OWN_UI && on_own_screen && !self.shows(what) {
            true => Sender::Web,
            false => Sender::Sdk,
        };
        self.pen.tell_detail(what, sender, self.sdk_ids, so_far);
    }

    /// Whether the provider of what is chosen tells such events.
    fn shows(&self, what: What) -> bool {
        let of = |at: u8| &PROVIDERS[usize::from(INTEGRATIONS[usize::from(at)].provider)];
        let provider = self.pen.integration.map(of);
        provider.is_none_or(|provider| !provider.hides.contains(&what))
    }

    fn consent(&mut self, integration: u8) {
        let provider = INTEGRATIONS[usize::from(integration)].provider;
        self.screen(5, "consent");
        if self.journey.surface == OWN_UI && self.pen.dice.chance(0.18) {
            self.pen.wait(5 * SECOND, 0.6);
            self.clicks += 2;
            self.screen(4, "provider_selection");
            self.pen.wait(6 * SECOND, 0.6);
            self.screen(5, "consent");
        }
        self.pen.wait(8 * SECOND, 0.7);
        self.clicks += 1;
        if PROVIDERS[usize::from(provider)].tells_consent {
            self.click(What::ConsentGranted);
            self.pen.wait(SECOND, 0.8);
        }
        self.screen(6, "handoff");
    }

    fn hand_off(&mut self, integration: u8) {
        self.clicks += 1;
        let what = match INTEGRATIONS[usize::from(integration)].auth {
            Auth::Oauth | Auth::AppToApp | Auth::Desktop => What::HandoffStarted,
            Auth::Credentials | Auth::Token => {
                self.typed += 2;
                What::CredentialsSubmitted
            }
        };
        self.click(what);
    }

    /// The attempt ends, at least for now.
    fn end_attempt(&mut self, what: What, reason: u8) {
        let effort = self.effort();
        self.pen.tell_with(what, Sender::Sdk, self.sdk_ids, |fact| {
            fact.reason = Some(reason);
            fact.detail = effort;
        });
    }

    fn fail(&mut self, integration: u8, recoverable: bool) {
        let troubled = self.pen.world.troubled(integration, self.pen.now_us);
        let at = if troubled {
            self.pen.dice.weighted(&[0.05, 0.35, 0.55, 0.05])
        } else {
            self.pen.dice.weighted(&[0.3, 0.08, 0.47, 0.15])
        };
        match at {
            0 => self.fail_at_consent(),
            1 => {
                self.pen.wait(3 * SECOND, 0.6);
                let reason = THEIR_FAULT.start;
                self.end_attempt(What::ProviderUnavailable, reason);
            }
            2 => {
                self.consent(integration);
                self.hand_off(integration);
                self.pen.wait(35 * SECOND, 0.8);
                self.fail_at_provider(troubled, recoverable);
            }
            _ if INTEGRATIONS[usize::from(integration)].sca => {
                self.consent(integration);
                self.hand_off(integration);
                self.pen.wait(20 * SECOND, 0.6);
                self.pen
                    .tell(What::ScaChallenged, Sender::Sdk, self.sdk_ids);
                self.pen.wait(40 * SECOND, 0.6);
                let reason = self.one_of(AT_SCA);
                self.end_attempt(What::AttemptFailed, reason);
            }
            // A tab closed tells nobody.
            _ => {
                self.consent(integration);
                self.hand_off(integration);
            }
        }
    }

    fn fail_at_consent(&mut self) {
        self.pen.wait(12 * SECOND, 0.8);
        let reason = self.one_of(AT_CONSENT);
        let what = if reason == AT_CONSENT.start && self.shows(What::ConsentDenied) {
            What::ConsentDenied
        } else {
            What::AttemptExited
        };
        self.end_attempt(what, reason);
    }

    fn fail_at_provider(&mut self, troubled: bool, recoverable: bool) {
        let theirs = troubled || self.pen.dice.chance(0.3);
        let reason = self.one_of(if theirs { THEIR_FAULT } else { AT_HANDOFF });
        let what = match (recoverable, theirs) {
            (true, _) => What::AttemptErrored,
            (false, true) => What::AttemptFailed,
            (false, false) => What::AttemptExited,
        };
        self.end_attempt(what, reason);
    }

    fn succeed(&mut self, integration: u8) {
        let at = &INTEGRATIONS[usize::from(integration)];
        self.consent(integration);
        self.hand_off(integration);
        if at.sca {
            self.pen.wait(14 * SECOND, 0.6);
            if self.pen.dice.chance(0.2) {
                self.pen
                    .tell(What::ScaChallenged, Sender::Sdk, self.sdk_ids);
            }
            self.pen.wait(11 * SECOND, 0.6);
            self.clicks += 1;
            self.click(What::ScaPassed);
            self.pen.wait(6 * SECOND, 0.7);
            self.clicks += 1;
            if self.pen.dice.chance(0.2) {
                self.click(What::AccountSelected);
                self.pen.wait(3 * SECOND, 0.6);
            }
        } else {
            self.pen.wait(29 * SECOND, 0.8);
        }
        let sender = if self.pen.dice.chance(0.5) {
            Sender::Webhook
        } else {
            Sender::Sdk
        };
        let ids = if self.sparse() {
            self.sdk_ids | ids::ATTEMPT | ids::CONNECTION
        } else {
            ids::COMPANY | ids::JOURNEY | ids::ATTEMPT | ids::CONNECTION
        };
        let invite = if self.journey.surface == PORTAL {
            ids::INVITE
        } else {
            0
        };
        let application = self.journey.application.map_or(0, |_| ids::APPLICATION);
        // Only the widget has counted the clicks.
        let detail = match sender {
            Sender::Sdk => self.effort(),
            _ => Detail::None,
        };
        let ids = ids | invite | application;
        self.pen
            .tell_detail(What::ConnectionLinked, sender, ids, detail);
        self.after_link();
    }

    /// Not one integration chosen.
    pub(super) fn leave_early(&mut self) -> End {
        self.pen.wait(20 * SECOND, 0.9);
        match self.pen.dice.weighted(&[0.55, 0.25, 0.08, 0.12]) {
            0 => {
                let reason = self.one_of(LEFT_EARLY);
                self.clicks += 1;
                self.end_attempt(What::AttemptExited, reason);
            }
            1 => {
                self.typed += 1;
                self.pen
                    .tell(What::ProviderSearched, Sender::Sdk, self.sdk_ids);
                self.pen.wait(5 * SECOND, 0.6);
                self.end_attempt(What::ProviderNotFound, NOT_FOUND);
                if self.pen.dice.chance(0.3) {
                    return self.end_otherwise(What::FileUploaded);
                }
            }
            2 => return self.skip(),
            _ => {}
        }
        End::Left
    }

    /// Nothing chosen worked.
    pub(super) fn give_up(&mut self) -> End {
        match self.pen.dice.weighted(&[0.09, 0.03, 0.03, 0.07, 0.78]) {
            0 => self.end_otherwise(What::FileUploaded),
            1 => self.end_otherwise(What::ManualEntered),
            2 => self.skip(),
            3 => self.end_otherwise(What::JourneyPaused),
            _ => End::Left,
        }
    }

    /// A mandatory step cannot be skipped; a file will do.
    fn skip(&mut self) -> End {
        match self.journey.application {
            Some(Requirement::Required) => self.end_otherwise(What::FileUploaded),
            _ => self.end_otherwise(What::StepSkipped),
        }
    }

    pub(super) fn end_otherwise(&mut self, what: What) -> End {
        self.pen.wait(70 * SECOND, 0.9);
        self.pen.integration = None;
        self.clicks += 1;
        let ids = self.web_ids();
        self.pen.tell(what, Sender::Web, ids);
        match what {
            What::FileUploaded => End::Uploaded,
            What::ManualEntered => End::Typed,
            What::StepSkipped => End::Skipped,
            _ => End::Left,
        }
    }
}
