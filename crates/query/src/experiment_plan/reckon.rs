//! From a rate and an effect to units, days and what the traffic can show.

use linkfunnel_model::LookMethod;
use linkfunnel_stats::{
    Direction, Goal, Looking, Needed, Null, PHI, TUNED_FOR, rate_found, units_needed,
};

use super::check::Wanted;
use super::measure::{Baseline, float};
use super::words::{in_words, percent};
use super::{
    ArmUnits, ExperimentPlanAnswer, ExperimentPlanQuestion, PlannedBaseline, PlannedEffect,
    PlannedMethod, PlannedTraffic, ShownAfter, SmallestEffect,
};
use crate::answer::Rate;
use crate::error::{Error, Result};

/// Days are not known: the question names no units a day, and none were measured.
pub const NO_DAILY_UNITS: &str = "no_daily_units";

impl Wanted {
    /// The plan; `measured`: the baseline, where it was not given.
    pub(super) fn plan(
        &self,
        question: ExperimentPlanQuestion,
        measured: Option<Baseline>,
    ) -> Result<ExperimentPlanAnswer> {
        let given = question.baseline.rate;
        let from = measured.as_ref().map(|it| it.from).or(given);
        let from = from.ok_or_else(|| Error::Internal("a plan without a rate".to_owned()))?;
        let effect = self.effect(from)?;
        let daily = self
            .daily_units
            .or(measured.as_ref().map(|it| it.daily_units));
        let fixed = self.needed(from, effect.rate, &LookMethod::Fixed)?;
        let methods = self.methods.iter().map(|method| {
            let needed = self.needed(from, effect.rate, method)?;
            Ok(PlannedMethod {
                method: method.clone(),
                control: arm(needed.control),
                variant: arm(needed.variant),
                total_units: needed.total,
                times_fixed: needed.control / fixed.control,
                days: daily.map(|daily| days(needed.total, daily)),
                code: daily.is_none().then(|| NO_DAILY_UNITS.to_owned()),
                after: self.after(from, daily, method)?,
            })
        });
        let methods = methods.collect::<Result<Vec<_>>>()?;
        let (rate, measured, meta) = match measured {
            None => (Rate::plain(from), None, None),
            Some(it) => (it.rate, Some(it.told), Some(it.meta)),
        };
        let mut answer = ExperimentPlanAnswer {
            query: self.in_full(question),
            baseline: PlannedBaseline { rate, measured },
            effect,
            traffic: PlannedTraffic {
                daily_units: daily,
                weekly_units: daily.map(|daily| daily * 7.0),
                code: daily.is_none().then(|| NO_DAILY_UNITS.to_owned()),
            },
            methods,
            words: Vec::new(),
            meta,
        };
        answer.words = in_words(&answer, from, self);
        Ok(answer)
    }

    /// The effect on a control's rate of `from`.
    fn effect(&self, from: f64) -> Result<PlannedEffect> {
        let to = self.effect.to(from);
        if Goal::new(from, to, self.power).is_err() {
            let detail = format!(
                "from {} the variant's rate would be {}: it must differ and lie between 0 % and 100 %, both excluded",
                percent(from),
                percent(to)
            );
            return Err(Error::refused(
                "out_of_range",
                self.effect.pointer(),
                detail,
            ));
        }
        Ok(effect(from, to))
    }

    fn needed(&self, from: f64, to: f64, method: &LookMethod) -> Result<Needed> {
        let goal = Goal::new(from, to, self.power).map_err(broken)?;
        let looks = looks(method);
        units_needed(goal, self.allocation, looking(method, &looks), self.level).map_err(broken)
    }

    /// What the traffic can show after each of the durations.
    fn after(&self, from: f64, daily: Option<f64>, method: &LookMethod) -> Result<Vec<ShownAfter>> {
        let Some(daily) = daily else {
            return Ok(Vec::new());
        };
        let arms = 1.0 + f64::from(self.variants) * self.share;
        let after = self.after_days.iter().map(|days| {
            let units = whole(daily * f64::from(*days) * JUST_ABOVE);
            let control_units = whole(float(units) / arms * JUST_ABOVE);
            Ok(ShownAfter {
                days: *days,
                units,
                control_units,
                up: self.smallest(from, Direction::Up, control_units, method)?,
                down: self.smallest(from, Direction::Down, control_units, method)?,
            })
        });
        after.collect()
    }

