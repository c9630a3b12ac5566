//! When a step is taken after exposure, as a curve (Kaplan–Meier).

use linkfunnel_funnel::Follow;
use linkfunnel_stats::{Moment, Null, RestrictedMean, Survival};

use super::answer::CurvePoint;

/// Most points of a curve on the wire.
const MAX_POINTS: usize = 200;

/// Counts of one variant, ascending in time (µs).
#[derive(Debug, Clone, Default)]
pub(crate) struct Curve {
    moments: Vec<Moment>,
    at_risk_at_end: u64,
}

impl Curve {
    pub(crate) fn new(follow: &Follow) -> Curve {
        let moments = follow.moments().into_iter().map(|moment| Moment {
            time: moment.at_us,
            converted: moment.converted,
            censored: moment.censored,
        });
        Curve {
            moments: moments.collect(),
            at_risk_at_end: follow.followed_to_end(),
        }
    }

    pub(crate) fn moments(&self) -> &[Moment] {
        &self.moments
    }

    pub(crate) fn at_risk_at_end(&self) -> u64 {
        self.at_risk_at_end
    }

    /// How many are followed.
    pub(crate) fn subjects(&self) -> u64 {
        let left = self.moments.iter().map(|m| m.converted + m.censored);
        left.sum::<u64>() + self.at_risk_at_end
    }

    /// The mean time up to `until_us`, µs.
    pub(crate) fn restricted_mean(&self, until_us: u64) -> Result<RestrictedMean, Null> {
        RestrictedMean::new(&self.moments, self.at_risk_at_end, until_us)
    }

    /// When half have taken the step, µs; `None` if it does not come to that.
    pub(crate) fn median(&self) -> Option<u64> {
        Survival::new(&self.moments, self.at_risk_at_end, self.at_risk_at_end).median()
    }

    /// The share that has taken the step, where it changes; every so many where these are many.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and times are far below 2^53"
    )]
    pub(crate) fn points(&self) -> Vec<CurvePoint> {
        let mut at_risk = self.subjects();
        let mut surviving = 1.0;
        let mut points = Vec::new();
        for moment in &self.moments {
            if moment.converted > 0 {
                surviving *= 1.0 - moment.converted as f64 / at_risk as f64;
                points.push(CurvePoint {
                    at_ms: moment.time as f64 / 1_000.0,
                    share: 1.0 - surviving,
                });
            }
            at_risk -= moment.converted + moment.censored;
        }
        let every = points.len().div_ceil(MAX_POINTS).max(1);
        let last = points.len().saturating_sub(1);
        let keep = |(at, _): &(usize, CurvePoint)| at % every == every - 1 || *at == last;
        points
            .into_iter()
            .enumerate()
            .filter(keep)
            .map(|(_, point)| point)
            .collect()
    }
}
