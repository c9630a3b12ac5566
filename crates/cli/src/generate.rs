//! `linkfunnel generate`: link journeys with known truth, to a file or a topic.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use indicatif::ProgressBar;
use linkfunnel_testkit::generate::{
    Carrier, Delivery, Dirt, GenerateConfig, Generator, Ids, Incident, Volume, write_truth,
};

use crate::failure::{Doing, Failure, Result};
use crate::produce::Topic;
use crate::{clock, import, out, words};

const DAY_US: i64 = 86_400_000_000;
/// Journeys a day when no volume is asked for.
const JOURNEYS_A_DAY: f64 = 2_000.0;
/// The longest window of a built-in funnel, and the time windows need to be over.
const LONGEST_WINDOW_US: i64 = 91 * DAY_US;
/// Messages between two looks at the progress bar.
const SHOW_EVERY: u64 = 1_000;

/// Make link journeys with known truth, and everything that real streams get wrong
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  linkfunnel generate --events 1000000 --out events.ndjson        # truth in events.truth.json
  linkfunnel generate --incident xero:0.9..0.5@T+2d --ids sparse --out events.ndjson
  linkfunnel generate --kafka localhost:9092 --topic linkfunnel.events --rate 1000

Same seed, start and options: same bytes.")]
pub(crate) struct GenerateArgs {
    /// All randomness follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Days of journeys
    #[arg(long, default_value_t = 30.0)]
    days: f64,
    /// First day [default: so that the last day was yesterday]
    #[arg(long, value_name = "DATE")]
    start: Option<NaiveDate>,
    /// About so many events [default: those of 2 000 journeys a day]
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Which ids events name: their company always, or often only an attempt or connection
    #[arg(long, default_value = "full", value_parser = ["full", "sparse"])]
    ids: String,
    /// One integration gets worse: KEY:BEFORE..DURING@T+TIME[/LENGTH], as in xero:0.9..0.5@T+2d
    #[arg(long, value_name = "INCIDENT")]
    incident: Option<Incident>,
    /// Names of tenants, comma-separated, or how many
    #[arg(long, default_value = "default", value_name = "NAMES|N")]
    tenants: String,
    /// How much goes wrong in the stream
    #[arg(long, default_value = "normal", value_parser = ["none", "normal", "heavy"])]
    dirt: String,
    /// File of lines to write, - for standard output
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "kafka",
        conflicts_with = "kafka"
    )]
    out: Option<PathBuf>,
    /// Where the truth is written [default: beside --out, as NAME.truth.json]
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Produce to the topic of these brokers instead of a file
    #[arg(long, value_name = "BROKERS")]
    kafka: Option<String>,
    /// The topic
    #[arg(long, default_value = "linkfunnel.events", requires = "kafka")]
    topic: String,
    /// Messages a second [default: as many as the broker takes]
    #[arg(long, value_name = "N", requires = "kafka")]
    rate: Option<f64>,
}

impl GenerateArgs {
    /// Generates, writes, says what it wrote.
    pub(crate) fn run(self) -> Result<()> {
        crate::logs::start("warn");
        let config = self.config(clock::now_us())?;
        let mut generator = Generator::new(config)?;
        let bar = bar(generator.expected_deliveries());
        let sent = match (&self.kafka, &self.out) {
            (Some(brokers), _) => self.produce(brokers, &mut generator, &bar),
            (None, Some(path)) => write_lines(path, &mut generator, &bar),
            (None, None) => Err(Failure::usage("--out or --kafka says where to")),
        };
        bar.finish_and_clear();
        let sent = sent?;
        let truth = self
            .truth
            .clone()
            .or_else(|| self.out.as_deref().and_then(beside));
        let where_to = match (&self.kafka, &self.out) {
            (Some(brokers), _) => format!("{} at {brokers}", self.topic),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => String::new(),
        };
        let mut line = format!("{} in {where_to}", words::counted(sent, "message"));
        if let Some(path) = &truth {
            self.write_truth(&generator, path)?;
            line += &format!(", the truth about them in {}", path.display());
        }
        // Standard output may be the file itself.
        if self.out.as_deref() == Some(Path::new("-")) {
            out::note(&line)
        } else {
            out::line(&line)
        }
        Ok(())
    }

