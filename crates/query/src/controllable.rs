//! Conversion without the failures that nobody on this side of the hand-off can do anything about.
//!
//! The reasons are those the funnel counts (semantics rule 20); a dropped subject whose reason says
//! nothing of whose doing it was stays in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Group, Matured, Rate, null};
use crate::report::rate;

/// Whose failures are taken out.
const TAKEN_OUT: [&str; 2] = ["institution", "provider"];

/// Conversion without failures of the institution or the provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Controllable {
    /// Dropped subjects taken out: the reason they stopped for is put down to the institution or the
    /// provider.
    pub taken_out: u64,
    /// The matured subjects without them.
    pub matured: Matured,
    /// Linked ÷ started over those (Wilson 95 %).
    pub rate: Rate,
}

/// The rule in a sentence, where it was asked for.
pub(crate) fn rule(is_asked_for: bool) -> Option<String> {
    is_asked_for.then(|| {
        "dropped subjects whose reason is attributed to the institution or the provider are taken out of the \
         matured; a reason without attribution leaves its subject in"
            .to_owned()
    })
}

/// The group's conversion without what was not in our hands. The group was asked for with reasons.
pub(crate) fn controllable(group: &Group) -> Controllable {
    let reasons = group.steps.iter().flat_map(|step| &step.reasons);
    let is_theirs = |whose: &Option<String>| {
        whose
            .as_deref()
            .is_some_and(|whose| TAKEN_OUT.contains(&whose))
    };
    let taken_out = reasons
        .filter(|reason| is_theirs(&reason.attribution))
        .map(|reason| reason.count)
        .sum();
    // Whoever dropped has matured and not converted, so nothing is taken out twice or wrongly.
    let matured = Matured {
        entered: group.matured.entered - taken_out,
        converted: group.matured.converted,
    };
    let code = match group.matured.entered {
        0 => null::NOT_MATURED,
        _ => null::NOBODY_LEFT,
    };
    Controllable {
        taken_out,
        matured,
        rate: rate(matured.converted, matured.entered, code),
    }
}