    fn smallest(
        &self,
        from: f64,
        direction: Direction,
        control_units: u64,
        method: &LookMethod,
    ) -> Result<SmallestEffect> {
        let looks = looks(method);
        let found = rate_found(
            from,
            direction,
            self.power,
            control_units,
            self.allocation,
            looking(method, &looks),
            self.level,
        );
        Ok(match found {
            Ok(Ok(to)) => {
                let effect = effect(from, to);
                SmallestEffect {
                    rate: Some(effect.rate),
                    absolute: Some(effect.absolute),
                    relative: Some(effect.relative),
                    code: None,
                    detail: None,
                }
            }
            Ok(Err(null)) => out_of_reach(null, from, direction),
            // The rate is so near its end that nothing lies between.
            Err(linkfunnel_stats::Error::Goal) => out_of_reach(Null::OutOfReach, from, direction),
            Err(error) => return Err(broken(error)),
        })
    }

    /// The question with every default filled in.
    fn in_full(&self, question: ExperimentPlanQuestion) -> ExperimentPlanQuestion {
        ExperimentPlanQuestion {
            power: Some(self.power),
            alpha: Some(self.alpha),
            variants: Some(self.variants),
            share: Some(self.share),
            method: question.method.and(self.methods.first().cloned()),
            after_days: Some(self.after_days.clone()),
            ..question
        }
    }
}

fn effect(from: f64, to: f64) -> PlannedEffect {
    PlannedEffect {
        rate: to,
        absolute: to - from,
        relative: (to - from) / from,
    }
}

fn out_of_reach(null: Null, from: f64, direction: Direction) -> SmallestEffect {
    let way = match direction {
        Direction::Up => "rise",
        Direction::Down => "fall",
    };
    SmallestEffect {
        rate: None,
        absolute: None,
        relative: None,
        code: Some(null.code().to_owned()),
        detail: Some(format!(
            "no {way} from {}, however large, would be found with so few units",
            percent(from)
        )),
    }
}

/// The shares of the planned units that are looked at.
fn looks(method: &LookMethod) -> Vec<f64> {
    match method {
        LookMethod::Sequential { looks } => {
            let all = float(*looks as u64);
            (1..=*looks).map(|look| float(look as u64) / all).collect()
        }
        LookMethod::Fixed | LookMethod::Continuous { .. } => Vec::new(),
    }
}

fn looking<'l>(method: &LookMethod, looks: &'l [f64]) -> Looking<'l> {
    match method {
        LookMethod::Fixed => Looking::Fixed,
        LookMethod::Sequential { .. } => Looking::Planned(looks, PHI),
        LookMethod::Continuous { tuned_for } => Looking::Continuous(tuned_for.unwrap_or(TUNED_FOR)),
    }
}

/// What the checks should have refused.
fn broken(error: linkfunnel_stats::Error) -> Error {
    Error::Internal(error.to_string())
}

fn arm(exact: f64) -> ArmUnits {
    ArmUnits {
        exact,
        units: whole(exact.ceil()),
    }
}

/// A product that is whole but for its last digits is that whole number.
const JUST_ABOVE: f64 = 1.0 + 1e-12;

/// Whole days until so many units have come.
fn days(units: u64, daily: f64) -> u64 {
    whole((float(units) / daily / JUST_ABOVE).ceil())
}

/// Rounded down, at most u64.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "above 0, and a cast of what is too large gives the greatest"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_no_day_is_added_by_rounding() {
        for (units, daily, expected) in [
            (24_008, 1_000.0, 25),
            (24_000, 1_000.0, 24),
            (100, 100.0 / 28.0, 28),
            (3, 0.1, 30),
            (1, 1_000.0, 1),
        ] {
            assert_eq!(days(units, daily), expected, "{units} {daily}");
        }
        for days_of in 1..2_000_u32 {
            for entered in [1_u64, 3, 7, 300, 1_234_567] {
                let daily = float(entered) / f64::from(days_of);
                assert_eq!(days(entered, daily), u64::from(days_of), "{entered}");
                let back = whole(daily * f64::from(days_of) * JUST_ABOVE);
                assert_eq!(back, entered, "{entered} in {days_of} days");
            }
        }
    }
}
