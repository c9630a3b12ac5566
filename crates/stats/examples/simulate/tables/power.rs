//! Experiments with an effect, of the size that the planning says: how often it is found, and how early.

use std::io::{self, Write};

use linkfunnel_stats::{
    Allocation, Goal, Level, Looking as Planning, PHI, Plan, TUNED_FOR, units_needed,
};

use super::arms::Rates;
use super::looking::{Call, Calls, Looking};
use super::markdown::{percent, rate, table, thousands};
use super::runs::simulate;

/// Looks of the continuous method until its planned end.
const CONTINUOUS_LOOKS: usize = 20;

/// A way of looking, with its looks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// Once, at the end.
    Fixed,
    /// At so many planned looks.
    Planned(usize),
    /// At any time, tuned for the usual number of units.
    Continuous,
    /// At any time, tuned for the units that the fixed test needs.
    Tuned,
}

/// What came of the experiments of one way.
pub(crate) struct Found {
    /// Units planned, of both arms together.
    pub(crate) planned: u64,
    /// The look, from 1, at which each experiment that found the effect did, ascending.
    pub(crate) at: Vec<usize>,
    looks: usize,
    /// What the experiments were drawn from.
    pub(crate) seed: u64,
}

impl Way {
    fn name(self) -> String {
        match self {
            Way::Fixed => "fixed".into(),
            Way::Planned(looks) => format!("{looks} planned looks"),
            Way::Continuous => format!("continuous, tuned for {}", thousands(TUNED_FOR)),
            Way::Tuned => "continuous, tuned for the fixed number".into(),
        }
    }

    fn looks(self) -> usize {
        match self {
            Way::Fixed => 1,
            Way::Planned(looks) => looks,
            Way::Continuous | Way::Tuned => CONTINUOUS_LOOKS,
        }
    }

    fn call(self, calls: &Calls) -> Option<Call> {
        match self {
            Way::Fixed => calls.fixed,
            Way::Planned(_) => calls.planned,
            Way::Continuous | Way::Tuned => calls.continuous,
        }
    }

    /// Runs experiments of the size needed for a power of 80 %.
    pub(crate) fn find(self, rates: Rates, runs: u64, seed: u64) -> Found {
        let fixed = needed(rates, Planning::Fixed);
        let plan = Plan::equal(self.looks(), Level::default(), PHI).expect("equal looks");
        let tuned_for = match self {
            Way::Tuned => fixed,
            _ => TUNED_FOR,
        };
        let planned = match self {
            Way::Fixed => fixed,
            Way::Planned(_) => needed(rates, Planning::Planned(plan.looks(), PHI)),
            Way::Continuous | Way::Tuned => needed(rates, Planning::Continuous(tuned_for)),
        };
        let a_look = (planned / 2).div_ceil(self.looks() as u64);
        let looking = Looking::new(self.looks(), a_look).tuned_for(tuned_for);
        let calls = simulate(runs, seed, |dice| looking.run(dice, rates));
        let right = calls.iter().filter_map(|calls| self.call(calls));
        let right = right.filter(|call| call.up == (rates.one > rates.zero));
        let mut at: Vec<usize> = right.map(|call| call.look + 1).collect();
        at.sort_unstable();
        Found {
            planned,
            at,
            looks: self.looks(),
            seed,
        }
    }
}

fn needed(rates: Rates, looking: Planning<'_>) -> u64 {
    let goal = Goal::new(rates.zero, rates.one, 0.8).expect("rates that differ");
    let even = Allocation::new(1, 1.0).expect("one to one");
    units_needed(goal, even, looking, Level::default())
        .expect("a plan")
        .total
}

/// Writes the table.
pub(crate) fn write(out: &mut dyn Write, runs: u64, seed: u64) -> io::Result<()> {
    let effects = [(0.12, 0.126), (0.12, 0.132), (0.12, 0.144), (0.6, 0.65)];
    let ways = [
        Way::Fixed,
        Way::Planned(5),
        Way::Planned(20),
        Way::Continuous,
        Way::Tuned,
    ];
    let cases = effects
        .iter()
        .flat_map(|effect| ways.map(|way| (*effect, way)));
    let mut rows = Vec::new();
    for (((zero, one), way), seed) in cases.zip(seed..) {
        let found = way.find(Rates { one, zero }, runs, seed);
        let median = found.at[found.at.len() / 2] as u64;
        let looks = found.looks as u64;
        rows.push(vec![
            format!("{} to {}", rate(zero), rate(one)),
            way.name(),
            thousands(found.planned),
            percent(found.at.len() as u64, runs),
            format!("{} %", median * 100 / looks),
            thousands(found.planned * median / looks),
        ]);
    }
    let words = format!(
        "Share of A/B experiments that found a true effect, each of the size planned for 80 %; {} a row, the continuous \
         method looked at {CONTINUOUS_LOOKS} times. The two columns on the right are medians of those that found it.",
        thousands(runs)
    );
    let head = [
        "effect",
        "way of looking",
        "units planned, both arms",
        "found",
        "of the planned units when found",
        "units when found",
    ];
    table(out, "Power at the planned size", &words, &head, &rows)
}
