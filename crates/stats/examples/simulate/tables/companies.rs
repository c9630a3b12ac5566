//! Companies are assigned, journeys analysed: companies differ in size and in rate, so journeys of one are not independent.
//! Both arms are drawn from one market, so whoever calls a difference is wrong.

use std::io::{self, Write};

use linkfunnel_stats::{ArmMean, Counts, Level, Pairs, compare_means, score};

use super::arms::draw;
use super::dice::Dice;
use super::markdown::{share, table, thousands};
use super::runs::simulate;

/// How many journeys a company has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sizes {
    /// All the same.
    Even(u64),
    /// exp of a normal number of this median and standard deviation, rounded up.
    LogNormal(f64, f64),
    /// Pareto's of this exponent from 1 on, rounded up; a company beyond the second number has that many.
    Pareto(f64, f64),
}

/// Where companies come from. A company's rate has the logit 0.4 + 1.0·normal + tilt·ln(journeys): some 60 % in the median.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Market {
    /// Journeys a company.
    pub(crate) sizes: Sizes,
    /// How much better larger companies link: change of the logit by one of ln(journeys).
    pub(crate) tilt: f64,
}

/// What one experiment said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Called {
    /// How many companies of one size would be as uncertain as the treatment's: (Σx)²/Σx², x a company's journeys (Kish
    /// 1965, *Survey Sampling*, §11.7).
    pub(crate) effective: u64,
    /// The ratio a company, by the delta method, called a difference at 5 %.
    pub(crate) companies: bool,
    /// The score test of journeys, as if they were independent, called one.
    pub(crate) journeys: bool,
}

impl Sizes {
    /// A company's, from a standard normal number where it is made of one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above 0, and a cast of what is too large gives the greatest"
    )]
    fn draw(self, dice: &mut Dice, normal: f64) -> u64 {
        match self {
            Sizes::Even(journeys) => journeys,
            Sizes::LogNormal(median, spread) => (median * (spread * normal).exp()).ceil() as u64,
            Sizes::Pareto(exponent, most) => {
                (1.0 - dice.share()).powf(-1.0 / exponent).min(most).ceil() as u64
            }
        }
    }

    fn name(self) -> String {
        match self {
            Sizes::Even(journeys) => format!("{journeys} each"),
            Sizes::LogNormal(median, spread) => format!("log-normal, median {median}, σ {spread}"),
            Sizes::Pareto(exponent, most) => format!("Pareto {exponent}, at most {most}"),
        }
    }
}

impl Market {
    /// So many companies: journeys and links of each, summed; and the same as plain counts.
    fn arm(self, dice: &mut Dice, companies: u64) -> (Pairs, Counts) {
        let (mut pairs, mut all) = (Pairs::default(), Counts::default());
        for _ in 0..companies {
            let (normal, of_rate) = dice.normals();
            let journeys = self.sizes.draw(dice, normal);
            let size = f64::from(u32::try_from(journeys).unwrap_or(u32::MAX));
            let logit = 0.4 + of_rate + self.tilt * size.ln();
            let links = draw(dice, journeys, 1.0 / (1.0 + (-logit).exp()));
            let signed = |count| i64::try_from(count).expect("few journeys");
            pairs
                .add(signed(journeys), signed(links.successes()))
                .expect("few journeys");
            all = all.merge(links).expect("few journeys");
        }
        (pairs, all)
    }

    /// Runs A/A experiments of so many companies an arm.
    pub(crate) fn without_effect(self, companies: u64, runs: u64, seed: u64) -> Vec<Called> {
        simulate(runs, seed, |dice| {
            let (one, one_journeys) = self.arm(dice, companies);
            let (zero, zero_journeys) = self.arm(dice, companies);
            let level = Level::default();
            let arms = ArmMean::ratio(one).and_then(|one| Ok((one, ArmMean::ratio(zero)?)));
            let compared = arms.and_then(|(one, zero)| compare_means(one, zero, level));
            let pair = |counts: Counts| (counts.successes(), counts.units());
            let naive = score(pair(one_journeys), pair(zero_journeys));
            Called {
                effective: effective(one),
                companies: compared.is_ok_and(|compared| compared.p < level.alpha()),
                journeys: naive.is_some_and(|p| p < level.alpha()),
            }
        })
    }
}

fn effective(pairs: Pairs) -> u64 {
    let (sum, squares) = (pairs.x().sum(), pairs.x().squares());
    u64::try_from((sum * sum + squares / 2) / squares).expect("at most the companies")
}

fn median_effective(called: &[Called]) -> u64 {
    let mut effective: Vec<u64> = called.iter().map(|called| called.effective).collect();
    effective.sort_unstable();
    effective[effective.len() / 2]
}

/// Writes the table.
pub(crate) fn write(out: &mut dyn Write, runs: u64, seed: u64) -> io::Result<()> {
    let markets = [
        (Sizes::Even(20), 0.0),
        (Sizes::LogNormal(5.0, 1.0), 0.0),
        (Sizes::LogNormal(5.0, 1.0), 0.3),
        (Sizes::LogNormal(5.0, 1.5), 0.0),
        (Sizes::Pareto(1.5, 1_000.0), 0.0),
    ];
    let cases = markets
        .into_iter()
        .flat_map(|market| [10, 20, 50, 100, 200, 500, 2_000].map(|companies| (market, companies)));
    let mut rows = Vec::new();
    for (((sizes, tilt), companies), seed) in cases.zip(seed..) {
        let called = Market { sizes, tilt }.without_effect(companies, runs, seed);
        let larger = if tilt > 0.0 {
            ", larger link better"
        } else {
            ""
        };
        rows.push(vec![
            format!("{}{larger}", sizes.name()),
            thousands(companies),
            thousands(median_effective(&called)),
            share(&called, |called| called.companies),
            share(&called, |called| called.journeys),
        ]);
    }
    let words = format!(
        "Companies assigned, journeys analysed: share of A/A experiments in which a difference was called at α = 5 %, {} a \
         row. Each company has a rate of its own, 60 % in the median, with a standard deviation of 1 in the logit. The third \
         column is (Σx)²/Σx² of an arm, x a company's journeys: so many companies of one size would be as uncertain.",
        thousands(runs)
    );
    let head = [
        "journeys a company",
        "companies an arm",
        "of one size as uncertain",
        "ratio a company (delta method)",
        "journeys as if independent",
    ];
    table(out, "Companies of different size", &words, &head, &rows)
}
