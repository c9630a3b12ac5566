//! One experiment, looked at again and again as it grows, in each of the ways there are.

use linkfunnel_stats::{Effect, Level, PHI, Plan, Sequence};

use super::arms::{Arms, Rates};
use super::dice::Dice;

/// How an experiment is looked at: equal looks, the last at the planned end.
pub(crate) struct Looking {
    looks: usize,
    /// Of each arm, between two looks.
    units_a_look: u64,
    plan: Plan,
    sequence: Sequence,
}

/// When a difference was called, and which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// The look, from 0.
    pub(crate) look: usize,
    /// The treatment was called better.
    pub(crate) up: bool,
}

/// The first call of each way of looking, if there was one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls {
    /// The fixed test, read once, at the planned end.
    pub(crate) fixed: Option<Call>,
    /// The planned looks, all of them.
    pub(crate) planned: Option<Call>,
    /// The continuous method, read at every look.
    pub(crate) continuous: Option<Call>,
    /// The fixed test misused: read at every look.
    pub(crate) peeked: Option<Call>,
}

impl Looking {
    /// So many looks, `units_a_look` units of each arm apart.
    pub(crate) fn new(looks: usize, units_a_look: u64) -> Looking {
        Looking {
            looks,
            units_a_look,
            plan: Plan::equal(looks, Level::default(), PHI).expect("equal looks are a plan"),
            sequence: Sequence::default(),
        }
    }

    /// With the continuous method tuned for so many units of both arms.
    pub(crate) fn tuned_for(self, units: u64) -> Looking {
        let sequence = Sequence::new(Level::default(), units).expect("more than none");
        Looking { sequence, ..self }
    }

    /// Runs one experiment to its planned end.
    pub(crate) fn run(&self, dice: &mut Dice, rates: Rates) -> Calls {
        let mut arms = Arms::default();
        let mut calls = Calls::default();
        for look in 0..self.looks {
            arms.grow(dice, self.units_a_look, rates);
            let call = |found: bool| {
                found.then_some(Call {
                    look,
                    up: arms.up(),
                })
            };
            let p = arms.p();
            calls.fixed = call(p < Level::default().alpha());
            calls.peeked = calls.peeked.or(calls.fixed);
            let level = self.plan.level_at(look).expect("a look of the plan");
            calls.planned = calls.planned.or(call(p < level.alpha()));
            calls.continuous = calls.continuous.or(call(self.leaves_out(arms)));
        }
        calls
    }

    /// Whether the continuous interval leaves no effect out. Where nothing varies there is none.
    fn leaves_out(&self, arms: Arms) -> bool {
        let effect = Effect::of_rates(arms.one, arms.zero);
        effect.is_ok_and(|effect| self.sequence.look(effect).p < Level::default().alpha())
    }
}
