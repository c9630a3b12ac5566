//! Several variants and metrics at once: how often anything at all is called wrongly.

use std::io::{self, Write};

use linkfunnel_stats::{Correction, Counts, Level, score};

use super::dice::Dice;
use super::markdown::{rate, share, table, thousands};
use super::runs::simulate;

const VARIANTS: usize = 3;

/// True rates of one arm: of the first step, and of the second among those who took the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    /// Of the first step.
    pub(crate) first: f64,
    /// Of the second, given the first.
    pub(crate) then: f64,
}

/// Whether anything was called that is not so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrong {
    /// Each test at 5 %.
    pub(crate) uncorrected: bool,
    /// With Holm's correction over all six.
    pub(crate) holm: bool,
    /// With Bonferroni's.
    pub(crate) bonferroni: bool,
}

/// Both metrics over all units of an arm. The second depends on the first: who did not link does not submit.
fn arm(dice: &mut Dice, units: u64, steps: Steps) -> [Counts; 2] {
    let first = dice.successes(units, steps.first);
    let second = dice.successes(first, steps.then);
    [first, second].map(|successes| Counts::new(successes, units).expect("some of all"))
}

/// Runs experiments of three variants and a control that all share; in the first variant the first step is `better` by so
/// much, which counts as no mistake.
pub(crate) fn wrong_calls(
    steps: Steps,
    better: f64,
    units: u64,
    runs: u64,
    seed: u64,
) -> Vec<Wrong> {
    simulate(runs, seed, |dice| {
        let control = arm(dice, units, steps);
        let mut p = Vec::new();
        for variant in 0..VARIANTS {
            let first = steps.first + if variant == 0 { better } else { 0.0 };
            let treated = arm(dice, units, Steps { first, ..steps });
            for (one, zero) in treated.into_iter().zip(control) {
                let pair = |counts: Counts| (counts.successes(), counts.units());
                p.push(score(pair(one), pair(zero)).expect("both have units"));
            }
        }
        // Both metrics of a better variant are better.
        let true_effects = if better > 0.0 { 2 } else { 0 };
        let wrong = |correction: Correction| {
            let corrected = correction.of(&p);
            corrected[true_effects..]
                .iter()
                .any(|p| *p < Level::default().alpha())
        };
        Wrong {
            uncorrected: wrong(Correction::None),
            holm: wrong(Correction::Holm),
            bonferroni: wrong(Correction::Bonferroni),
        }
    })
}

/// Writes the table.
pub(crate) fn write(out: &mut dyn Write, runs: u64, seed: u64) -> io::Result<()> {
    let steps = [(0.12, 0.5), (0.6, 0.7)].map(|(first, then)| Steps { first, then });
    let cases = steps.into_iter().flat_map(|steps| {
        [0.0, 0.1]
            .into_iter()
            .flat_map(move |better| [300, 2_000, 10_000].map(|units| (steps, better, units)))
    });
    let mut rows = Vec::new();
    for ((steps, better, units), seed) in cases.zip(seed..) {
        let wrong = wrong_calls(steps, better, units, runs, seed);
        let truth = if better > 0.0 {
            format!("one variant {} points better", 100.0 * better)
        } else {
            "no effect".into()
        };
        rows.push(vec![
            format!("{}, {}", rate(steps.first), rate(steps.first * steps.then)),
            truth,
            thousands(units),
            share(&wrong, |wrong| wrong.uncorrected),
            share(&wrong, |wrong| wrong.holm),
            share(&wrong, |wrong| wrong.bonferroni),
        ]);
    }
    let words = format!(
        "{VARIANTS} variants × 2 metrics (a step and the next, over all units), one control for all: share of {} \
         experiments a row in which anything was called wrongly.",
        thousands(runs)
    );
    let head = [
        "rates of the two steps",
        "truth",
        "units an arm",
        "each at 5 %",
        "Holm",
        "Bonferroni",
    ];
    table(out, "Families of tests", &words, &head, &rows)
}
