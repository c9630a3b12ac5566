//! From sufficient statistics to estimates, intervals and p-values. The mathematics are all of `linkfunnel_stats`.

use linkfunnel_stats::{
    Adjusted, ArmMean, Comparison, Correction, Counts, Effect, Estimate, Level, MeanComparison,
    Null, Pairs, Prior, Ratio, Sequence, Times, adjust, believe, compare, compare_means,
    cost_per_extra_link, log_rank, restricted_mean_difference, wilson,
};

use super::answer::{AnytimeTold, ArmTold, Between, ComparisonTold};
use super::health::share;
use super::plan::Measured;
use super::tally::Stat;
use crate::experiment::curve::Curve;

/// How the numbers of a metric are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) measured: Measured,
    /// By what sums of values are divided.
    pub(crate) scale: f64,
    /// Until when restricted means go, µs.
    pub(crate) until_us: u64,
    pub(crate) level: Level,
    pub(crate) sequence: Sequence,
    /// Whether the chance to win is wanted, which takes longer than everything else together.
    pub(crate) believes: bool,
}

/// The estimate of one variant.
#[derive(Debug, Clone)]
pub(crate) enum Arm {
    Rate(Counts),
    /// A mean or ratio, over so many units or subjects; it may be known where its spread is not. Of subjects finer than the
    /// unit also how many got there.
    Mean {
        of: u64,
        reached: Option<u64>,
        value: Option<f64>,
        mean: Result<ArmMean, Null>,
    },
    Cost {
        pairs: Pairs,
    },
    Time(Box<Curve>),
}

impl Arm {
    /// Of so many units or subjects, so many got there; `None` of what is no rate.
    pub(crate) fn counts(&self) -> Option<Counts> {
        match self {
            Arm::Rate(counts) => Some(*counts),
            Arm::Mean { of, reached, .. } => Counts::new((*reached)?, *of).ok(),
            Arm::Cost { .. } | Arm::Time(_) => None,
        }
    }
}

impl Reading {
    /// The arms of all variants; a covariate is taken out over all of them.
    pub(crate) fn arms(&self, stats: &[Option<&Stat>]) -> (Vec<Arm>, Option<Adjusted>) {
        let adjusted = match self.measured {
            Measured::Mean(_) => self.adjusted(stats),
            _ => None,
        };
        let resolution_us = resolution_us(stats);
        let arms = stats.iter().enumerate().map(|(variant, stat)| match stat {
            Some(stat) => {
                let adjusted = adjusted.as_ref().map(|a| a.arms[variant]);
                self.arm(stat, adjusted, resolution_us)
            }
            None => self.nobody(),
        });
        (arms.collect(), adjusted)
    }

    fn adjusted(&self, stats: &[Option<&Stat>]) -> Option<Adjusted> {
        let pairs: Vec<Pairs> = stats
            .iter()
            .map(|stat| match stat {
                Some(Stat::Pairs(pairs)) => *pairs,
                _ => Pairs::default(),
            })
            .collect();
        adjust(&pairs).ok()
    }

    fn arm(&self, stat: &Stat, adjusted: Option<Result<ArmMean, Null>>, resolution_us: u64) -> Arm {
        match stat {
            Stat::Rate { reached, units } => {
                Counts::new(*reached, *units).map_or(self.nobody(), Arm::Rate)
            }
            Stat::Times(times) => {
                let follow = times.follow.coarsened(resolution_us);
                Arm::Time(Box::new(Curve::new(&follow)))
            }
            Stat::Clusters(clusters) => {
                let mean = ArmMean::of_clusters(clusters);
                let (x, y) = (count(clusters.sum_x()), count(clusters.sum_y()));
                Arm::Mean {
                    of: x,
                    reached: Some(y),
                    value: (x > 0).then(|| share(y, x)),
                    mean,
                }
            }
            Stat::Pairs(pairs) => match self.measured {
                Measured::Cost(_) => Arm::Cost { pairs: *pairs },
                Measured::Mean(_) => {
                    let mean = adjusted.unwrap_or_else(|| ArmMean::of(pairs.y()));
                    Arm::Mean {
                        of: pairs.y().units(),
                        reached: None,
                        value: mean.ok().map(ArmMean::value).or(pairs.y().mean()),
                        mean,
                    }
                }
                _ => {
                    let mean = ArmMean::ratio(*pairs);
                    Arm::Mean {
                        of: pairs.x().units(),
                        reached: None,
                        value: mean.ok().map(ArmMean::value),
                        mean,
                    }
                }
            },
        }
    }

