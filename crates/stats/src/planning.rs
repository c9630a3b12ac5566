//! How many units a binary step needs, how small an effect so many can find, and how many days that takes.
//!
//! **Fixed**, z of the test pooled and z of the power not: n0 = (z_α·sqrt(p̄q̄(1 + 1/k)) + z_β·sqrt(p0q0 + p1q1/k))²/(p1
//! − p0)², n1 = k·n0, p̄ = (p0 + k·p1)/(1 + k). Of equal arms that is (z_α·sqrt(2p̄q̄) + z_β·sqrt(p0q0 + p1q1))²/(p1 −
//! p0)². Source: Fleiss, J. L., Levin, B. and Paik, M. C. (2003), *Statistical Methods for Rates and Proportions*, §4.2,
//! without its continuity correction.
//!
//! **Planned looks**: the fixed number times (drift/(z_α + z_β))², drift being the mean of z at the planned end for which
//! the plan stops above with the power wanted. **Continuous**: the number at which the effect is the half-width plus z_β
//! standard errors, so that the interval leaves no effect out with the power wanted at that number alone; looking earlier
//! adds to it.
//!
//! Several variants share the level (Bonferroni), as Holm's first step does. The power of a finished experiment is never
//! told.

use crate::root::root;
use crate::{Error, Level, Null, Plan, Sequence, float, normal};

/// An effect to be found: from one rate to another, with what certainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    from: f64,
    to: f64,
    power: f64,
}

/// The least difference of rates that is planned for.
const LEAST_EFFECT: f64 = 1e-9;

impl Goal {
    /// A control's rate of `from`, a treatment's of `to`, each inside 0..1 and at least 1e-9 apart; found with a chance of
    /// `power`, 0.5..=0.9999.
    ///
    /// # Errors
    /// [`Error::Goal`] else.
    pub fn new(from: f64, to: f64, power: f64) -> Result<Goal, Error> {
        let inside = |rate: f64| 0.0 < rate && rate < 1.0;
        let apart = (to - from).abs() >= LEAST_EFFECT;
        if inside(from) && inside(to) && apart && (0.5..=0.9999).contains(&power) {
            Ok(Goal { from, to, power })
        } else {
            Err(Error::Goal)
        }
    }
}

/// How units are divided: each variant gets `share` times the units of the control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allocation {
    share: f64,
    variants: u32,
}

impl Allocation {
    /// `variants` beside the control, at least 1, each with `share` times the control's units, 0.001..=1000.
    ///
    /// # Errors
    /// [`Error::Allocation`] else.
    pub fn new(variants: u32, share: f64) -> Result<Allocation, Error> {
        if variants > 0 && (0.001..=1_000.0).contains(&share) {
            Ok(Allocation { share, variants })
        } else {
            Err(Error::Allocation)
        }
    }
}

/// How the experiment will be looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Looking<'a> {
    /// Once, at the end.
    Fixed,
    /// At these shares of the planned units, with this exponent of the spending.
    Planned(&'a [f64], f64),
    /// At any time, tuned for so many units.
    Continuous(u64),
}

/// Units an experiment needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needed {
    /// Of the control, before rounding up.
    pub control: f64,
    /// Of each variant, before rounding up.
    pub variant: f64,
    /// Of all arms, each rounded up.
    pub total: u64,
}

/// The units that find the goal.
///
/// # Errors
/// As [`Plan::new`] and [`Sequence::new`], of what is looked at.
pub fn units_needed(
    goal: Goal,
    allocation: Allocation,
    looking: Looking<'_>,
    level: Level,
) -> Result<Needed, Error> {
    let control =
        Design::new(goal.power, allocation, looking, level)?.control_units(goal.from, goal.to);
    let variant = control * allocation.share;
    let variants = whole(variant).saturating_mul(u64::from(allocation.variants));
    Ok(Needed {
        control,
        variant,
        total: whole(control).saturating_add(variants),
    })
}

/// Which way an effect goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A higher rate than the control's.
    Up,
    /// A lower one.
    Down,
}

/// The rate nearest to `from` that so many units of the control (and its share in each variant) tell from it; the least
/// effect is that less `from`.
///
/// # Errors
/// [`Error::Goal`] for a rate or power outside its limits, else as [`units_needed`]; a null, [`Null::OutOfReach`], where
/// not even the farthest rate would be found.
pub fn rate_found(
    from: f64,
    direction: Direction,
    power: f64,
    control_units: u64,
    allocation: Allocation,
    looking: Looking<'_>,
    level: Level,
) -> Result<Result<f64, Null>, Error> {
    let farthest = match direction {
        Direction::Up => 1.0 - LEAST_EFFECT,
        Direction::Down => LEAST_EFFECT,
    };
    Goal::new(from, farthest, power)?;
    let design = Design::new(power, allocation, looking, level)?;
    let nearest = match direction {
        Direction::Up => from + LEAST_EFFECT,
        Direction::Down => from - LEAST_EFFECT,
    };
    let lacking = |to: f64| design.control_units(from, to) / float(control_units.max(1)) - 1.0;
    if control_units == 0 || lacking(farthest) > 0.0 {
        return Ok(Err(Null::OutOfReach));
    }
    if lacking(nearest) <= 0.0 {
        return Ok(Ok(nearest));
    }
    Ok(Ok(root(nearest, farthest, lacking)))
}

