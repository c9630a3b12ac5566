//! One journey, from opening to its end. Its course (chosen integrations, whether they work) is drawn first, so that
//! configured rates are met; then it is told event by event.

use super::catalog::{
    AT_CONSENT, AT_HANDOFF, AT_SCA, Auth, EMAIL, EMBEDDED, INTEGRATIONS, LEFT_EARLY, NOT_FOUND,
    PORTAL, PROVIDERS, REMINDER, SURFACES, THEIR_FAULT, USE_CASES,
};
use super::company::{Company, Intention, small};
use super::config::Ids;
use super::course::Course;
use super::dice::{DAY, Dice, HOUR, MINUTE, SECOND};
use super::fact::{Fact, Pen, Sender, World, ids};
use super::what::What;

const SALT_JOURNEY: u64 = 3;

/// What all events of a journey share.
pub(crate) struct Journey {
    pub(crate) number: u64,
    pub(crate) category: u8,
    pub(crate) journey_type: u8,
    pub(crate) surface: u8,
    /// Index into ENTRY_POINTS; none: not said.
    pub(crate) entry_point: Option<u8>,
    /// Index into MEDIUMS; none: not said.
    pub(crate) medium: Option<u8>,
    pub(crate) use_case: Option<u8>,
    /// Country and locale are named.
    pub(crate) country: bool,
    pub(crate) sandbox: bool,
}

impl Journey {
    /// Medium as that event says it.
    pub(crate) fn medium_at(&self, fact: &Fact) -> Option<u8> {
        if fact.resumed {
            Some(EMAIL)
        } else {
            self.medium
        }
    }

    /// Entry point as that event says it.
    pub(crate) fn entry_point_at(&self, fact: &Fact) -> Option<u8> {
        if fact.resumed {
            Some(REMINDER)
        } else {
            self.entry_point
        }
    }
}

/// Writes the events of one journey to `facts`.
pub(crate) fn tell(
    world: &World,
    company: &Company,
    intention: &Intention,
    facts: &mut Vec<Fact>,
) -> Journey {
    let number = company.number * 8 + u64::from(intention.no);
    let seed = company.key.wrapping_mul(8) + u64::from(intention.no);
    let mut dice = Dice::new(world.config.seed, SALT_JOURNEY, seed);
    let journey = frame(world, company, intention, number, &mut dice);
    let course = Course::draw(world, company, &journey, intention.start_us, &mut dice);
    let pen = Pen::new(world, company, dice, intention.start_us, facts);
    Teller {
        pen,
        journey: &journey,
        from_arrival: intention.from_arrival,
        sdk_ids: 0,
    }
    .tell(&course);
    journey
}

fn frame(
    world: &World,
    company: &Company,
    intention: &Intention,
    number: u64,
    dice: &mut Dice,
) -> Journey {
    let weights = [SURFACES[0].weight, SURFACES[1].weight, SURFACES[2].weight];
    let surface = if intention.from_arrival && dice.chance(0.5) {
        usize::from(EMBEDDED)
    } else {
        dice.weighted(&weights)
    };
    let at = &SURFACES[surface];
    let entry_point = at.entry_points[dice.below(at.entry_points.len())];
    let medium = at.mediums[dice.below(at.mediums.len())];
    debug_assert_eq!(company.number, number / 8);
    Journey {
        number,
        category: intention.category,
        journey_type: intention.journey_type,
        surface: small(surface),
        entry_point: (!dice.chance(0.03)).then_some(entry_point),
        medium: (!dice.chance(0.04)).then_some(medium),
        use_case: dice
            .chance(0.45)
            .then(|| small(dice.below(USE_CASES.len()))),
        country: !dice.chance(0.03),
        sandbox: dice.chance(world.config.dirt.sandbox),
    }
}

struct Teller<'a, 'b> {
    pen: Pen<'a>,
    journey: &'b Journey,
    from_arrival: bool,
    /// Ids that the events of the current attempt name.
    sdk_ids: u16,
}

impl Teller<'_, '_> {
    fn tell(mut self, course: &Course) {
        // Some flows ask for the category on the way: their first events do not name it.
        self.pen.category = !self.pen.dice.chance(0.06);
        self.invite();
        self.open();
        if self.pen.dice.chance(0.05) {
            self.pen.wait(6 * SECOND, 0.8);
            let ids = self.web_ids();
            self.pen.tell(What::HelpOpened, Sender::Web, ids);
        }
        if !course.chooses {
            return self.leave_early();
        }
        if self.pen.dice.chance(0.045) {
            self.pause_and_resume();
        }
        let mut linked = self.try_out(course.first, course.first_works);
        if let Some((second, works)) = course.second.filter(|_| !linked) {
            if self.pen.dice.chance(0.15) {
                self.pause_and_resume();
            } else {
                self.again();
            }
            linked = self.try_out(second, works);
        }
        if !linked {
            self.give_up();
        }
    }

