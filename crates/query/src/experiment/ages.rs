//! When a step is taken, by whole days since exposure: counts, exact however many units there are.
//!
//! A unit counts on a day if it was followed to the day's end, or had taken the step before: so each day's share is of units
//! that had all of the day, and those exposed an hour ago say nothing. Days are of 24 hours from the exposure; the last ends
//! with the window.

use linkfunnel_funnel::Follow;
use linkfunnel_stats::{Moment, Survival};

const DAY_US: u64 = 86_400_000_000;

/// When a step is taken after exposure: to the moment, and by day since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) follow: Follow,
    pub(crate) ages: Ages,
}

impl Times {
    /// A unit that took the step `at_us` after exposure, if at all, and was followed so long, at most to the window's end.
    pub(crate) fn add(&mut self, at_us: Option<u64>, followed_us: u64, window_us: u64) {
        let at_us = at_us.filter(|at_us| *at_us <= followed_us);
        match at_us {
            Some(at_us) => self.follow.converted(at_us),
            None if followed_us >= window_us => self.follow.to_end(),
            None => self.follow.censored(followed_us),
        }
        self.ages.add(at_us, followed_us, window_us);
    }

    pub(crate) fn merge(&mut self, other: &Times) {
        self.follow.merge(&other.follow);
        self.ages.merge(&other.ages);
    }
}

/// What became of the units that were at risk on a day and on no later one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Last {
    converted: u64,
    /// Followed to its end and not to the next one's.
    left: u64,
}

/// Counts of one variant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ages(Vec<Last>);

/// One day since exposure.
#[derive(Debug, Clone)]
pub(crate) struct Age {
    /// Units followed to its end that had not taken the step before it.
    pub(crate) at_risk: u64,
    /// Those that took it on this day.
    pub(crate) converted: u64,
    /// Of all, the share that took it by the day's end.
    pub(crate) so_far: Survival,
}

impl Ages {
    fn add(&mut self, at_us: Option<u64>, followed_us: u64, window_us: u64) {
        let whole = match followed_us >= window_us {
            true => window_us.div_ceil(DAY_US).max(1),
            false => followed_us / DAY_US,
        };
        // what happens at the very end of a day belongs to it, as the window's end belongs to the window
        let day = at_us.map(|us| us.div_ceil(DAY_US).max(1));
        match day.filter(|day| *day <= whole) {
            Some(day) => self.last(day).converted += 1,
            None if whole > 0 => self.last(whole).left += 1,
            None => {}
        }
    }

    fn last(&mut self, day: u64) -> &mut Last {
        let day = usize::try_from(day).unwrap_or(usize::MAX);
        if self.0.len() < day {
            self.0.resize(day, Last::default());
        }
        &mut self.0[day - 1]
    }

    fn merge(&mut self, other: &Ages) {
        let days = self.0.len().max(other.0.len());
        self.0.resize(days, Last::default());
        for (mine, more) in self.0.iter_mut().zip(&other.0) {
            mine.converted += more.converted;
            mine.left += more.left;
        }
    }

    /// Day by day, as far as anybody was followed.
    pub(crate) fn days(&self) -> Vec<Age> {
        let mut at_risk = self.0.iter().map(|last| last.converted + last.left).sum();
        let (mut moments, mut followed) = (Vec::new(), at_risk);
        let mut days = Vec::new();
        for (time, last) in (1..).zip(&self.0) {
            moments.push(Moment {
                time,
                converted: last.converted,
                censored: 0,
            });
            days.push(Age {
                at_risk,
                converted: last.converted,
                so_far: Survival::new(&moments, at_risk - last.converted, followed),
            });
            if let Some(moment) = moments.last_mut() {
                moment.censored = last.left;
            }
            at_risk -= last.converted + last.left;
            followed -= last.left;
        }
        days
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_those_followed_to_its_end_and_the_last_ends_with_the_window() {
        let hours = |hours: u64| hours * 3_600_000_000;
        let window_us = hours(60);
        let mut ages = Ages::default();
        for (at, followed) in [
            (Some(1), 60),
            (Some(24), 60),
            (Some(25), 60),
            (Some(60), 60),
            (None, 60),
            (None, 50),
            // taken on its second day, of which it had only half
            (Some(30), 36),
            (Some(2), 23),
        ] {
            ages.add(at.map(hours), hours(followed), window_us);
        }
        let days = ages.days();
        let counts: Vec<(u64, u64)> = days.iter().map(|d| (d.at_risk, d.converted)).collect();
        assert_eq!(counts, [(7, 2), (4, 1), (2, 1)]);
        let share = |day: usize| days[day].so_far.converted_by_end().unwrap().value;
        let near = |got: f64, wanted: f64| assert!((got - wanted).abs() < 1e-12, "{got} {wanted}");
        near(share(0), 2.0 / 7.0);
        near(share(1), 1.0 - 5.0 / 7.0 * 3.0 / 4.0);
        near(share(2), 1.0 - 5.0 / 7.0 * 3.0 / 4.0 / 2.0);
    }

    #[test]
    fn parts_merge_to_the_whole_and_nobody_followed_for_a_day_is_nothing() {
        let mut whole = Ages::default();
        let mut parts = [Ages::default(), Ages::default()];
        for i in 0..200_u64 {
            let (at, followed) = ((i % 3 > 0).then_some(i * DAY_US / 30), i * DAY_US / 20);
            whole.add(at, followed, 7 * DAY_US);
            parts[usize::from(i % 7 < 3)].add(at, followed, 7 * DAY_US);
        }
        let [mut one, two] = parts;
        one.merge(&two);
        assert_eq!(one, whole);
        let mut young = Ages::default();
        young.add(Some(1), DAY_US - 1, 7 * DAY_US);
        assert!(young.days().is_empty());
    }
}
