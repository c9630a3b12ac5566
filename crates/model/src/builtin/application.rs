//! F8: an application with a step at which data is linked, so that links and finished applications are seen together.

use super::{E, days, funnel, one_of, only, optional, outcome, step};
use crate::funnel::{NamedFunnel, StepDefinition, Subject};

pub(super) fn all() -> Vec<NamedFunnel> {
    let linked = || step("Linked", &[E::ConnectionLinked]);
    let mut through = opening();
    through.extend([
        optional(linked()),
        optional(step("Uploaded a file", &[E::FileUploaded])),
        optional(step("Skipped", &[E::StepSkipped])),
        step("Submitted", &[E::ApplicationSubmitted]),
        step("Decided", &[E::ApplicationDecided]),
    ]);
    let mut to_the_link = opening();
    to_the_link.push(linked());
    vec![
        funnel(
            [
                "application",
                "Application",
                "from the start of an application to its decision within 30 days, with the shares that linked, uploaded or skipped on the way",
            ],
            Subject::Application,
            days(30),
            through,
            Vec::new(),
        ),
        funnel(
            [
                "application_linking",
                "Linking in an application",
                "from the start of an application to the link within 30 days, submitted or not",
            ],
            Subject::Application,
            days(30),
            to_the_link,
            vec![
                outcome("Uploaded a file", &[E::FileUploaded]),
                outcome("Skipped", &[E::StepSkipped]),
                outcome("Submitted all the same", &[E::ApplicationSubmitted]),
            ],
        ),
    ]
}

fn opening() -> Vec<StepDefinition> {
    vec![
        step("Started", &[E::ApplicationStarted]),
        only(
            one_of("step.requirement", &["required", "optional"]),
            step("Saw the linking step", &[E::StepViewed]),
        ),
    ]
}
