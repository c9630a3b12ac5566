//! What follows a link: the first sync, what is made of its data, what is written back, what is filled in from it.

use super::Teller;
use crate::generate::catalog::{ACCOUNTING, CATEGORIES, DATA_ERROR};
use crate::generate::company::small;
use crate::generate::dice::{HOUR, MINUTE, SECOND};
use crate::generate::fact::{Detail, Sender, ids};
use crate::generate::what::What;

/// How the first sync goes: well, well but for one type of data, not at all, and in silence.
const WELL: usize = 0;
const PARTLY: usize = 1;
const FAILS: usize = 2;
const SILENCE: usize = 3;

impl Teller<'_, '_> {
    pub(super) fn after_link(&mut self) {
        let web_ids = self.web_ids();
        if self.pen.dice.chance(0.35) {
            self.pen.wait(4 * SECOND, 0.6);
            self.clicks += 1;
            let effort = self.effort();
            self.pen
                .tell_with(What::JourneyCompleted, Sender::Web, web_ids, |fact| {
                    fact.integration = None;
                    fact.detail = effort;
                });
        }
        // What the application around it does goes on meanwhile.
        let now_us = self.pen.now_us;
        self.sync();
        self.pen.now_us = now_us;
    }

    fn data_ids(&self) -> u16 {
        if self.sparse() {
            ids::CONNECTION
        } else {
            ids::COMPANY | ids::CONNECTION
        }
    }

    fn sync(&mut self) {
        let ids = self.data_ids();
        let course = self.pen.dice.weighted(&[0.88, 0.06, 0.045, 0.015]);
        if course == SILENCE {
            return;
        }
        self.pen.wait(12 * SECOND, 0.7);
        self.pen.tell(What::SyncStarted, Sender::Webhook, ids);
        if course == FAILS {
            self.fail_to_sync(0);
            return;
        }
        self.load(if course == PARTLY { 1 } else { 0 });
        if course == PARTLY && self.pen.dice.chance(0.4) {
            // One type holds up the rest.
            return;
        }
        let first = self.journey.journey_type == 0;
        let prefills = first && self.pen.dice.chance(0.45);
        let early = prefills && self.pen.dice.chance(0.6);
        if early {
            self.prefill();
        }
        self.pen.wait(2 * MINUTE, 0.9);
        let status = if course == WELL {
            "complete"
        } else {
            "partial"
        };
        let synced = Detail::Synced(status);
        self.pen
            .tell_detail(What::SyncInitialCompleted, Sender::Webhook, ids, synced);
        if prefills && !early {
            self.pen.wait(90 * SECOND, 0.9);
            self.prefill();
        }
        self.use_data();
    }

    /// Some types of data; each may be told, the first always is, and `failing` of them cannot be read.
    fn load(&mut self, failing: u8) {
        let types = CATEGORIES[usize::from(self.journey.category)].data_types;
        let ids = self.data_ids();
        for (place, data_type) in types.iter().enumerate() {
            if place > 0 && !self.pen.dice.chance(0.06) {
                continue;
            }
            self.pen.wait(25 * SECOND, 0.9);
            let records = u32::try_from(1 + self.pen.dice.below(900)).unwrap_or(1);
            let loaded = Detail::Dataset(data_type, records);
            let what = What::SyncDatasetCompleted;
            self.pen.tell_detail(what, Sender::Webhook, ids, loaded);
        }
        if failing > 0 {
            self.fail_to_sync(1);
        }
    }

    /// `auth_error` or, for one type of data, `permission_error` or `fetch_error`.
    fn fail_to_sync(&mut self, from: u8) {
        self.pen.wait(20 * SECOND, 0.8);
        let ids = self.data_ids();
        let reason = DATA_ERROR.start + from * (1 + small(self.pen.dice.below(2)));
        let status = ["auth_error", "permission_error", "failed"];
        let status = status[usize::from(reason - DATA_ERROR.start)];
        self.pen
            .tell_with(What::SyncFailed, Sender::Webhook, ids, |fact| {
                fact.reason = Some(reason);
                fact.detail = Detail::Synced(status);
            });
    }

    fn prefill(&mut self) {
        let ids = self.data_ids() | ids::COMPANY;
        let fields = 8 + self.pen.dice.below(7);
        let filled = fields / 2 + self.pen.dice.below(fields / 2);
        let count = |n: usize| u16::try_from(n).expect("a form has few fields");
        let prefilled = Detail::Prefilled(count(fields), count(filled));
        self.pen.wait(30 * SECOND, 0.8);
        self.pen
            .tell_detail(What::PrefillApplied, Sender::Server, ids, prefilled);
    }

    /// A score or report, and for a few the first record written back.
    fn use_data(&mut self) {
        let ids = self.data_ids();
        if self.pen.dice.chance(0.62) {
            self.pen.wait(6 * MINUTE, 1.1);
            self.pen
                .tell(What::ValueFirstDelivered, Sender::Server, ids);
        }
        if self.journey.category == ACCOUNTING && self.pen.dice.chance(0.14) {
            self.pen.wait_long(5 * HOUR, 1.0);
            let what = if self.pen.dice.chance(0.9) {
                What::WriteSucceeded
            } else {
                What::WriteFailed
            };
            self.pen.tell(what, Sender::Server, ids);
        }
    }
}