    fn nobody(&self) -> Arm {
        match self.measured {
            Measured::Step(_) => Arm::Rate(Counts::default()),
            Measured::Time(_) => Arm::Time(Box::default()),
            Measured::Cost(_) => Arm::Cost {
                pairs: Pairs::default(),
            },
            Measured::Subjects(_) | Measured::Mean(_) | Measured::Ratio(..) => Arm::Mean {
                of: 0,
                reached: matches!(self.measured, Measured::Subjects(_)).then_some(0),
                value: None,
                mean: Err(Null::NoUnits),
            },
        }
    }

    /// The number of one arm with its interval.
    pub(crate) fn told(&self, variant: &str, arm: &Arm) -> ArmTold {
        let mut told = ArmTold {
            variant: variant.to_owned(),
            of: 0,
            reached: None,
            value: None,
            low: None,
            high: None,
            code: None,
        };
        match arm {
            Arm::Rate(counts) => {
                told.of = counts.units();
                told.reached = Some(counts.successes());
                told.value = counts.rate();
                let interval = wilson(counts.successes(), counts.units());
                (told.low, told.high) = (interval.map(|i| i.low), interval.map(|i| i.high));
            }
            Arm::Mean {
                of, value, mean, ..
            } => {
                told.of = *of;
                told.value = value.map(|value| value / self.scale);
                match mean {
                    Ok(mean) => {
                        let interval = mean.interval(self.level);
                        told.low = Some(interval.low / self.scale);
                        told.high = Some(interval.high / self.scale);
                    }
                    Err(null) => told.code = Some(null.code().to_owned()),
                }
            }
            Arm::Cost { pairs } => {
                told.of = pairs.x().units();
                told.value = pairs.x().mean().map(|paid| paid / self.scale);
            }
            Arm::Time(curve) => {
                told.of = curve.subjects();
                match curve.restricted_mean(self.until_us) {
                    Ok(mean) => {
                        let half = self.level.z() * mean.variance().sqrt();
                        told.value = Some(mean.value() / 1_000.0);
                        told.low = Some((mean.value() - half) / 1_000.0);
                        told.high = Some((mean.value() + half) / 1_000.0);
                    }
                    Err(null) => told.code = Some(null.code().to_owned()),
                }
            }
        }
        if told.value.is_none() && told.code.is_none() {
            told.code = Some(Null::NoUnits.code().to_owned());
        }
        told
    }

    /// A variant beside the control; p-values are not corrected yet.
    pub(crate) fn compare(&self, variant: &str, control: &str, one: &Arm, zero: &Arm) -> Compared {
        let found = match (one, zero) {
            (Arm::Rate(one), Arm::Rate(zero)) => self.rates(*one, *zero),
            (Arm::Mean { mean: one, .. }, Arm::Mean { mean: zero, .. }) => {
                one.and_then(|one| self.means(one, (*zero)?))
            }
            (Arm::Cost { pairs: one }, Arm::Cost { pairs: zero }) => self.costs(*one, *zero),
            (Arm::Time(one), Arm::Time(zero)) => self.times(one, zero),
            _ => Err(Null::NoUnits),
        };
        let mut compared = found.unwrap_or_else(|null| Compared::none(self.test(), null));
        compared.told.variant = variant.to_owned();
        compared.told.against = control.to_owned();
        compared
    }

