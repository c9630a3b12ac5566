//! The course of a journey, drawn before it is told, so that configured rates are met exactly in expectation.

use super::catalog::{DEVICES, INTEGRATIONS, SURFACES};
use super::company::{Company, small};
use super::dice::Dice;
use super::fact::World;
use super::journey::Journey;

/// Share of journeys that link without the treatment; with it the rescue probability gives the configured lift.
pub(crate) const BASE_CONVERSION: f64 = 0.70;

/// What will happen, before it is told.
pub(crate) struct Course {
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
        let hardship = SURFACES[usize::from(journey.surface)].hardship
            * DEVICES[usize::from(company.device)].2;
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
        if !links && company.variant == Some(1) && dice.chance(world.rescue) {
            return Course {
                chooses: true,
                first,
                first_works: true,
                second: None,
            };
        }
        Course {
            chooses,
            first,
            first_works,
            second,
        }
    }
}

fn draw_integration(category: u8, not: Option<u8>, dice: &mut Dice) -> u8 {
    let mut weights = [0.0; INTEGRATIONS.len()];
    for (index, integration) in INTEGRATIONS.iter().enumerate() {
        if integration.category == category && not != Some(small(index)) {
            weights[index] = integration.weight;
        }
    }
    small(dice.weighted(&weights))
}