    fn sparse(&self) -> bool {
        self.pen.world.config.ids == Ids::Sparse
    }

    /// Ids of events of the page around the vendor's session.
    fn web_ids(&self) -> u16 {
        if self.sparse() {
            ids::JOURNEY | ids::SESSION
        } else {
            ids::COMPANY | ids::USER | ids::SESSION | ids::JOURNEY
        }
    }

    fn invite(&mut self) {
        if self.journey.surface != PORTAL {
            return;
        }
        let invite = ids::COMPANY | ids::INVITE;
        self.pen.tell(What::InviteSent, Sender::Mail, invite);
        if self.pen.dice.chance(self.pen.world.config.dirt.scanners) {
            self.pen.wait(4 * SECOND, 0.8);
            let ids = ids::COMPANY | ids::JOURNEY | ids::INVITE;
            self.pen
                .tell_with(What::AttemptOpened, Sender::Sdk, ids, |fact| {
                    fact.scanner = true;
                });
        }
        if self.pen.dice.chance(0.5) {
            self.pen.wait(8 * SECOND, 0.5);
            self.pen.tell(What::InviteDelivered, Sender::Mail, invite);
        }
        self.pen.wait(50 * MINUTE, 1.2);
        if self.pen.dice.chance(0.4) {
            self.pen.tell(What::InviteOpened, Sender::Mail, invite);
            self.pen.wait(20 * SECOND, 0.7);
        }
        self.pen.tell(What::InviteClicked, Sender::Server, invite);
        self.pen.wait(2 * SECOND, 0.5);
    }

    /// `journey.started`, `attempt.opened` or both, often in the same instant.
    fn open(&mut self) {
        let (started, opened) = match self.journey.surface {
            EMBEDDED => {
                let lost = self.pen.dice.unit();
                (self.from_arrival || lost > 0.4, lost < 0.97)
            }
            _ => (self.from_arrival || self.pen.dice.chance(0.2), true),
        };
        if started {
            let ids = self.web_ids() | ids::COMPANY;
            self.pen.tell(What::JourneyStarted, Sender::Web, ids);
            if self.pen.dice.chance(0.5) {
                self.pen.wait(140_000, 0.6);
            }
        }
        self.open_attempt(opened, started);
    }

