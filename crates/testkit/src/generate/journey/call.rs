//! A call with somebody who helps, on which a journey is made (seed S1-02), and what is objected on it.

use super::{End, Teller};
use crate::generate::catalog::OBJECTIONS;
use crate::generate::dice::{DAY, MINUTE};
use crate::generate::fact::{Detail, Sender, ids};
use crate::generate::what::What;

/// Share of booked calls that are held, and share of those on which the flow is opened.
const HELD: f64 = 0.84;
const CONVINCED: f64 = 0.92;

impl Teller<'_, '_> {
    /// Whether the call is held and the flow opened on it.
    pub(super) fn book_and_call(&mut self) -> bool {
        if self.pen.dice.chance(0.3) {
            self.object();
            self.pen.wait(20 * MINUTE, 0.8);
        }
        self.book();
        if !self.pen.dice.chance(HELD) {
            return false;
        }
        self.pick_up();
        let convinced = self.pen.dice.chance(CONVINCED);
        if !convinced {
            self.hang_up(End::Left);
        }
        convinced
    }

    /// The call did not help yet: another one.
    pub(super) fn call_again(&mut self) {
        self.say_held();
        self.pen.wait(5 * MINUTE, 0.6);
        self.pen.part += 1;
        self.book();
        self.idle_us += self.pen.now_us - self.hung_up_us;
        self.pick_up();
        self.open_attempt(true, true);
    }

    /// The call is over.
    pub(super) fn hang_up(&mut self, end: End) {
        self.pen.wait(4 * MINUTE, 0.6);
        self.say_held();
        if end != End::Linked && self.pen.dice.chance(0.5) {
            self.pen.wait(3 * MINUTE, 0.6);
            self.object();
        }
    }

    fn book(&mut self) {
        self.pen.integration = None;
        let ids = ids::COMPANY | ids::CALL;
        self.pen.tell(What::CallBooked, Sender::Agent, ids);
        self.pen.wait_long(2 * DAY, 0.6);
    }

    /// Some talk before the flow is opened.
    fn pick_up(&mut self) {
        self.picked_up_us = self.pen.now_us;
        self.pen.wait(3 * MINUTE, 0.5);
    }

    /// Told when it is over, with its length.
    fn say_held(&mut self) {
        self.hung_up_us = self.pen.now_us;
        let length_us = self.pen.now_us - self.picked_up_us;
        let length_ms = u32::try_from(length_us / 1_000).unwrap_or(u32::MAX);
        let ids = if self.sparse() {
            ids::CALL
        } else {
            ids::COMPANY | ids::CALL
        };
        let (happened_us, what) = (self.picked_up_us, What::CallHeld);
        self.pen
            .tell_past(happened_us, what, Sender::Agent, ids, |fact| {
                fact.integration = None;
                fact.detail = Detail::Call(length_ms);
            });
    }

    fn object(&mut self) {
        self.pen.integration = None;
        let reason = self.one_of(OBJECTIONS);
        let what = What::ObjectionRecorded;
        self.pen
            .tell_with(what, Sender::Agent, ids::COMPANY, |fact| {
                fact.reason = Some(reason);
            });
    }
}
