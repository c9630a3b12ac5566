//! Do two arms convert at the same pace? The log-rank test over the whole window, never a test on the converted alone.

use crate::difference::wide;
use crate::survival::Moment;
use crate::{Null, float, normal};

/// One arm's times, as of [`Survival::new`](crate::Survival::new).
#[derive(Debug, Clone, Copy)]
pub struct Times<'a> {
    /// Ascending in time.
    pub moments: &'a [Moment],
    /// Followed to the window's end without converting.
    pub at_risk_at_end: u64,
}

/// The log-rank test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRank {
    /// Conversions of the treatment beyond those expected, over their standard deviation; above 0 where it converts faster.
    pub z: f64,
    /// Two-sided p of equal hazards.
    pub p: f64,
}

/// At each time t of a conversion the treatment's conversions d₁ are compared with what its share of those at risk makes
/// expected, d·n₁/n, with the hypergeometric variance d·(n₁/n)(n₀/n)(n − d)/(n − 1), which holds with ties. z = Σ(d₁ −
/// d·n₁/n)/ sqrt(Σ variance).
///
/// Source: Mantel, N. (1966), Cancer Chemotherapy Reports 50, 163–170; Peto, R. and Peto, J. (1972), JRSS A 135, 185–207.
///
/// # Errors
/// [`Null::NoUnits`] where an arm has none; [`Null::NoVariance`] where nothing happens while both are at risk.
pub fn log_rank(treatment: Times<'_>, control: Times<'_>) -> Result<LogRank, Null> {
    let (mut one, mut zero) = (Walk::new(treatment), Walk::new(control));
    if one.at_risk == 0 || zero.at_risk == 0 {
        return Err(Null::NoUnits);
    }
    let (mut beyond, mut variance) = (0.0, 0.0);
    while let Some(time) = one.next_time().into_iter().chain(zero.next_time()).min() {
        let n = wide(one.at_risk + zero.at_risk);
        let (n1, n0) = (wide(one.at_risk), wide(zero.at_risk));
        let (d1, d0) = (one.step(time), zero.step(time));
        let d = d1 + d0;
        if d > 0.0 {
            // d1 − d·n1/n, written without the cancellation of two large numbers.
            beyond += d1 * (n0 / n) - d0 * (n1 / n);
        }
        if n > 1.0 {
            variance += d * (n1 / n) * (n0 / n) * ((n - d).max(0.0) / (n - 1.0));
        }
    }
    if variance > 0.0 {
        let z = beyond / variance.sqrt();
        let p = normal::two_sided(z);
        Ok(LogRank { z, p })
    } else {
        Err(Null::NoVariance)
    }
}

/// An arm on the way through its times.
struct Walk<'a> {
    moments: &'a [Moment],
    at_risk: u128,
}

impl<'a> Walk<'a> {
    fn new(times: Times<'a>) -> Walk<'a> {
        let inside = times.moments.iter().map(both).sum::<u128>();
        Walk {
            moments: times.moments,
            at_risk: inside + u128::from(times.at_risk_at_end),
        }
    }

    fn next_time(&self) -> Option<u64> {
        self.moments.first().map(|moment| moment.time)
    }

    /// Passes the time; its conversions.
    fn step(&mut self, time: u64) -> f64 {
        match self.moments {
            [moment, rest @ ..] if moment.time == time => {
                self.moments = rest;
                self.at_risk -= both(moment);
                float(moment.converted)
            }
            _ => 0.0,
        }
    }
}

/// Who leaves the risk set then.
fn both(moment: &Moment) -> u128 {
    u128::from(moment.converted) + u128::from(moment.censored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u64, converted: u64, censored: u64) -> Moment {
        Moment {
            time,
            converted,
            censored,
        }
    }

    fn times(moments: &[Moment], at_risk_at_end: u64) -> Times<'_> {
        Times {
            moments,
            at_risk_at_end,
        }
    }

    #[test]
    fn one_common_time_is_the_score_test_without_its_factor() {
        let (one, zero) = ([at(5, 30, 0)], [at(5, 20, 0)]);
        let got = log_rank(times(&one, 70), times(&zero, 80)).unwrap();
        // The hypergeometric variance has N − 1 where the score has N/(N − 1): the same z.
        let score = crate::score((30, 100), (20, 100)).unwrap();
        assert!((got.p - score).abs() < 1e-12, "{got:?} {score}");
        assert!(got.z > 0.0);
    }

    #[test]
    fn swapping_the_arms_mirrors() {
        let (one, zero) = ([at(1, 3, 1), at(4, 2, 0)], [at(2, 1, 5), at(4, 4, 1)]);
        let there = log_rank(times(&one, 3), times(&zero, 2)).unwrap();
        let back = log_rank(times(&zero, 2), times(&one, 3)).unwrap();
        assert!((there.z + back.z).abs() < 1e-12);
    }

    #[test]
    fn nothing_happening_or_nobody_is_a_null() {
        let none = log_rank(times(&[], 5), times(&[], 5));
        assert_eq!(none, Err(Null::NoVariance));
        assert_eq!(log_rank(times(&[], 0), times(&[], 5)), Err(Null::NoUnits));
        let all = [at(1, 5, 0)];
        assert_eq!(
            log_rank(times(&all, 0), times(&all, 0)),
            Err(Null::NoVariance)
        );
    }
}
