//! `linkfunnel experiment plan`: from a rate without any data, or from a funnel of a server or a data folder.

use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use clap::{ArgGroup, Args};
use linkfunnel_model::LookMethod;
use linkfunnel_query::{
    DEFAULT_LOOKS, ExperimentPlanAnswer, ExperimentPlanQuestion, PlanBaseline, PlanEffect,
    plan_at_rate,
};

use super::plan_table;
use crate::client::{Client, DEFAULT_URL};
use crate::clock;
use crate::failure::{Doing, Failure, Result};
use crate::folder::DataFolder;
use crate::out::{self, Screen};
use crate::query::{DAY_US, condition, funnel, length_us, range, refused};

/// Say how many units an experiment needs, how long that takes, and how small an effect the traffic can show
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("baseline").args(["rate", "funnel"]).required(true))]
#[command(group = ArgGroup::new("difference").args(["effect", "relative"]).required(true))]
#[command(after_help = "Examples:
  linkfunnel experiment plan --rate 12% --relative 10%
  linkfunnel experiment plan --rate 12% --effect 3pt --weekly 300 --variants 2
  linkfunnel experiment plan --funnel linking --last 28d --effect 3pt
  linkfunnel experiment plan --funnel linking --step 2 --last 8w --effect 5pt --method sequential --looks 4

