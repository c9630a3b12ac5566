//! Guardrails: how often one is passed though the harm is its margin, and how often where there is no harm.

use std::io::{self, Write};

use linkfunnel_stats::{Effect, Guardrail, Harm, Level, Margin, Sequence, Verdict, guardrail};

use super::arms::{Arms, Rates};
use super::markdown::{rate, share, table, thousands};
use super::runs::simulate;

const LOOKS: u64 = 20;

/// A margin in points or relative to the control.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A difference of rates.
    Points(f64),
    /// A share of the control's rate.
    Relative(f64),
}

impl Kind {
    fn margin(self) -> Margin {
        let margin = match self {
            Kind::Points(margin) => Margin::difference(margin),
            Kind::Relative(share) => Margin::relative(share),
        };
        margin.expect("a margin")
    }

    /// The rate at which the harm is the margin exactly.
    fn rate_at(self, control: f64) -> f64 {
        match self {
            Kind::Points(margin) => control - margin,
            Kind::Relative(share) => control * (1.0 - share),
        }
    }

    fn name(self) -> String {
        match self {
            Kind::Points(margin) => format!("{} points", 100.0 * margin),
            Kind::Relative(share) => format!("{} of the control", rate(share)),
        }
    }
}

/// The verdict at the end.
pub(crate) fn at_the_end(
    rates: Rates,
    kind: Kind,
    units: u64,
    runs: u64,
    seed: u64,
) -> Vec<Guardrail> {
    simulate(runs, seed, |dice| {
        let mut arms = Arms::default();
        arms.grow(dice, units, rates);
        let (one, zero) = (arms.one, arms.zero);
        guardrail(one, zero, kind.margin(), Harm::Fall, Level::default()).expect("units")
    })
}

/// Whether the continuous method ever passed, at twenty looks; of a margin in points.
pub(crate) fn ever_passed(
    rates: Rates,
    margin: f64,
    units: u64,
    runs: u64,
    seed: u64,
) -> Vec<bool> {
    simulate(runs, seed, |dice| {
        let mut arms = Arms::default();
        let mut passed = false;
        for _ in 0..LOOKS {
            arms.grow(dice, units / LOOKS, rates);
            let effect = Effect::of_rates(arms.one, arms.zero);
            passed |= effect.is_ok_and(|effect| {
                let got = Sequence::default().guardrail(effect, margin, Harm::Fall);
                got.expect("a margin").verdict == Verdict::Pass
            });
        }
        passed
    })
}

fn continuous(rates: Rates, kind: Kind, units: u64, runs: u64, seed: u64) -> String {
    match kind {
        Kind::Points(margin) => share(&ever_passed(rates, margin, units, runs, seed), |passed| {
            *passed
        }),
        Kind::Relative(_) => "–".into(),
    }
}

/// Writes the table.
pub(crate) fn write(out: &mut dyn Write, runs: u64, seed: u64) -> io::Result<()> {
    let guardrails = [
        (0.12, Kind::Points(0.02)),
        (0.5, Kind::Points(0.02)),
        (0.8, Kind::Points(0.02)),
        (0.98, Kind::Points(0.02)),
        (0.12, Kind::Relative(0.1)),
        (0.8, Kind::Relative(0.05)),
    ];
    let cases = guardrails
        .into_iter()
        .flat_map(|guardrail| [300, 1_000, 5_000, 20_000].map(|units| (guardrail, units)));
    let mut rows = Vec::new();
    for (((zero, kind), units), seed) in cases.zip((0..).map(|row| seed + 4 * row)) {
        let (harmed, unharmed) = (
            Rates {
                one: kind.rate_at(zero),
                zero,
            },
            Rates::alike(zero),
        );
        let at_margin = at_the_end(harmed, kind, units, runs, seed);
        let harmless = at_the_end(unharmed, kind, units, runs, seed + 1);
        let passed = |got: &Guardrail| got.verdict == Verdict::Pass;
        rows.push(vec![
            rate(zero),
            kind.name(),
            thousands(units),
            share(&at_margin, passed),
            share(&at_margin, |got| got.verdict == Verdict::Fail),
            share(&harmless, passed),
            continuous(harmed, kind, units, runs, seed + 2),
            continuous(unharmed, kind, units, runs, seed + 3),
        ]);
    }
    let words = format!(
        "How often a guardrail is passed or failed though the harm is the margin exactly (each at most 5 % by right), and \
         how often it is passed where there is no harm: {} experiments a row. The continuous method is looked at {LOOKS} \
         times, and has margins in points only.",
        thousands(runs)
    );
    let head = [
        "control",
        "margin",
        "units an arm",
        "false passes at the margin",
        "false fails at the margin",
        "passes without harm",
        "continuous, false passes",
        "continuous, passes without harm",
    ];
    table(out, "Guardrails", &words, &head, &rows)
}
