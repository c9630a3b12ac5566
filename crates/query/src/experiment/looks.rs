//! Planned looks: made from the counts by day of exposure, so that a look says the same whenever it is read.
//!
//! A look is due at its share of the planned units. It is made at the first day of exposure by which so many matured, once
//! the window of everybody exposed on that day is over; the error it spends is that of the share really reached (Lan and
//! DeMets). Looks that fall on one day are one, the last of them. If the planned end comes before the units, the last look
//! is made then, on all there are; a last look that would see less than a thousandth of the planned units beyond the one
//! before it is passed without a test. A fixed experiment that ends with its units is one with one look.

use linkfunnel_model::LookMethod;
use linkfunnel_stats::{LEAST_STEP, PHI, Plan};

use super::answer::LookTold;
use super::health::share;
use super::report::Report;
use super::series::add;
use super::tally::{Group, Stat};
use crate::trend;

/// What the planned looks said.
pub(crate) struct Looks {
    pub(crate) told: Vec<LookTold>,
    /// By variant beside the control: the first look at which it crossed the boundary, and z there.
    pub(crate) crossed: Vec<Option<(usize, f64)>>,
    /// Units that the next look needs, all variants together, beyond those exposed; `None` after the last.
    pub(crate) lacking: Option<u64>,
    /// Number of the next look.
    pub(crate) next: usize,
}

/// A look that was made.
struct Made {
    look: usize,
    units: u64,
    day: usize,
    /// By variant beside the control: z, and its two-sided p.
    found: Vec<Option<(f64, f64)>>,
}

impl Looks {
    /// `None` unless looks are planned.
    pub(crate) fn new(report: &Report<'_>) -> Option<Looks> {
        let looks = match report.definition.method {
            LookMethod::Sequential { looks } => looks,
            LookMethod::Fixed if report.definition.end.is_none() => 1,
            LookMethod::Fixed | LookMethod::Continuous { .. } => return None,
        };
        let planned = report.definition.planned_units?;
        let place = report.lanes.places[0];
        let matured = matured_until(report);
        let (made, next) = made(report, looks, planned, &matured);
        let shares: Vec<f64> = made
            .iter()
            .map(|made| share(made.units, planned).min(1.0))
            .collect();
        let plan = Plan::new(&shares, report.shared_level(), PHI).ok();
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
        let mut crossed = vec![None; report.definition.variants.len() - 1];
        let days = &report.experiment(place.lane).days;
        for (at, made) in made.iter().enumerate() {
            let level = plan.as_ref().and_then(|plan| plan.level_at(at));
            let told = &mut told[made.look - 1];
            told.units = Some(made.units);
            let start_us = days[made.day].start_us;
            told.day = Some(trend::text(start_us, report.checked.timezone)[..10].to_owned());
            told.boundary = level.map(|level| level.z());
            told.z = made
                .found
                .iter()
                .map(|found| found.map(|(z, _)| z))
                .collect();
            for (crossed, found) in crossed.iter_mut().zip(&made.found) {
                if let (None, Some((z, p)), Some(level)) = (*crossed, found, level)
                    && *p <= level.alpha()
                {
                    *crossed = Some((made.look, *z));
                }
            }
        }
        let exposed = report.total(place.lane, &Group::Total, |cell| cell.units);
        let lacking = (next <= looks).then(|| due_at(next, looks, planned).saturating_sub(exposed));
        Some(Looks {
            told,
            crossed,
            lacking,
            next,
        })
    }

    /// Whether the last look was made, or passed.
    pub(crate) fn is_over(&self) -> bool {
        self.lacking.is_none()
    }
}

/// The units at which a look is due.
fn due_at(look: usize, looks: usize, planned: u64) -> u64 {
    let (look, looks) = (look as u128, (looks as u128).max(1));
    u64::try_from((u128::from(planned) * look).div_ceil(looks)).unwrap_or(u64::MAX)
}

/// By day whose windows are all over: index, and units matured up to it.
fn matured_until(report: &Report<'_>) -> Vec<(usize, u64)> {
    let lane = report.lanes.places[0].lane;
    let experiment = report.experiment(lane);
    let mut all = 0;
    let days = experiment.days.iter().enumerate();
    let over = days.take_while(|(_, day)| report.is_over(lane, day.end_us.min(report.end_us)));
    over.map(|(i, _)| {
        all += report.total(lane, &Group::Day(i), |cell| cell.matured);
        (i, all)
    })
    .collect()
}

/// The looks that were made, each with what it saw, and the number of the next.
fn made(
    report: &Report<'_>,
    looks: usize,
    planned: u64,
    matured: &[(usize, u64)],
) -> (Vec<Made>, usize) {
    let place = report.lanes.places[0];
    let mut cumulated: Vec<Option<Stat>> = vec![None; report.definition.variants.len()];
    let mut made: Vec<Made> = Vec::new();
    let mut next = 1;
    let last = matured.len().saturating_sub(1);
    for (i, (day, units)) in matured.iter().copied().enumerate() {
        let of_day = report.stats(place, &Group::Day(day));
        for (all, more) in cumulated.iter_mut().zip(of_day) {
            add(all, more);
        }
        let is_end = i == last && report.is_past_end();
        let is_due =
            |look: usize| look <= looks && (is_end || units >= due_at(look, looks, planned));
        let before = made.last().map_or(0, |made| made.units);
        let is_apart = share(units, planned).min(1.0) - share(before, planned) >= LEAST_STEP;
        if !is_due(next) {
            continue;
        }
        let look = (next..=looks)
            .take_while(|look| is_due(*look))
            .last()
            .unwrap_or(next);
        if is_apart || look == looks {
            next = look + 1;
        }
        if !is_apart {
            continue;
        }
        let stats: Vec<Option<&Stat>> = cumulated.iter().map(Option::as_ref).collect();
        let compared = report.measure(place, &stats, report.level).compared;
        let found = compared.iter().map(|one| one.told.z.zip(one.told.p));
        made.push(Made {
            look,
            units,
            day,
            found: found.collect(),
        });
    }
    (made, next)
}