    fn open_attempt(&mut self, told: bool, company_known: bool) {
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
    fn again(&mut self) {
        self.pen.wait(18 * SECOND, 0.8);
        self.pen.integration = None;
        if self.pen.dice.chance(0.7) && self.pen.attempt < 250 {
            self.open_attempt(true, true);
        }
    }

    fn pause_and_resume(&mut self) {
        self.pen.wait(25 * SECOND, 0.8);
        self.pen.integration = None;
        let ids = self.web_ids();
        let what = if self.pen.dice.chance(0.2) {
            What::JourneyDelegated
        } else {
            What::JourneyPaused
        };
        self.pen.tell(what, Sender::Web, ids);
        let pause_us = self.pen.dice.lognormal(2 * HOUR, 1.6);
        self.pen.now_us += pause_us.clamp(20 * MINUTE, 4 * DAY);
        self.pen.resumed = true;
        self.pen.tell(What::JourneyResumed, Sender::Web, ids);
        self.pen.wait(400_000, 0.5);
        self.open_attempt(true, true);
    }

    /// Tries one integration, perhaps several times; whether it linked in the end.
    fn try_out(&mut self, integration: u8, works: bool) -> bool {
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
        self.pen.wait(9 * SECOND, 0.75);
        self.pen.category = true;
        if self.pen.dice.chance(0.05) {
            self.pen
                .tell(What::ProviderSearched, Sender::Sdk, self.sdk_ids);
            self.pen.wait(4 * SECOND, 0.5);
        }
        self.pen.integration = Some(integration);
        self.pen
            .tell(What::ProviderSelected, Sender::Sdk, self.sdk_ids);
    }

    fn consent(&mut self, integration: u8) {
        let provider = INTEGRATIONS[usize::from(integration)].provider;
        self.pen.wait(8 * SECOND, 0.7);
        if PROVIDERS[usize::from(provider)].tells_consent {
            self.pen
                .tell(What::ConsentGranted, Sender::Sdk, self.sdk_ids);
            self.pen.wait(SECOND, 0.8);
        }
    }

    fn hand_off(&mut self, integration: u8) {
        let what = match INTEGRATIONS[usize::from(integration)].auth {
            Auth::Oauth | Auth::AppToApp | Auth::Desktop => What::HandoffStarted,
            Auth::Credentials | Auth::Token => What::CredentialsSubmitted,
        };
        self.pen.tell(what, Sender::Sdk, self.sdk_ids);
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
                self.pen
                    .tell_reason(What::ProviderUnavailable, self.sdk_ids, reason);
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
                self.pen
                    .tell_reason(What::AttemptFailed, self.sdk_ids, reason);
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
        let what = if reason == AT_CONSENT.start {
            What::ConsentDenied
        } else {
            What::AttemptExited
        };
        self.pen.tell_reason(what, self.sdk_ids, reason);
    }

    fn fail_at_provider(&mut self, troubled: bool, recoverable: bool) {
        let theirs = troubled || self.pen.dice.chance(0.3);
        let reason = self.one_of(if theirs { THEIR_FAULT } else { AT_HANDOFF });
        let what = match (recoverable, theirs) {
            (true, _) => What::AttemptErrored,
            (false, true) => What::AttemptFailed,
            (false, false) => What::AttemptExited,
        };
        self.pen.tell_reason(what, self.sdk_ids, reason);
    }

    fn one_of(&mut self, reasons: std::ops::Range<u8>) -> u8 {
        reasons.start + small(self.pen.dice.below(reasons.len()))
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
            self.pen.tell(What::ScaPassed, Sender::Sdk, self.sdk_ids);
            self.pen.wait(6 * SECOND, 0.7);
            if self.pen.dice.chance(0.2) {
                self.pen
                    .tell(What::AccountSelected, Sender::Sdk, self.sdk_ids);
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
        self.pen.tell(What::ConnectionLinked, sender, ids);
        self.after_link();
    }

    fn after_link(&mut self) {
        let web_ids = self.web_ids();
        if self.pen.dice.chance(0.35) {
            self.pen.wait(4 * SECOND, 0.6);
            self.pen
                .tell_with(What::JourneyCompleted, Sender::Web, web_ids, |fact| {
                    fact.integration = None;
                });
        }
        let first = self.journey.journey_type == 0;
        if !self.pen.dice.chance(if first { 0.85 } else { 0.12 }) {
            return;
        }
        let ids = if self.sparse() {
            ids::CONNECTION
        } else {
            ids::COMPANY | ids::CONNECTION
        };
        let prefills = first && self.pen.dice.chance(0.45);
        let early = prefills && self.pen.dice.chance(0.6);
        self.pen.wait(2 * MINUTE, 0.9);
        if early {
            self.pen
                .tell(What::PrefillApplied, Sender::Server, ids | ids::COMPANY);
        }
        self.pen.wait(2 * MINUTE, 0.9);
        self.pen
            .tell(What::SyncInitialCompleted, Sender::Webhook, ids);
        if prefills && !early {
            self.pen.wait(90 * SECOND, 0.9);
            self.pen
                .tell(What::PrefillApplied, Sender::Server, ids | ids::COMPANY);
        }
    }

    /// Not one integration chosen.
    fn leave_early(&mut self) {
        self.pen.wait(20 * SECOND, 0.9);
        match self.pen.dice.weighted(&[0.55, 0.25, 0.08, 0.12]) {
            0 => {
                let reason = self.one_of(LEFT_EARLY);
                self.pen
                    .tell_reason(What::AttemptExited, self.sdk_ids, reason);
            }
            1 => {
                self.pen
                    .tell(What::ProviderSearched, Sender::Sdk, self.sdk_ids);
                self.pen.wait(5 * SECOND, 0.6);
                self.pen
                    .tell_reason(What::ProviderNotFound, self.sdk_ids, NOT_FOUND);
                if self.pen.dice.chance(0.3) {
                    self.end_otherwise(What::FileUploaded);
                }
            }
            2 => self.end_otherwise(What::StepSkipped),
            _ => {}
        }
    }

    /// Nothing chosen worked.
    fn give_up(&mut self) {
        match self.pen.dice.weighted(&[0.09, 0.03, 0.03, 0.07, 0.78]) {
            0 => self.end_otherwise(What::FileUploaded),
            1 => self.end_otherwise(What::ManualEntered),
            2 => self.end_otherwise(What::StepSkipped),
            3 => self.end_otherwise(What::JourneyPaused),
            _ => {}
        }
    }

    fn end_otherwise(&mut self, what: What) {
        self.pen.wait(70 * SECOND, 0.9);
        self.pen.integration = None;
        let ids = self.web_ids();
        self.pen.tell(what, Sender::Web, ids);
    }
}
