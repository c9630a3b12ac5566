//! The invitation before a journey: most are delivered, fewer read, fewer followed.

use super::Teller;
use crate::generate::catalog::{BOUNCED, EMAIL, INVITE_COURSES, SMS_FAILED};
use crate::generate::dice::{DAY, MINUTE, SECOND};
use crate::generate::fact::{Detail, Fact, Kind, Sender, ids};
use crate::generate::what::What;

const INVITE: u16 = ids::COMPANY | ids::INVITE;

/// What becomes of an invitation, in the order of INVITE_COURSES.
const BOUNCES: usize = 0;
const UNREAD: usize = 1;
const UNCLICKED: usize = 2;
const BLOCKED: usize = 3;

impl Teller<'_, '_> {
    /// Whether the invitation is followed, so that the flow opens.
    pub(super) fn invite(&mut self) -> bool {
        let medium = self.journey.medium.unwrap_or(EMAIL);
        let course = INVITE_COURSES.iter().find(|(of, _)| *of == medium);
        let course = course.map_or([0.2; 5], |(_, course)| *course);
        let fate = self.pen.dice.weighted(&course);
        self.say(What::InviteCreated, Sender::Server, Kind::Link, 0);
        if self.pen.dice.chance(0.01) {
            return false;
        }
        self.pen.wait(20 * SECOND, 0.5);
        self.say(What::InviteSent, Sender::Mail, Kind::Link, 0);
        if fate == BOUNCES {
            self.bounce(medium);
            return false;
        }
        self.be_scanned();
        self.pen.wait(8 * SECOND, 0.5);
        self.say(What::InviteDelivered, Sender::Mail, Kind::Link, 0);
        if fate == UNREAD {
            self.remind();
            self.expire();
            return false;
        }
        if self.pen.dice.chance(0.12) {
            self.remind();
        }
        self.pen.wait(50 * MINUTE, 1.2);
        self.say(What::InviteOpened, Sender::Mail, Kind::Link, 0);
        if fate == UNCLICKED {
            self.expire();
            return false;
        }
        self.pen.wait(20 * SECOND, 0.7);
        self.say(What::InviteClicked, Sender::Server, Kind::Link, 0);
        self.pen.wait(2 * SECOND, 0.5);
        // The company's firewall lets nothing through: nobody tells.
        fate != BLOCKED
    }

    /// Some open the link again when all is over.
    pub(super) fn reuse(&mut self) {
        if self.pen.dice.chance(0.03) {
            self.pen.wait_long(6 * 60 * MINUTE, 1.0);
            self.pen.integration = None;
            self.say(What::InviteReused, Sender::Server, Kind::Link, 0);
        }
    }

    fn say(&mut self, what: What, sender: Sender, kind: Kind, reminders: u16) {
        self.pen.tell_with(what, sender, INVITE, |fact| {
            fact.kind = Some(kind);
            if reminders > 0 {
                fact.detail = Detail::Reminded(reminders);
            }
        });
    }

    fn bounce(&mut self, medium: u8) {
        self.pen.wait(30 * SECOND, 0.8);
        let reason = if medium == EMAIL { BOUNCED } else { SMS_FAILED };
        let failed = |fact: &mut Fact| {
            fact.kind = Some(Kind::Link);
            fact.reason = Some(reason);
        };
        let what = What::InviteDeliveryFailed;
        self.pen.tell_with(what, Sender::Mail, INVITE, failed);
    }

    /// A mail scanner opens the link before anybody reads the mail.
    fn be_scanned(&mut self) {
        if self.pen.dice.chance(self.pen.world.config.dirt.scanners) {
            self.pen.wait(4 * SECOND, 0.8);
            let ids = ids::COMPANY | ids::JOURNEY | ids::INVITE;
            self.pen
                .tell_with(What::AttemptOpened, Sender::Sdk, ids, |fact| {
                    fact.scanner = true;
                });
        }
    }

    fn remind(&mut self) {
        if self.pen.dice.chance(0.35) {
            self.pen.wait_long(3 * DAY, 0.3);
            self.say(What::InviteSent, Sender::Mail, Kind::Reminder, 1);
        }
    }

    fn expire(&mut self) {
        // Nobody waits two weeks in an endless stream.
        if self.pen.world.config.days.is_some() && self.pen.dice.chance(0.4) {
            self.pen.now_us += 14 * DAY;
            self.say(What::InviteExpired, Sender::Server, Kind::Link, 0);
        }
    }
}
