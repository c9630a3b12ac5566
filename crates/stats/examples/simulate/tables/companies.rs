//! Companies are assigned, journeys analysed: companies differ in size and in rate, so journeys of one are not independent.
//! Both arms are drawn from one market, so whoever calls a difference is wrong.

use std::io::{self, Write};

use linkfunnel_stats::{
    ArmMean, Clusters, Level, MeanComparison, Null, Pairs, compare_means, score,
};

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
    pub(crate) effective: f64,
    /// The rate of companies' journeys, by the jackknife, called a difference at 5 %.
    pub(crate) clusters: bool,
    /// The ratio a company, by the delta method, called one.
    pub(crate) delta: bool,
    /// The score test of journeys, as if they were independent, called one.
    pub(crate) journeys: bool,
    /// The width of the jackknife's interval, the delta method's being 1; None where it tells none.
    pub(crate) width: Option<f64>,
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
    /// So many companies: journeys and links of each, by company and summed.
    fn arm(self, dice: &mut Dice, companies: u64) -> (Clusters, Pairs) {
        let (mut clusters, mut pairs) = (Clusters::default(), Pairs::default());
        for _ in 0..companies {
            let (normal, of_rate) = dice.normals();
            let journeys = self.sizes.draw(dice, normal);
            let few = |count| u32::try_from(count).expect("few journeys");
            let logit = 0.4 + of_rate + self.tilt * f64::from(few(journeys)).ln();
            let links = draw(dice, journeys, 1.0 / (1.0 + (-logit).exp()));
            let (x, y) = (few(journeys), few(links.successes()));
            clusters.add(x, y).expect("few companies");
            pairs.add(x.into(), y.into()).expect("few journeys");
        }
        (clusters, pairs)
    }

    /// Runs A/A experiments of so many companies an arm.
    pub(crate) fn without_effect(self, companies: u64, runs: u64, seed: u64) -> Vec<Called> {
        simulate(runs, seed, |dice| {
            let (one, one_pairs) = self.arm(dice, companies);
            let (zero, zero_pairs) = self.arm(dice, companies);
            let delta = compared(ArmMean::ratio(one_pairs), ArmMean::ratio(zero_pairs));
            let clusters = compared(ArmMean::of_clusters(&one), ArmMean::of_clusters(&zero));
            let width = |compared: MeanComparison| {
                compared.difference.interval.high - compared.difference.interval.low
            };
            let naive = score(journeys(&one), journeys(&zero));
            Called {
                effective: one.effective_units(),
                clusters: clusters.is_ok_and(called),
                delta: delta.is_ok_and(called),
                journeys: naive.is_some_and(|p| p < ALPHA),
                width: clusters.and_then(|own| Ok(width(own) / width(delta?))).ok(),
            }
        })
    }
}

/// The error allowed.
const ALPHA: f64 = 0.05;

fn compared(
    one: Result<ArmMean, Null>,
    zero: Result<ArmMean, Null>,
) -> Result<MeanComparison, Null> {
    let level = Level::new(ALPHA).expect("5 % is a level");
    compare_means(one?, zero?, level)
}

fn called(compared: MeanComparison) -> bool {
    compared.p < ALPHA
}

/// As plain counts: links of journeys.
fn journeys(arm: &Clusters) -> (u64, u64) {
    let few = |count| u64::try_from(count).expect("few journeys");
    (few(arm.sum_y()), few(arm.sum_x()))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "companies, at least one"
)]
fn whole(companies: f64) -> u64 {
    companies.round() as u64
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
            thousands(whole(median(called.iter().map(|called| called.effective)))),
            share(&called, |called| called.clusters),
            share(&called, |called| called.delta),
            share(&called, |called| called.journeys),
            format!(
                "{:.3}",
                median(called.iter().filter_map(|called| called.width))
            ),
            share(&called, |called| called.width.is_none()),
        ]);
    }
    let words = format!(
        "Companies assigned, journeys analysed: share of A/A experiments in which a difference was called at α = 5 %, {} a \
         row. Each company has a rate of its own, 60 % in the median, with a standard deviation of 1 in the logit. The third \
         column is (Σx)²/Σx² of an arm, x a company's journeys: so many companies of one size would be as uncertain. \
         *Width* is the jackknife's interval, the delta method's being 1, in the median; *no answer* the share in which an \
         arm is as uncertain as fewer than two companies of one size, where the jackknife tells nothing.",
        thousands(runs)
    );
    let head = [
        "journeys a company",
        "companies an arm",
        "of one size as uncertain",
        "jackknife of companies",
        "ratio a company (delta method)",
        "journeys as if independent",
        "width",
        "no answer",
    ];
    table(out, "Companies of different size", &words, &head, &rows)
}