/// Whole days until so many units have been seen.
///
/// # Errors
/// [`Null::NoUnits`] where none come.
pub fn days(units: u64, daily_units: u64) -> Result<u64, Null> {
    if daily_units == 0 {
        return Err(Null::NoUnits);
    }
    Ok(units.div_ceil(daily_units))
}

/// What does not depend on the rates.
struct Design {
    share: f64,
    z_alpha: f64,
    z_beta: f64,
    /// Times the fixed number.
    inflation: f64,
    sequence: Option<Sequence>,
}

impl Design {
    fn new(
        power: f64,
        allocation: Allocation,
        looking: Looking<'_>,
        level: Level,
    ) -> Result<Design, Error> {
        let level = level.shared_by(u64::from(allocation.variants));
        let (z_alpha, z_beta) = (level.z(), normal::quantile(1.0 - power));
        let (mut inflation, mut sequence) = (1.0, None);
        match looking {
            Looking::Fixed => {}
            Looking::Planned(looks, phi) => {
                let plan = Plan::new(looks, level, phi)?;
                let lacking = |drift: f64| plan.power(drift) - power;
                let drift = root(0.0, FARTHEST_DRIFT, lacking);
                inflation = (drift / (z_alpha + z_beta)).powi(2);
            }
            Looking::Continuous(tuned_for) => sequence = Some(Sequence::new(level, tuned_for)?),
        }
        Ok(Design {
            share: allocation.share,
            z_alpha,
            z_beta,
            inflation,
            sequence,
        })
    }

    fn control_units(&self, from: f64, to: f64) -> f64 {
        let k = self.share;
        let spread = |rate: f64| rate * (1.0 - rate);
        let effect = (to - from).abs();
        let apart = spread(from) + spread(to) / k;
        let pooled = spread((from + k * to) / (1.0 + k)) * (1.0 + 1.0 / k);
        let deviations = self.z_alpha * pooled.sqrt() + self.z_beta * apart.sqrt();
        let fixed = (deviations / effect).powi(2) * self.inflation;
        let Some(sequence) = self.sequence else {
            return fixed;
        };
        let lacking = |log: f64| {
            let n = log.exp();
            let error = (apart / n).sqrt();
            let needed = sequence.half_width(error, n * (1.0 + k)) + self.z_beta * error;
            (needed / effect).ln()
        };
        let (mut low, mut high) = (fixed.ln(), fixed.ln());
        while lacking(low) < 0.0 && low > -FARTHEST_LOG {
            low -= 1.0;
        }
        while lacking(high) > 0.0 && high < FARTHEST_LOG {
            high += 1.0;
        }
        root(low, high, lacking).exp()
    }
}

/// The logarithm of more units than there will ever be.
const FARTHEST_LOG: f64 = 200.0;

/// A drift with which any plan stops: its boundaries are below 40, its first look at a thousandth.
const FARTHEST_DRIFT: f64 = 100.0;