With --rate nothing is asked and no data is needed. With --funnel the rate is that of the funnel's step among those whose
window is over, and the traffic is how many entered a day. A key for a server that wants one is read from LINKFUNNEL_KEY.")]
pub(crate) struct PlanArgs {
    // What is of a funnel conflicts with --rate: clap does not require what conflicts with something that is there.
    /// The control's rate: 12%, 0.12
    #[arg(long, value_name = "RATE", value_parser = share)]
    rate: Option<f64>,
    /// Measure the rate: a built-in or saved funnel, or a JSON file with a definition
    #[arg(long, value_name = "FUNNEL")]
    funnel: Option<String>,
    /// Number of the step whose rate it is [default: the last]
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    step: Option<usize>,
    /// Measure over entries of the last hours, days or weeks: 12h, 7d, 4w [default: 30d]
    #[arg(long, value_name = "LENGTH", conflicts_with_all = ["rate", "from", "to"])]
    last: Option<String>,
    /// First date or instant: 2026-10-01, 2026-10-01T00:00:00Z
    #[arg(long, value_name = "WHEN", requires = "to", conflicts_with = "rate")]
    from: Option<String>,
    /// First date or instant after
    #[arg(long, value_name = "WHEN", requires = "from", conflicts_with = "rate")]
    to: Option<String>,
    /// Only subjects with this value: category=accounting, country!=FR (may be repeated)
    #[arg(long, value_name = "FIELD=VALUE", conflicts_with = "rate")]
    filter: Vec<String>,
    /// The difference to be found, in points: 3pt, -2pt
    #[arg(long, value_name = "POINTS", value_parser = points, allow_hyphen_values = true)]
    effect: Option<f64>,
    /// The difference to be found, as a share of the control's rate: 10%, -5%
    #[arg(long, value_name = "SHARE", value_parser = share, allow_hyphen_values = true)]
    relative: Option<f64>,
    /// The chance to find it [default: 80%]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    power: Option<f64>,
    /// The share of false alarms accepted [default: 5%]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    alpha: Option<f64>,
    /// Variants beside the control [default: 1]
    #[arg(long, value_name = "N")]
    variants: Option<u32>,
    /// Units of each variant for one of the control: 1, 0.5 [default: 1]
    #[arg(long, value_name = "NUMBER")]
    share: Option<f64>,
    /// How the result will be looked at: once at the end, at planned looks, at any time [default: all three side by side]
    #[arg(long, value_parser = ["fixed", "sequential", "continuous"])]
    method: Option<String>,
    /// How many looks are planned, the last at the end [default: 5]
    #[arg(long, value_name = "N", requires = "method")]
    looks: Option<usize>,
    /// The number of units at which looking at any time is sharpest [default: 5000]
    #[arg(long, value_name = "UNITS", requires = "method")]
    tuned_for: Option<u64>,
    /// Units that come a day, all arms together [default: those of the funnel]
    #[arg(long, value_name = "UNITS", conflicts_with = "weekly")]
    daily: Option<f64>,
    /// Units that come a week
    #[arg(long, value_name = "UNITS")]
    weekly: Option<f64>,
    /// After how long to say what the traffic can show, comma-separated days or weeks [default: 1w,2w,4w,8w,12w]
    #[arg(long, value_name = "LENGTHS", value_delimiter = ',', value_parser = days)]
    after: Vec<u32>,
    /// The server to ask [default: http://127.0.0.1:8080]
    #[arg(long, conflicts_with_all = ["rate", "data"])]
    url: Option<String>,
    /// Ask a data folder instead of a server
    #[arg(long, value_name = "DIR", conflicts_with = "rate")]
    data: Option<PathBuf>,
    /// Zone of dates and days [default: this machine's]
    #[arg(long, value_name = "ZONE", conflicts_with = "rate")]
    timezone: Option<Tz>,
    /// The tenant to ask about, where there are several
    #[arg(long, conflicts_with = "rate")]
    tenant: Option<String>,
    /// Measure in the same state of the data as an earlier answer: its meta.snapshot
    #[arg(long, value_name = "SNAPSHOT", conflicts_with = "rate")]
    as_of: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl PlanArgs {
    /// Plans and prints.
    pub(crate) fn run(self) -> Result<()> {
        let question = self.question(clock::now_us())?;
        let answer = match (&self.funnel, &self.data) {
            (None, _) => plan_at_rate(question).map_err(refused)?,
            (Some(_), Some(data)) => self.ask_folder(data, question)?,
            (Some(_), None) => self.ask_server(&question)?,
        };
        if self.json {
            out::line(&serde_json::to_string_pretty(&answer)?);
        } else {
            out::write(&plan_table::render(&answer, Screen::stdout()));
        }
        Ok(())
    }

    fn ask_server(&self, question: &ExperimentPlanQuestion) -> Result<ExperimentPlanAnswer> {
        let url = self.url.as_deref().unwrap_or(DEFAULT_URL);
        let client = Client::new(url, self.tenant.as_deref());
        let body = serde_json::to_vec(question)?;
        let answer = client.post("/experiments/plan", "application/json", &body)?;
        serde_json::from_value(answer).doing(|| format!("reading the answer of {}", client.url()))
    }

    fn ask_folder(
        &self,
        data: &Path,
        question: ExperimentPlanQuestion,
    ) -> Result<ExperimentPlanAnswer> {
        let tenant = self.tenant.as_deref();
        let tenant = tenant.unwrap_or(linkfunnel_model::DEFAULT_TENANT);
        clock::block_on(async {
            let engine = DataFolder::existing(data)?.engine().await?;
            let answer = engine.plan_experiment(tenant, question).await;
            answer.map_err(refused)
        })
    }

    fn question(&self, now_us: i64) -> Result<ExperimentPlanQuestion> {
        let after_days = (!self.after.is_empty()).then(|| self.after.clone());
        Ok(ExperimentPlanQuestion {
            baseline: self.baseline(now_us)?,
            effect: PlanEffect {
                absolute: self.effect,
                relative: self.relative,
            },
            power: self.power,
            alpha: self.alpha,
            variants: self.variants,
            share: self.share,
            method: self.method()?,
            daily_units: self.daily.or(self.weekly.map(|weekly| weekly / 7.0)),
            after_days,
            as_of: self.as_of.clone(),
        })
    }

    fn baseline(&self, now_us: i64) -> Result<PlanBaseline> {
        let Some(name) = &self.funnel else {
            return Ok(PlanBaseline {
                rate: self.rate,
                ..PlanBaseline::default()
            });
        };
        let between = self.from.as_deref().zip(self.to.as_deref());
        let filters = self.filter.iter().map(|text| condition(text));
        Ok(PlanBaseline {
            rate: None,
            funnel: Some(funnel(name)?),
            range: Some(range(between, self.last.as_deref(), self.timezone, now_us)?),
            filters: filters.collect::<Result<_>>()?,
            step: self.step,
        })
    }

    fn method(&self) -> Result<Option<LookMethod>> {
        let word = self.method.as_deref();
        let stray = [
            (self.looks.is_some(), "--looks", "sequential"),
            (self.tuned_for.is_some(), "--tuned-for", "continuous"),
        ];
        if let Some((_, option, method)) = stray
            .into_iter()
            .find(|(is_there, _, method)| *is_there && word != Some(method))
        {
            let failure = Failure::usage(format!("{option} says nothing of this method"));
            return Err(failure.mend(format!("give it with --method {method}")));
        }
        Ok(word.map(|word| match word {
            "sequential" => LookMethod::Sequential {
                looks: self.looks.unwrap_or(DEFAULT_LOOKS),
            },
            "continuous" => LookMethod::Continuous {
                tuned_for: self.tuned_for,
            },
            _ => LookMethod::Fixed,
        }))
    }
}

/// `12%`, `12 %`, `0.12`.
fn share(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text} is no share; write 12% or 0.12");
    let (number, is_percent) = match text.strip_suffix('%') {
        Some(number) => (number, true),
        None => (text, false),
    };
    let number = number.trim().parse().ok().filter(|n: &f64| n.is_finite());
    match (number, is_percent) {
        (Some(number), true) => Ok(number / 100.0),
        // 12 without a sign would be 1 200 %.
        (Some(number), false) if number.abs() < 1.0 => Ok(number),
        _ => Err(wrong()),
    }
}