    fn test(&self) -> &'static str {
        match self.measured {
            Measured::Step(_) => "score",
            Measured::Subjects(_) => "jackknife",
            Measured::Ratio(..) => "delta",
            Measured::Mean(_) => "welch",
            Measured::Time(_) => "log_rank",
            Measured::Cost(_) => "fieller",
        }
    }

    fn rates(&self, one: Counts, zero: Counts) -> Result<Compared, Null> {
        let Comparison {
            z,
            p,
            difference,
            ratio,
            fisher,
            tiny_n,
            ..
        } = compare(one, zero, self.level)?;
        let belief = match self.believes {
            true => believe(one, zero, Prior::default()).ok(),
            false => None,
        };
        let effect = Effect::of_rates(one, zero).ok();
        let mut compared = self.compared(z, p, difference, ratio.lift(), effect, 1.0);
        compared.told.fisher_p = fisher;
        compared.told.tiny_n = tiny_n;
        compared.told.chance_to_win = belief.map(|b| b.chance_to_win);
        compared.told.loss_if_variant = belief.map(|b| b.loss_if_treatment);
        compared.told.loss_if_control = belief.map(|b| b.loss_if_control);
        Ok(compared)
    }

    fn means(&self, one: ArmMean, zero: ArmMean) -> Result<Compared, Null> {
        let MeanComparison {
            t,
            p,
            difference,
            ratio,
            ..
        } = compare_means(one, zero, self.level)?;
        let effect = Effect::of_means(one, zero).ok();
        Ok(self.compared(t, p, difference, ratio.lift(), effect, self.scale))
    }

    fn costs(&self, one: Pairs, zero: Pairs) -> Result<Compared, Null> {
        let cost = cost_per_extra_link(one, zero, self.level)?;
        let mut compared = Compared::empty(self.test());
        compared.told.difference = between(cost, self.scale);
        compared.told.lift = nothing(NOT_A_RATE);
        Ok(compared)
    }

    fn times(&self, one: &Curve, zero: &Curve) -> Result<Compared, Null> {
        let rank = log_rank(one.times(), zero.times())?;
        let mut compared = Compared::empty(self.test());
        compared.told.z = Some(rank.z);
        compared.told.p = Some(rank.p);
        let means = one.restricted_mean(self.until_us).and_then(|mean| {
            restricted_mean_difference(mean, zero.restricted_mean(self.until_us)?, self.level)
        });
        compared.told.difference = match means {
            Ok((estimate, _)) => between(estimate, 1_000.0),
            Err(null) => nothing(null.code()),
        };
        compared.told.lift = nothing(NOT_A_RATE);
        Ok(compared)
    }

    fn compared(
        &self,
        z: f64,
        p: f64,
        difference: Estimate,
        lift: Ratio,
        effect: Option<Effect>,
        scale: f64,
    ) -> Compared {
        let mut compared = Compared::empty(self.test());
        compared.effect = effect;
        let told = &mut compared.told;
        told.z = Some(z);
        told.p = Some(p);
        told.difference = between(difference, scale);
        told.lift = Between {
            value: lift.value.ok(),
            low: lift.low,
            high: lift.high,
            code: lift.value.err().map(|null| null.code().to_owned()),
        };
        if let Some(effect) = effect {
            let looked = self.sequence.look(effect);
            // a difference of rates is never beyond 1, however little is known of it
            let most = match self.measured {
                Measured::Step(_) | Measured::Subjects(_) => 1.0,
                _ => f64::MAX,
            };
            told.anytime = AnytimeTold {
                low: Some((looked.interval.low / scale).max(-most)),
                high: Some((looked.interval.high / scale).min(most)),
                p: Some(looked.p),
                p_corrected: None,
            };
        }
        compared
    }
}

/// The coarsest rounding of the arms' times, µs.
fn resolution_us(stats: &[Option<&Stat>]) -> u64 {
    let times = stats.iter().flatten().filter_map(|stat| match stat {
        Stat::Times(times) => Some(times.follow.resolution_us()),
        _ => None,
    });
    times.max().unwrap_or(1)
}

/// A count of subjects, which are far fewer than 2^64.
fn count(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}

/// Why there is no lift.
const NOT_A_RATE: &str = "not_a_rate";