/// Rounded up, at most u64.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "units are above 0, and a cast of what is too large gives the greatest"
)]
fn whole(units: f64) -> u64 {
    units.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_to_one() -> Allocation {
        Allocation::new(1, 1.0).unwrap()
    }

    fn goal() -> Goal {
        Goal::new(0.12, 0.132, 0.8).unwrap()
    }

    fn needed(allocation: Allocation, looking: Looking<'_>) -> Needed {
        units_needed(goal(), allocation, looking, Level::default()).unwrap()
    }

    #[test]
    fn twelve_percent_and_a_tenth_more_needs_12_004_an_arm() {
        let needed = needed(one_to_one(), Looking::Fixed);
        assert!((needed.control - 12_003.68).abs() < 5e-3, "{needed:?}");
        assert_eq!(needed.total, 24_008);
        assert_eq!(days(needed.total, 1_000), Ok(25));
        assert_eq!(days(needed.total, 0), Err(Null::NoUnits));
    }

    #[test]
    fn looking_early_costs_a_little_by_plan_and_much_at_any_time() {
        let fixed = needed(one_to_one(), Looking::Fixed).control;
        let once = needed(one_to_one(), Looking::Planned(&[1.0], 2.0)).control;
        assert!((once / fixed - 1.0).abs() < 1e-10);
        let looks: Vec<f64> = (1..=5).map(|k| f64::from(k) / 5.0).collect();
        let planned = needed(one_to_one(), Looking::Planned(&looks, 2.0)).control;
        assert!(
            (1.02..1.15).contains(&(planned / fixed)),
            "{planned} {fixed}"
        );
        let continuous = needed(one_to_one(), Looking::Continuous(5_000)).control;
        assert!(
            (1.5..3.0).contains(&(continuous / fixed)),
            "{continuous} {fixed}"
        );
    }

    /// statsmodels 0.15.0, samplesize_proportions_2indep_onetail(0.012, 0.12, 0.8, ratio=9 and 1/3, alpha=0.05).
    #[test]
    fn unequal_splits_equal_statsmodels() {
        let printed = [
            (1.0 / 9.0, 59_215.065_037_569_42, 6_579.451_670_841_047),
            (3.0, 8_066.389_977_234_187, 24_199.169_931_702_56),
        ];
        for (share, control, variant) in printed {
            let got = needed(Allocation::new(1, share).unwrap(), Looking::Fixed);
            assert!((got.control / control - 1.0).abs() < 1e-12, "{got:?}");
            assert!((got.variant / variant - 1.0).abs() < 1e-12, "{got:?}");
        }
    }

    #[test]
    fn more_variants_and_an_unequal_split_need_more() {
        let one = needed(one_to_one(), Looking::Fixed);
        let three = needed(Allocation::new(3, 1.0).unwrap(), Looking::Fixed);
        assert!(three.control > one.control && three.total > 2 * one.total);
        let tenth = needed(Allocation::new(1, 1.0 / 9.0).unwrap(), Looking::Fixed);
        assert!((tenth.control / tenth.variant - 9.0).abs() < 1e-9);
        assert!(tenth.total > 2 * one.total);
    }

    #[test]
    fn the_rate_found_is_the_one_that_needs_those_units() {
        let looks = [0.5, 1.0];
        for looking in [
            Looking::Fixed,
            Looking::Planned(&looks, 2.0),
            Looking::Continuous(5_000),
        ] {
            for (direction, sign) in [(Direction::Up, 1.0), (Direction::Down, -1.0)] {
                let of = |units| {
                    rate_found(
                        0.12,
                        direction,
                        0.8,
                        units,
                        one_to_one(),
                        looking,
                        Level::default(),
                    )
                };
                let to = of(5_000).unwrap().unwrap();
                assert!(sign * (to - 0.12) > 0.0);
                let goal = Goal::new(0.12, to, 0.8).unwrap();
                let back = units_needed(goal, one_to_one(), looking, Level::default()).unwrap();
                assert!((back.control / 5_000.0 - 1.0).abs() < 1e-9, "{back:?}");
                assert_eq!(of(0), Ok(Err(Null::OutOfReach)));
                assert_eq!(of(1), Ok(Err(Null::OutOfReach)));
            }
        }
    }

    #[test]
    fn goals_without_meaning_are_typed_errors() {
        for (from, to, power) in [
            (0.0, 0.1, 0.8),
            (0.1, 1.0, 0.8),
            (0.1, 0.1, 0.8),
            (0.1, 0.2, 1.0),
            (0.1, f64::NAN, 0.8),
        ] {
            assert_eq!(Goal::new(from, to, power), Err(Error::Goal));
        }
        assert_eq!(Allocation::new(0, 1.0), Err(Error::Allocation));
        assert_eq!(Allocation::new(1, 0.0), Err(Error::Allocation));
        let none = units_needed(
            goal(),
            one_to_one(),
            Looking::Continuous(0),
            Level::default(),
        );
        assert_eq!(none, Err(Error::NoUnits));
        let looks = units_needed(
            goal(),
            one_to_one(),
            Looking::Planned(&[], 2.0),
            Level::default(),
        );
        assert_eq!(looks, Err(Error::Looks));
    }

    /// By the definition: at that number the effect is the half-width plus z_β standard errors.
    #[test]
    fn the_continuous_number_meets_its_definition() {
        for tuned_for in [1, 5_000, 1_000_000_000, u64::MAX] {
            let n = needed(one_to_one(), Looking::Continuous(tuned_for)).control;
            let error = ((0.12 * 0.88 + 0.132 * 0.868) / n).sqrt();
            let sequence = Sequence::new(Level::default(), tuned_for).unwrap();
            let at = sequence.half_width(error, 2.0 * n) + 0.841_621_233_572_914_3 * error;
            assert!((at - 0.012).abs() < 1e-12, "{tuned_for}: {n}");
        }
    }

    #[test]
    fn the_farthest_goals_give_numbers() {
        for (from, to) in [
            (1e-9, 1.0 - 1e-9),
            (0.5, 0.5 + 1.1e-9),
            (1.0 - 1e-12, 1e-12),
        ] {
            for power in [0.5, 0.9999] {
                let goal = Goal::new(from, to, power).unwrap();
                for looking in [
                    Looking::Fixed,
                    Looking::Planned(&[0.001, 1.0], 2.0),
                    Looking::Continuous(u64::MAX),
                ] {
                    for allocation in [
                        Allocation::new(1, 0.001),
                        Allocation::new(u32::MAX, 1_000.0),
                    ] {
                        let got =
                            units_needed(goal, allocation.unwrap(), looking, Level::default())
                                .unwrap();
                        assert!(
                            got.control.is_finite() && got.variant.is_finite() && got.total > 0,
                            "{got:?}"
                        );
                    }
                }
            }
        }
    }
}
