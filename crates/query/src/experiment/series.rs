//! The first primary metric over time: when its step is taken, by day since exposure, and by day of exposure.

use linkfunnel_stats::{NotObserved, restricted_mean_difference};

use super::ages::Age;
use super::answer::{AgeArm, AgeTold, Between, DayTold, TimeArm, TimeComparison, TimeTold};
use super::compare::{Arm, Compared, between, nothing};
use super::curve::Curve;
use super::lanes::Place;
use super::report::Report;
use super::tally::{Group, Stat};
use crate::engine::ms;
use crate::trend;

impl Report<'_> {
    pub(crate) fn time(&self) -> Option<TimeTold> {
        let place = self.curve()?;
        let reading = self.reading_of(place, self.level);
        let measurement = self.measured(place, &Group::Total);
        let curve = |arm: &Arm| match arm {
            Arm::Time(curve) => curve.as_ref().clone(),
            _ => Curve::default(),
        };
        let curves: Vec<Curve> = measurement.arms.iter().map(curve).collect();
        let mean = |curve: &Curve| curve.restricted_mean(reading.until_us);
        let arms = curves.iter().enumerate().map(|(variant, curve)| TimeArm {
            variant: self.name(variant).to_owned(),
            median_ms: curve.median().map(float_ms),
            restricted_mean_ms: mean(curve).ok().map(|mean| mean.value() / 1_000.0),
            curve: curve.points(),
        });
        let comparisons = self
            .others()
            .zip(&measurement.compared)
            .map(|(variant, compared)| {
                let means = mean(&curves[variant]).and_then(|one| {
                    restricted_mean_difference(one, mean(&curves[self.control])?, self.level)
                });
                TimeComparison {
                    variant: self.name(variant).to_owned(),
                    difference_ms: compared.told.difference.clone(),
                    p: means.ok().map(|(_, p)| p),
                    log_rank_p: compared.told.p,
                }
            });
        Some(TimeTold {
            step: self.step_name(0).unwrap_or_default(),
            until_ms: float_ms(reading.until_us),
            arms: arms.collect(),
            comparisons: comparisons.collect(),
        })
    }

    /// Where the first metric's step is followed.
    fn curve(&self) -> Option<Place> {
        let metric = self.lanes.lanes[0].metrics.len() + self.lanes.curve?;
        Some(Place { lane: 0, metric })
    }

    /// The first metric's step by days since exposure: whether an effect wears off or grows.
    pub(crate) fn ages(&self) -> Vec<AgeTold> {
        let Some(place) = self.curve() else {
            return Vec::new();
        };
        let of = |stat: &Option<&Stat>| match stat {
            Some(Stat::Times(times)) => times.ages.days(),
            _ => Vec::new(),
        };
        let stats = self.stats(place, &Group::Total);
        let all: Vec<Vec<Age>> = stats.iter().map(of).collect();
        let days = all.iter().map(Vec::len).max().unwrap_or(0);
        let told = (0..days).map(|day| AgeTold {
            day: day + 1,
            arms: (all.iter().enumerate())
                .map(|(variant, ages)| age_arm(self.name(variant), ages.get(day)))
                .collect(),
            differences: self
                .others()
                .map(|variant| {
                    let (one, zero) = (all[variant].get(day), all[self.control].get(day));
                    self.age_difference(one, zero)
                })
                .collect(),
        });
        told.collect()
    }

    fn age_difference(&self, one: Option<&Age>, zero: Option<&Age>) -> Between {
        let found = one.zip(zero).ok_or(NotObserved);
        match found.and_then(|(one, zero)| one.so_far.above(&zero.so_far, self.level)) {
            Ok(found) => between(found, 1.0),
            Err(NotObserved) => nothing(NotObserved::CODE),
        }
    }

    /// The first metric cumulated by day of exposure, and of each day.
    pub(crate) fn days(&self) -> (Vec<DayTold>, Vec<DayTold>) {
        let place = self.lanes.places[0];
        let days = &self.experiment(place.lane).days;
        let mut cumulated: Vec<Option<Stat>> = vec![None; self.definition.variants.len()];
        let (mut by_day, mut by_exposure_day) = (Vec::new(), Vec::new());
        for (i, day) in days.iter().enumerate() {
            let of_day = self.stats(place, &Group::Day(i));
            for (all, more) in cumulated.iter_mut().zip(&of_day) {
                add(all, *more);
            }
            let all: Vec<Option<&Stat>> = cumulated.iter().map(Option::as_ref).collect();
            by_day.push(self.day(place, day.start_us, day.end_us, &all));
            by_exposure_day.push(self.day(place, day.start_us, day.end_us, &of_day));
        }
        (by_day, by_exposure_day)
    }

    fn day(&self, place: Place, start_us: i64, end_us: i64, stats: &[Option<&Stat>]) -> DayTold {
        let measurement = self.measure(place, stats, self.level);
        let band = |compared: &Compared| Between {
            low: compared.told.anytime.low,
            high: compared.told.anytime.high,
            ..compared.told.difference.clone()
        };
        DayTold {
            day: trend::text(start_us, self.checked.timezone)[..10].to_owned(),
            is_over: self.is_over(place.lane, end_us.min(self.end_us)),
            arms: self.told(place, &measurement.arms),
            differences: measurement.compared.iter().map(band).collect(),
        }
    }
}

fn age_arm(variant: &str, age: Option<&Age>) -> AgeArm {
    let found = age.ok_or(NotObserved);
    let share = found.and_then(|age| age.so_far.converted_by_end());
    AgeArm {
        variant: variant.to_owned(),
        at_risk: age.map_or(0, |age| age.at_risk),
        converted: age.map_or(0, |age| age.converted),
        value: share.ok().map(|share| share.value),
        low: share.ok().map(|share| share.interval.low),
        high: share.ok().map(|share| share.interval.high),
        code: share.err().map(|_| NotObserved::CODE.to_owned()),
    }
}

/// Adds a day's statistic to those before it.
pub(crate) fn add(all: &mut Option<Stat>, more: Option<&Stat>) {
    match (all.as_mut(), more) {
        (Some(all), Some(more)) => {
            // what was added up for the total can be added up by day
            let _ = all.merge(more);
        }
        (None, Some(more)) => *all = Some(more.clone()),
        (_, None) => {}
    }
}

fn float_ms(us: u64) -> f64 {
    ms(i64::try_from(us).unwrap_or(i64::MAX))
}
