//! The course of a journey, drawn before it is told, so that configured rates are met exactly in expectation.

use super::catalog::{COUNTRIES, DEVICES, INTEGRATIONS};
use super::company::{Company, Requirement, small};
use super::dice::Dice;
use super::fact::World;
use super::journey::Journey;

/// Share of journeys that link without the treatment; with it the rescue probability gives the configured lift.
pub(crate) const BASE_CONVERSION: f64 = 0.70;

/// Of those asked to link where it is optional: who goes on to it, skips, uploads a file, leaves.
const APPROACHES: [f64; 4] = [0.58, 0.32, 0.06, 0.04];
/// Share that skips where linking is optional, and so can be won by making it mandatory.
pub(crate) const SKIPS: f64 = APPROACHES[1];

/// What an applicant does when asked to link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Approach {
    Link,
    Skip,
    Upload,
    Leave,
}

/// What will happen, before it is told.
pub(crate) struct Course {
    /// In an application.
    pub(crate) approach: Approach,
    /// Chooses an integration at all.
    pub(crate) chooses: bool,
    pub(crate) first: u8,
    /// Links in the end, perhaps after failures.
    pub(crate) first_works: bool,
    /// Another one tried after the first failed, and whether it works.
    pub(crate) second: Option<(u8, bool)>,
}

impl Course {
    pub(crate) fn draw(
        world: &World,
        company: &Company,
        journey: &Journey,
        start_us: i64,
        dice: &mut Dice,
    ) -> Self {
        let (approach, persuaded) = draw_approach(world, journey, dice);
        let hardship = journey.hardship()
            * DEVICES[usize::from(company.device)].hardship
            * COUNTRIES[usize::from(company.country)].hardship;
        let chooses = !dice.chance(0.122 * hardship);
        let works = |integration: u8, dice: &mut Dice| {
            let failure = (1.0 - world.success(integration, start_us)) * hardship;
            !dice.chance(failure.min(0.97))
        };
        let first = draw_integration(journey.category, None, dice);
        let first_works = works(first, dice);
        let second = (!first_works && dice.chance(0.15)).then(|| {
            let second = draw_integration(journey.category, Some(first), dice);
            (second, works(second, dice))
        });
        let links = chooses && (first_works || second.is_some_and(|(_, works)| works));
        let rescued = !links && company.variant == Some(1) && dice.chance(world.rescue);
        if rescued || persuaded {
            return Course {
                approach,
                chooses: true,
                first,
                first_works: true,
                second: None,
            };
        }
        Course {
            approach,
            chooses,
            first,
            first_works,
            second,
        }
    }
}

/// What an applicant does, and whether the mandatory step made a skipper link. The configured difference between the arms is
/// met exactly in expectation: nothing else is drawn otherwise.
fn draw_approach(world: &World, journey: &Journey, dice: &mut Dice) -> (Approach, bool) {
    let Some(requirement) = journey.application else {
        return (Approach::Link, false);
    };
    let drawn = [
        Approach::Link,
        Approach::Skip,
        Approach::Upload,
        Approach::Leave,
    ][dice.weighted(&APPROACHES)];
    match (drawn, requirement) {
        (Approach::Skip, Requirement::Required) if dice.chance(world.persuasion) => {
            (Approach::Link, true)
        }
        (Approach::Skip, Requirement::Required) if dice.chance(0.6) => (Approach::Upload, false),
        (Approach::Skip, Requirement::Required) => (Approach::Leave, false),
        (drawn, _) => (drawn, false),
    }
}

pub(crate) fn draw_integration(category: u8, not: Option<u8>, dice: &mut Dice) -> u8 {
    let mut weights = [0.0; INTEGRATIONS.len()];
    for (index, integration) in INTEGRATIONS.iter().enumerate() {
        if integration.category == category && not != Some(small(index)) {
            weights[index] = integration.weight;
        }
    }
    small(dice.weighted(&weights))
}