/// `3pt`, `3 pt`, `0.03`.
fn points(text: &str) -> Result<f64, String> {
    if text.ends_with('%') {
        return Err(
            "points or percent? Write 3pt for three points, or --relative 3% for three hundredths of the control's rate"
                .into(),
        );
    }
    let number = |text: &str| text.trim().parse().ok().filter(|n: &f64| n.is_finite());
    let found = match text.strip_suffix("pt").or(text.strip_suffix("pp")) {
        Some(points) => number(points).map(|points| points / 100.0),
        None => number(text).filter(|share| share.abs() < 1.0),
    };
    found.ok_or_else(|| format!("{text} is no difference; write 3pt for three points"))
}

/// Whole days: `7d`, `4w`.
fn days(text: &str) -> Result<u32, String> {
    let us = length_us(text.trim()).map_err(|failure| failure.to_string())?;
    let whole = u32::try_from(us / DAY_US).ok();
    whole
        .filter(|_| us % DAY_US == 0)
        .ok_or_else(|| format!("{text} is not of whole days; write 7d or 4w"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_points_are_read_as_they_are_spoken() {
        for (text, expected) in [
            ("12%", Some(0.12)),
            ("12 %", Some(0.12)),
            ("0.12", Some(0.12)),
            ("-5%", Some(-0.05)),
            ("150%", Some(1.5)),
            ("12", None),
            ("1", None),
            ("%", None),
            ("nan", None),
            ("inf%", None),
        ] {
            assert_eq!(share(text).ok(), expected, "{text}");
        }
        for (text, expected) in [
            ("3pt", Some(0.03)),
            ("-2 pt", Some(-0.02)),
            ("0.5pp", Some(0.005)),
            ("0.03", Some(0.03)),
            ("3", None),
            ("3%", None),
            ("pt", None),
        ] {
            assert_eq!(points(text).ok(), expected, "{text}");
        }
        for (text, expected) in [
            ("7d", Some(7)),
            ("4w", Some(28)),
            ("12h", None),
            ("48h", Some(2)),
            ("x", None),
        ] {
            assert_eq!(days(text).ok(), expected, "{text}");
        }
    }
}
