//! How many companies the wanted volume takes.

use super::company::Company;
use super::config::Volume;
use super::dice::{DAY, Dice, HOUR};
use super::fact::World;
use super::season::Season;

const SALT_PILOT: u64 = 6;

/// Companies tried out.
const PILOT: u64 = 4_000;

/// How often companies appear for the wanted volume, found by trying some out; and how many events that makes.
pub(crate) fn plan(world: &World) -> (Season, Option<f64>) {
    let config = &world.config;
    let start_us = config.start_us;
    let end_us = config.span_end_us();
    let shape = Season::over(
        1.0,
        start_us,
        end_us.unwrap_or(start_us + DAY),
        config.season,
    );
    let mut dice = Dice::new(config.seed, SALT_PILOT, 0);
    let (mut journeys, mut events) = (0.0, 0.0);
    let mut facts = Vec::new();
    for number in 0..PILOT {
        let born_us = match end_us {
            Some(end_us) => shape.any_between(start_us, end_us, &mut dice),
            None => start_us,
        };
        let company = Company::new(world, u16::MAX, number, born_us);
        facts.clear();
        let intentions = company.arrive(world, &mut facts);
        for intention in &intentions {
            let from = facts.len();
            intention.tell(world, &company, &mut facts);
            let mut told = facts[from..].iter();
            let opened = told.any(|fact| fact.what.opens() && !fact.scanner);
            journeys += if opened { 1.0 } else { 0.0 };
        }
        // A live stream is to reach its rate within the hour, whatever comes later.
        let until_us = if end_us.is_some() {
            i64::MAX
        } else {
            born_us + HOUR
        };
        let soon = facts
            .iter()
            .filter(|fact| fact.deliver_us <= until_us)
            .count();
        events += if company.denied { 0.0 } else { soon as f64 };
    }
    let (journeys, events) = (journeys / PILOT as f64, events / PILOT as f64);
    let births = match config.volume {
        Volume::Journeys(count) => count as f64 / journeys.max(0.01),
        Volume::Events(count) => count as f64 / events.max(0.01),
        Volume::EventsPerSecond(rate) => {
            let per_second = rate / events.max(0.01);
            match end_us {
                None => return (Season::even(per_second), None),
                Some(end_us) => per_second * (end_us - start_us).max(1) as f64 / 1e6,
            }
        }
    };
    let end_us = end_us.unwrap_or(start_us + DAY);
    (
        Season::over(births, start_us, end_us, config.season),
        Some(births * events),
    )
}