    fn config(&self, now_us: i64) -> Result<GenerateConfig> {
        if !(self.days > 0.0 && self.days <= 3_650.0) {
            return Err(Failure::usage("--days is above 0 and at most 3650"));
        }
        if self
            .rate
            .is_some_and(|rate| rate <= 0.0 || !rate.is_finite())
        {
            return Err(Failure::usage("--rate is above 0"));
        }
        let midnight = |day: NaiveDate| {
            day.and_hms_opt(0, 0, 0)
                .map(|t| t.and_utc().timestamp_micros())
        };
        let start_us = match self.start {
            Some(day) => midnight(day),
            None => DateTime::<Utc>::from_timestamp_micros(now_us)
                .and_then(|now| midnight(now.date_naive()))
                .map(|today| today - us_of_days(self.days)),
        };
        let journeys = (JOURNEYS_A_DAY * self.days).ceil().max(1.0);
        Ok(GenerateConfig {
            seed: self.seed,
            start_us: start_us.ok_or_else(|| Failure::usage("--start is no day"))?,
            days: Some(self.days),
            volume: match self.events {
                Some(events) => Volume::Events(events),
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at most 7.3 million"
                )]
                None => Volume::Journeys(journeys as u64),
            },
            tenants: tenants(&self.tenants)?,
            ids: if self.ids == "sparse" {
                Ids::Sparse
            } else {
                Ids::Full
            },
            incident: self.incident.clone(),
            dirt: Dirt::level(&self.dirt).unwrap_or(Dirt::NORMAL),
            carrier: if self.kafka.is_some() {
                Carrier::Topic
            } else {
                Carrier::File
            },
            ..GenerateConfig::default()
        })
    }

    fn produce(&self, brokers: &str, generator: &mut Generator, bar: &ProgressBar) -> Result<u64> {
        let mut topic = Topic::open(brokers, &self.topic)?;
        let begun = Instant::now();
        for delivery in generator {
            if let Some(rate) = self.rate {
                #[expect(clippy::cast_precision_loss, reason = "a pace, not a count")]
                let due = begun + Duration::from_secs_f64(topic.sent() as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            topic.send(&delivery)?;
            show(bar, topic.sent());
        }
        topic.finish()
    }

    fn write_truth(&self, generator: &Generator, path: &Path) -> Result<()> {
        let now_us = clock::now_us();
        let config = self.config(now_us)?;
        let end_us = config.start_us + us_of_days(self.days);
        let watermark_us = (end_us + LONGEST_WINDOW_US > now_us).then_some(now_us);
        let truth = generator
            .truth(watermark_us)
            .or_else(|| generator.truth(None));
        let truth =
            truth.ok_or_else(|| Failure::new("the truth about a stream that old is not kept"))?;
        let file = File::create(path).doing(|| format!("making {}", path.display()))?;
        Ok(write_truth(&truth, BufWriter::new(file))?)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most ten years")]
fn us_of_days(days: f64) -> i64 {
    #[expect(clippy::cast_precision_loss, reason = "exact: below 2^53")]
    let us = days * DAY_US as f64;
    us as i64
}

/// The names, or that many of them.
fn tenants(text: &str) -> Result<Vec<String>> {
    let names: Vec<String> = match text.parse::<usize>() {
        Ok(n @ 1..=1_000) => (1..=n)
            .map(|i| {
                if i == 1 {
                    "default".into()
                } else {
                    format!("tenant-{i}")
                }
            })
            .collect(),
        Ok(_) => return Err(Failure::usage("--tenants: 1 to 1000")),
        Err(_) => text.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    match names
        .iter()
        .find(|name| !linkfunnel_api::valid_tenant(name))
    {
        Some(name) => Err(
            Failure::usage(format!("--tenants: {name:?} cannot be a tenant"))
                .mend(linkfunnel_api::TENANT_RULE),
        ),
        None => Ok(names),
    }
}

fn beside(out: &Path) -> Option<PathBuf> {
    (out != Path::new("-")).then(|| out.with_extension("truth.json"))
}

fn bar(expected: Option<u64>) -> ProgressBar {
    match expected.filter(|_| out::shows_progress()) {
        None => ProgressBar::hidden(),
        Some(total) => ProgressBar::new(total).with_style(import::style(
            "generating  {bar:24} {percent:>3} %  {msg}  {eta} left",
        )),
    }
}

fn show(bar: &ProgressBar, sent: u64) {
    if sent.is_multiple_of(SHOW_EVERY) {
        bar.set_position(sent);
        bar.set_message(words::counted(sent, "message"));
    }
}

fn write_lines(path: &Path, generator: &mut Generator, bar: &ProgressBar) -> Result<u64> {
    let to: Box<dyn Write> = match path.as_os_str() == "-" {
        true => Box::new(io::stdout().lock()),
        false => Box::new(File::create(path).doing(|| format!("making {}", path.display()))?),
    };
    let mut to = BufWriter::with_capacity(1 << 20, to);
    let mut lines = 0;
    for delivery in generator {
        if !write_line(&delivery, &mut to).doing(|| format!("writing {}", path.display()))? {
            return Ok(lines);
        }
        lines += 1;
        show(bar, lines);
    }
    match to.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(lines),
    }
}

/// False when the reader of the pipe has gone.
fn write_line(delivery: &Delivery, to: &mut impl Write) -> Result<bool> {
    let Some(payload) = delivery.payload.as_deref().filter(|p| !p.is_empty()) else {
        return Ok(true);
    };
    match to.write_all(payload).and_then(|()| to.write_all(b"\n")) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => result.map(|()| true).map_err(Failure::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_names_or_a_number() {
        assert_eq!(tenants("2").unwrap(), ["default", "tenant-2"]);
        assert_eq!(tenants("a, b").unwrap(), ["a", "b"]);
        assert!(tenants("a b").is_err());
        assert!(tenants("0").is_err());
    }

    #[test]
    fn the_truth_lies_beside_the_events() {
        assert_eq!(
            beside(Path::new("x/events.ndjson")),
            Some("x/events.truth.json".into())
        );
        assert_eq!(beside(Path::new("-")), None);
    }
}
