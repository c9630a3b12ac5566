//! An application of which linking is a step: mandatory or optional, by an experiment (seed S0-17).

use super::{End, Teller};
use crate::generate::company::Requirement;
use crate::generate::course::{Approach, Course};
use crate::generate::dice::{HOUR, MINUTE, SECOND};
use crate::generate::fact::{Detail, Sender, ids};
use crate::generate::what::What;

impl Teller<'_, '_> {
    /// From the start of an application to its decision.
    pub(super) fn apply(&mut self, requirement: Requirement, course: &Course) {
        let mut ids = ids::COMPANY | ids::USER | ids::APPLICATION;
        if !self.sparse() {
            ids |= ids::SESSION;
        }
        self.pen.tell(What::ApplicationStarted, Sender::Web, ids);
        self.pen.wait(3 * MINUTE, 0.7);
        let end = if self.pen.dice.chance(0.06) {
            None
        } else {
            Some(self.be_asked_to_link(course))
        };
        if end.is_some_and(|end| self.goes_on(requirement, end)) {
            self.submit();
        }
    }

    fn be_asked_to_link(&mut self, course: &Course) -> End {
        let web_ids = self.web_ids();
        let screen = Detail::LinkingScreen;
        self.pen
            .tell_detail(What::StepViewed, Sender::Web, web_ids, screen);
        self.pen.wait(9 * SECOND, 0.7);
        match course.approach {
            Approach::Link => self.link(course),
            Approach::Skip => self.end_otherwise(What::StepSkipped),
            Approach::Upload => self.end_otherwise(What::FileUploaded),
            Approach::Leave => End::Left,
        }
    }

    /// Whether the application is submitted after the linking step ended so.
    fn goes_on(&mut self, requirement: Requirement, end: End) -> bool {
        match (end, requirement) {
            (End::Linked, _) => self.pen.dice.chance(0.95),
            (End::Uploaded | End::Typed, _) => self.pen.dice.chance(0.9),
            (End::Skipped, _) => self.pen.dice.chance(0.88),
            (End::Left, Requirement::Optional) if self.pen.dice.chance(0.7) => {
                self.end_otherwise(What::StepSkipped);
                true
            }
            (End::Left, Requirement::Required) if self.pen.dice.chance(0.5) => {
                self.end_otherwise(What::FileUploaded);
                true
            }
            (End::Left, _) => false,
        }
    }

    fn submit(&mut self) {
        self.pen.wait(5 * MINUTE, 0.7);
        self.pen.integration = None;
        let ids = if self.sparse() {
            ids::APPLICATION
        } else {
            ids::COMPANY | ids::USER | ids::SESSION | ids::APPLICATION
        };
        self.pen.tell(What::ApplicationSubmitted, Sender::Web, ids);
        if self.pen.dice.chance(0.04) {
            // Withdrawn, which nobody tells.
            return;
        }
        self.pen.wait_long(20 * HOUR, 0.7);
        let decision = if self.pen.dice.chance(0.74) {
            "success"
        } else {
            "rejected"
        };
        let decision = Detail::Decision(decision);
        let ids = ids & (ids::COMPANY | ids::APPLICATION);
        self.pen
            .tell_detail(What::ApplicationDecided, Sender::Server, ids, decision);
    }
}
