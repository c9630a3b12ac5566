//! When companies appear: a Poisson stream whose rate follows the hour of the week (UTC; office hours in Europe).

use super::dice::{DAY, Dice, HOUR};

/// Relative rate by hour of a working day.
const HOURS: [f64; 24] = [
    0.12, 0.08, 0.06, 0.06, 0.10, 0.25, 0.60, 1.20, 2.00, 2.40, 2.45, 2.20, 1.60, 1.90, 2.20, 2.10,
    1.80, 1.30, 0.90, 0.75, 0.65, 0.50, 0.35, 0.20,
];
/// Relative rate by day, from Monday.
const DAYS: [f64; 7] = [1.15, 1.25, 1.20, 1.15, 0.95, 0.35, 0.30];

/// Rate over time.
pub(crate) struct Season {
    /// Arrivals per µs at weight one.
    base: f64,
    highest: f64,
    seasonal: bool,
}

impl Season {
    /// `count` arrivals are expected between the two instants.
    pub(crate) fn over(count: f64, from_us: i64, to_us: i64, seasonal: bool) -> Self {
        let mut season = Season {
            base: 1.0,
            highest: 1.0,
            seasonal,
        };
        if seasonal {
            season.highest = HOURS.iter().copied().fold(0.0, f64::max)
                * DAYS.iter().copied().fold(0.0, f64::max);
        }
        let mut total = 0.0;
        let mut at_us = from_us;
        while at_us < to_us {
            let next_us = ((at_us.div_euclid(HOUR) + 1) * HOUR).min(to_us);
            total += season.weight(at_us) * (next_us - at_us) as f64;
            at_us = next_us;
        }
        season.base = count / total.max(1.0);
        season
    }

    /// An even rate, per second.
    pub(crate) fn even(per_second: f64) -> Self {
        Season {
            base: per_second / 1e6,
            highest: 1.0,
            seasonal: false,
        }
    }

    /// The next arrival after an instant (by thinning).
    pub(crate) fn next_after(&self, from_us: i64, dice: &mut Dice) -> i64 {
        let mut at_us = from_us;
        loop {
            at_us = at_us.saturating_add(dice.exponential(1.0 / (self.base * self.highest)));
            if at_us == i64::MAX || dice.unit() * self.highest < self.weight(at_us) {
                return at_us;
            }
        }
    }

    /// One arrival between two instants, if it comes alone.
    pub(crate) fn any_between(&self, from_us: i64, to_us: i64, dice: &mut Dice) -> i64 {
        loop {
            let at_us = dice.between(from_us, to_us.max(from_us + 1));
            if dice.unit() * self.highest < self.weight(at_us) {
                return at_us;
            }
        }
    }

    fn weight(&self, at_us: i64) -> f64 {
        if !self.seasonal {
            return 1.0;
        }
        let day = at_us.div_euclid(DAY);
        // 1 January 1970 was a Thursday.
        let weekday = usize::try_from((day + 3).rem_euclid(7)).expect("0..7");
        let hour = usize::try_from(at_us.rem_euclid(DAY) / HOUR).expect("0..24");
        HOURS[hour] * DAYS[weekday]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::dice::SECOND;

    #[test]
    fn arrivals_meet_the_count_and_rest_at_night() {
        let from_us = 1_790_812_800 * SECOND;
        let to_us = from_us + 14 * DAY;
        let season = Season::over(10_000.0, from_us, to_us, true);
        let mut dice = Dice::new(1, 1, 1);
        let mut at_us = from_us;
        let (mut all, mut night) = (0, 0);
        loop {
            at_us = season.next_after(at_us, &mut dice);
            if at_us >= to_us {
                break;
            }
            all += 1;
            night += i32::from(at_us.rem_euclid(DAY) < 5 * HOUR);
        }
        assert!((9_600..10_400).contains(&all), "{all}");
        assert!(night * 20 < all, "{night} of {all}");
    }
}