pub(crate) fn nothing(code: &str) -> Between {
    Between {
        code: Some(code.to_owned()),
        ..Between::default()
    }
}

pub(crate) fn between(estimate: Estimate, scale: f64) -> Between {
    Between {
        value: Some(estimate.value / scale),
        low: Some(estimate.interval.low / scale),
        high: Some(estimate.interval.high / scale),
        code: None,
    }
}

/// A comparison, and what decisions need of it.
#[derive(Debug, Clone)]
pub(crate) struct Compared {
    pub(crate) told: ComparisonTold,
    pub(crate) effect: Option<Effect>,
}

impl Compared {
    fn empty(test: &str) -> Compared {
        Compared {
            told: ComparisonTold {
                variant: String::new(),
                against: String::new(),
                difference: Between::default(),
                simultaneous: None,
                lift: Between::default(),
                test: test.to_owned(),
                z: None,
                p: None,
                p_corrected: None,
                fisher_p: None,
                anytime: AnytimeTold::default(),
                chance_to_win: None,
                loss_if_variant: None,
                loss_if_control: None,
                tiny_n: false,
                code: None,
            },
            effect: None,
        }
    }

    fn none(test: &str, null: Null) -> Compared {
        let mut compared = Compared::empty(test);
        compared.told.difference = nothing(null.code());
        compared.told.lift = nothing(null.code());
        compared.told.code = Some(null.code().to_owned());
        compared
    }
}

/// Corrects the p-values of a family; one that is null counts as 1, so that the data do not make the family smaller.
pub(crate) fn correct<'c>(
    family: impl Iterator<Item = &'c mut ComparisonTold>,
    correction: Correction,
) {
    let mut family: Vec<&mut ComparisonTold> = family.collect();
    let all = |p: fn(&ComparisonTold) -> Option<f64>| -> Vec<f64> {
        let p = family.iter().map(|one| p(one).unwrap_or(1.0));
        correction.of(&p.collect::<Vec<f64>>())
    };
    let (fixed, anytime) = (all(|one| one.p), all(|one| one.anytime.p));
    for ((one, fixed), anytime) in family.iter_mut().zip(fixed).zip(anytime) {
        one.p_corrected = one.p.map(|_| fixed);
        one.anytime.p_corrected = one.anytime.p.map(|_| anytime);
    }
}

impl Curve {
    /// As the log-rank test reads it.
    pub(crate) fn times(&self) -> Times<'_> {
        Times {
            moments: self.moments(),
            at_risk_at_end: self.at_risk_at_end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use linkfunnel_stats::TUNED_FOR;

    use super::super::ages::Times as Timed;
    use super::*;

    /// A tenth of the units in one arm: its times are fewer, so it would be rounded less.
    #[test]
    fn times_of_all_arms_are_rounded_alike() {
        let stat = |every: u64| {
            let mut times = Timed::default();
            for i in (0..60_000_u64).step_by(usize::try_from(every).unwrap()) {
                times.add(Some(i * i % 86_399_999_977), 86_400_000_000, 86_400_000_000);
            }
            Stat::Times(Box::new(times))
        };
        let (few, many) = (stat(20), stat(1));
        let level = Level::default();
        let reading = Reading {
            measured: Measured::Time(1),
            scale: 1.0,
            until_us: 86_400_000_000,
            level,
            sequence: Sequence::new(level, TUNED_FOR).unwrap(),
            believes: false,
        };
        let (arms, _) = reading.arms(&[Some(&few), Some(&many)]);
        let [Arm::Time(few), Arm::Time(many)] = &arms[..] else {
            panic!("{arms:?}");
        };
        let step = many
            .moments()
            .iter()
            .fold(0_u64, |bits, m| bits | m.time)
            .trailing_zeros();
        assert!(step > 10, "the larger is rounded");
        assert!(
            few.moments()
                .iter()
                .all(|moment| moment.time % (1 << step) == 0)
        );
        let ranks = log_rank(few.times(), many.times()).unwrap();
        assert!(ranks.z.abs() < 1.0, "{ranks:?}");
    }
}
