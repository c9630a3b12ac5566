//! Planned looks: made from the counts by day of exposure, so that a look says the same whenever it is read.
//!
//! A look is due at its share of the planned units. It is made at the first day of exposure by which so many matured, once
//! the window of everybody exposed on that day is over; the error it spends is that of the share really reached (Lan and
//! DeMets). A look that falls on the day of the next is left out.

use linkfunnel_model::LookMethod;
use linkfunnel_stats::{LEAST_STEP, Level, PHI, Plan};

use super::answer::LookTold;
use super::report::{Report, add};
use super::tally::{Group, Stat};
use crate::trend;

/// What the planned looks said.
pub(crate) struct Looks {
    pub(crate) told: Vec<LookTold>,
    /// At the first look that stopped: by variant beside the control, z if beyond the boundary.
    pub(crate) stopped: Option<(usize, Vec<Option<f64>>)>,
    /// Units that the next look needs, all variants together, beyond those there are; `None` after the last.
    pub(crate) lacking: Option<u64>,
    /// Number of the next look.
    pub(crate) next: usize,
}

/// A look that is due.
struct Due {
    look: usize,
    units: u64,
    day: usize,
    z: Vec<Option<f64>>,
}

impl Looks {
    /// `None` unless looks are planned.
    pub(crate) fn new(report: &Report<'_>) -> Option<Looks> {
        let LookMethod::Sequential { looks } = report.definition.method else {
            return None;
        };
        let planned = report.definition.planned_units?;
        let due = due(report, looks, planned);
        let share = |units: u64| super::health::share(units, planned).min(1.0);
        let shares: Vec<f64> = due.iter().map(|due| share(due.units)).collect();
        let level = report.level.shared_by(report.family() as u64);
        let plan = plan(&shares, level);
        let boundary = |at: usize| plan.as_ref().map(|plan| plan.boundaries()[at]);
        let mut told: Vec<LookTold> = (1..=looks)
            .map(|look| LookTold {
                look,
                planned_units: due_at(look, looks, planned),
                units: None,
                day: None,
                boundary: None,
                z: Vec::new(),
            })
            .collect();
        let mut stopped = None;
        let place = report.lanes.places[0];
        let days = &report.experiment(place.lane).days;
        for (at, due) in due.iter().enumerate() {
            let told = &mut told[due.look - 1];
            told.units = Some(due.units);
            told.day =
                Some(trend::text(days[due.day].start_us, report.checked.timezone)[..10].to_owned());
            told.boundary = boundary(at);
            told.z.clone_from(&due.z);
            let Some(bound) = boundary(at) else { continue };
            let beyond = |z: &Option<f64>| z.filter(|z| z.abs() >= bound);
            let beyond: Vec<Option<f64>> = due.z.iter().map(beyond).collect();
            if stopped.is_none() && beyond.iter().any(Option::is_some) {
                stopped = Some((due.look, beyond));
            }
        }
        let next = due.last().map_or(1, |due| due.look + 1);
        let there = matured_until(report).last().map_or(0, |(_, units)| *units);
        let lacking = (next <= looks).then(|| due_at(next, looks, planned).saturating_sub(there));
        Some(Looks {
            told,
            stopped,
            lacking,
            next,
        })
    }

    /// Whether the last look was made.
    pub(crate) fn is_over(&self) -> bool {
        self.lacking.is_none()
    }
}

fn plan(shares: &[f64], level: Level) -> Option<Plan> {
    Plan::new(shares, level, PHI).ok()
}

/// The units at which a look is due.
fn due_at(look: usize, looks: usize, planned: u64) -> u64 {
    let (look, looks) = (look as u128, (looks as u128).max(1));
    u64::try_from((u128::from(planned) * look).div_ceil(looks)).unwrap_or(u64::MAX)
}

/// By day whose windows are all over: index, and units matured up to it.
fn matured_until(report: &Report<'_>) -> Vec<(usize, u64)> {
    let lane = report.lanes.places[0].lane;
    let mut all = 0;
    let days = report.experiment(lane).days.iter().enumerate();
    let over = days.take_while(|(_, day)| report.is_over(lane, day.end_us));
    over.map(|(i, _)| {
        let of = |variant| {
            report
                .cell(lane, variant, &Group::Day(i))
                .map_or(0, |cell| cell.matured)
        };
        all += (0..report.definition.variants.len()).map(of).sum::<u64>();
        (i, all)
    })
    .collect()
}

/// The looks that are due, each with what it sees.
fn due(report: &Report<'_>, looks: usize, planned: u64) -> Vec<Due> {
    let place = report.lanes.places[0];
    let mut cumulated: Vec<Option<Stat>> = vec![None; report.definition.variants.len()];
    let mut due: Vec<Due> = Vec::new();
    let mut next = 1;
    let least = super::health::share;
    for (day, units) in matured_until(report) {
        for (all, more) in cumulated
            .iter_mut()
            .zip(report.stats(place, &Group::Day(day)))
        {
            add(all, more);
        }
        let mut look = None;
        while next <= looks && units >= due_at(next, looks, planned) {
            look = Some(next);
            next += 1;
        }
        let before = due.last().map_or(0, |due| due.units);
        let is_apart = least(units, planned).min(1.0) - least(before, planned) >= LEAST_STEP;
        if let (Some(look), true) = (look, is_apart) {
            let stats: Vec<Option<&Stat>> = cumulated.iter().map(Option::as_ref).collect();
            let measurement = report.measure(place, &stats, report.level);
            due.push(Due {
                look,
                units,
                day,
                z: measurement
                    .compared
                    .iter()
                    .map(|compared| compared.z)
                    .collect(),
            });
        }
    }
    due
}
