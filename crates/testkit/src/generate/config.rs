//! What to generate: volume, span, tenants, the ids events name, dirt, experiment, incident.

use serde::{Deserialize, Serialize};

use super::catalog;
use super::dice::{DAY, HOUR, MINUTE, SECOND, whole};
use crate::generate::error::Error;

/// Everything the generator is told. Same config, same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateConfig {
    /// All randomness follows from it.
    pub seed: u64,
    /// The first company appears at or after this instant (µs since the epoch).
    pub start_us: i64,
    /// Journeys begin within this many days of the start; `None`: endless.
    pub days: Option<f64>,
    /// How much.
    pub volume: Volume,
    /// Names of the tenants, at least one; the first gets the largest share. Ids overlap between tenants on purpose.
    /// Events of the tenant `default` do not name it.
    pub tenants: Vec<String>,
    /// Which ids events name.
    pub ids: Ids,
    /// One integration gets worse (or better) at some time.
    pub incident: Option<Incident>,
    /// An experiment by company.
    pub experiment: Option<Experiment>,
    /// An experiment by company on applications: is linking mandatory or optional?
    pub mandatory_step: Option<MandatoryStep>,
    /// Shares of everything that real streams get wrong.
    pub dirt: Dirt,
    /// Nothing is delivered after this instant (µs since the epoch): the rest of a journey under way is cut off, and the truth knows.
    pub end_us: Option<i64>,
    /// Daily and weekly season (UTC); without it the rate is even.
    pub season: bool,
    /// What carries the messages: a file has neither tombstones nor empty messages.
    pub carrier: Carrier,
    /// Number of the first company: ids follow from it, so two generators for one store need ranges apart.
    pub first_company: u64,
}

/// How much is generated. Targets are met within a few percent (volumes are random, as in life).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Volume {
    /// About this many journeys in all; needs `days`.
    Journeys(u64),
    /// About this many distinct valid events in all; needs `days`.
    Events(u64),
    /// About this many events a second, on average.
    EventsPerSecond(f64),
}

/// Which ids events name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ids {
    /// Every event names its company, and its journey where it has one.
    Full,
    /// Many name only an attempt or a connection; identity has to be found through ids.
    Sparse,
}

/// What carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// A topic: tombstones and empty messages exist.
    Topic,
    /// A file of lines: they do not.
    File,
}

/// The success rate of one integration changes, e.g. `xero:0.9..0.5@T+2d` or, for six hours only, `xero:0.9..0.5@T+2d/6h`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Key of the integration.
    pub integration: String,
    /// Linked with it ÷ journeys that chose it, outside the incident.
    pub before: f64,
    /// The same during the incident.
    pub during: f64,
    /// Begin, counted from the start of the generated span, in µs.
    pub after_us: i64,
    /// Length in µs; `None`: it lasts.
    pub length_us: Option<i64>,
}

impl Incident {
    /// Parses `KEY:BEFORE..DURING@T+TIME[/LENGTH]`; times like `2d`, `36h`, `90m`, `30s`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Incident {
            given: text.to_owned(),
            why: why.to_owned(),
        };
        let (key, rest) = text
            .split_once(':')
            .ok_or_else(|| wrong("no `:` after the integration"))?;
        let (rates, when) = rest
            .split_once('@')
            .ok_or_else(|| wrong("no `@` before the time"))?;
        let (before, during) = rates
            .split_once("..")
            .ok_or_else(|| wrong("no `..` between the rates"))?;
        let (after, length) = match when.split_once('/') {
            Some((after, length)) => (after, Some(length)),
            None => (when, None),
        };
        let after = after
            .strip_prefix("T+")
            .ok_or_else(|| wrong("the time does not begin with `T+`"))?;
        if catalog::integration(key).is_none() {
            return Err(wrong("the generator has no such integration"));
        }
        let rate = |text: &str| {
            let rate: f64 = text
                .parse()
                .map_err(|_| wrong("a rate that is no number"))?;
            if (0.0..=1.0).contains(&rate) {
                Ok(rate)
            } else {
                Err(wrong("a rate outside 0..1"))
            }
        };
        let time = |text: &str| {
            duration_us(text).ok_or_else(|| wrong("a time that is not like `2d`, `36h`, `90m`"))
        };
        Ok(Incident {
            integration: key.to_owned(),
            before: rate(before)?,
            during: rate(during)?,
            after_us: time(after)?,
            length_us: length.map(time).transpose()?,
        })
    }
}

impl std::str::FromStr for Incident {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Incident::parse(text)
    }
}

fn duration_us(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        'd' => DAY,
        'h' => HOUR,
        'm' => MINUTE,
        's' => SECOND,
        _ => return None,
    };
    let number: f64 = text[..text.len() - 1].parse().ok()?;
    (number.is_finite() && number >= 0.0).then(|| whole(number * unit as f64))
}

/// An experiment by company, exposed on every journey of an assigned company.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its id; the variants are `control` and `treatment`, half and half.
    pub id: String,
    /// Share of companies that take part; the others' events name no variant.
    pub share: f64,
    /// What the treatment adds to the conversion of journeys, absolute (0.03 = three points).
    pub lift: f64,
}

impl Default for Experiment {
    fn default() -> Self {
        Experiment {
            id: "short_consent".to_owned(),
            share: 0.9,
            lift: 0.04,
        }
    }
}

/// An experiment by company on the linking step of applications; the variants are `optional` and `required`, half and half.
/// What it does to the share of applications that is submitted follows from what those do who would have skipped the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MandatoryStep {
    /// Its id.
    pub id: String,
    /// Share of companies that take part; for the others the step is optional, and their events name no variant.
    pub share: f64,
    /// What `required` adds to the share of those asked to link that do, absolute.
    pub link_lift: f64,
}

impl Default for MandatoryStep {
    fn default() -> Self {
        MandatoryStep {
            id: "mandatory_step".to_owned(),
            share: 0.9,
            link_lift: 0.15,
        }
    }
}

/// Shares of what real streams get wrong; 0 switches a kind off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dirt {
    /// Of events: delivered again within seconds.
    pub duplicates: f64,
    /// Of events: delivered again one to fourteen days later, same content, perhaps on another partition.
    pub resends: f64,
    /// Of events: arrive 15 minutes to 28 hours late.
    pub late: f64,
    /// Of events: arrive seconds to two minutes late, so after their successors.
    pub out_of_order: f64,
    /// Malformed messages per event.
    pub malformed: f64,
    /// Of companies: the device's clock is wrong, mostly by minutes.
    pub skewed: f64,
    /// Of companies: the device's clock counts whole seconds, or tens of them.
    pub coarse_clocks: f64,
    /// Of journeys: sandbox.
    pub sandbox: f64,
    /// Of companies: our own people, tests or robots.
    pub not_human: f64,
    /// Of journeys that begin with an invitation: a mail scanner opens the link first.
    pub scanners: f64,
    /// Of events: a secret or personal datum in a sensitive field; half as many malformed messages carry one.
    pub secrets: f64,
    /// Of companies: analytics consent denied.
    pub denied: f64,
    /// Of malformed messages: larger than five MB.
    pub huge: f64,
}

impl Dirt {
    /// A clean stream.
    pub const NONE: Dirt = Dirt {
        duplicates: 0.0,
        resends: 0.0,
        late: 0.0,
        out_of_order: 0.0,
        malformed: 0.0,
        skewed: 0.0,
        coarse_clocks: 0.0,
        sandbox: 0.0,
        not_human: 0.0,
        scanners: 0.0,
        secrets: 0.0,
        denied: 0.0,
        huge: 0.0,
    };

    /// What a healthy installation sees.
    pub const NORMAL: Dirt = Dirt {
        duplicates: 0.008,
        resends: 0.003,
        late: 0.01,
        out_of_order: 0.03,
        malformed: 0.000_2,
        skewed: 0.01,
        coarse_clocks: 0.08,
        sandbox: 0.01,
        not_human: 0.01,
        scanners: 0.05,
        secrets: 0.000_2,
        denied: 0.005,
        huge: 0.0,
    };

    /// Everything, often: for tests.
    pub const HEAVY: Dirt = Dirt {
        duplicates: 0.05,
        resends: 0.03,
        late: 0.06,
        out_of_order: 0.15,
        malformed: 0.01,
        skewed: 0.08,
        coarse_clocks: 0.25,
        sandbox: 0.05,
        not_human: 0.05,
        scanners: 0.3,
        secrets: 0.005,
        denied: 0.03,
        huge: 0.0,
    };

    /// A named level: `none`, `normal`, `heavy`.
    pub fn level(name: &str) -> Option<Dirt> {
        match name {
            "none" => Some(Dirt::NONE),
            "normal" => Some(Dirt::NORMAL),
            "heavy" => Some(Dirt::HEAVY),
            _ => None,
        }
    }
}

impl Default for GenerateConfig {
    /// A month from 1 October 2026, about 60 000 journeys, normal dirt, one tenant.
    fn default() -> Self {
        GenerateConfig {
            seed: 1,
            start_us: 1_790_812_800 * SECOND,
            days: Some(30.0),
            volume: Volume::Journeys(60_000),
            tenants: vec!["default".to_owned()],
            ids: Ids::Full,
            incident: None,
            experiment: Some(Experiment::default()),
            mandatory_step: Some(MandatoryStep::default()),
            dirt: Dirt::NORMAL,
            end_us: None,
            season: true,
            carrier: Carrier::Topic,
            first_company: 1,
        }
    }
}

impl GenerateConfig {
    /// An endless even stream for a demo, from `now_us` on: deliver each message when its time has come.
    pub fn live(seed: u64, now_us: i64, events_per_second: f64) -> Self {
        GenerateConfig {
            seed,
            start_us: now_us,
            days: None,
            volume: Volume::EventsPerSecond(events_per_second),
            season: false,
            first_company: 10_000_001,
            ..GenerateConfig::default()
        }
    }

    /// Where journeys stop beginning, in µs; `None`: never.
    pub(crate) fn span_end_us(&self) -> Option<i64> {
        let end = self
            .days
            .map(|days| self.start_us.saturating_add(whole(days * DAY as f64)));
        match (end, self.end_us) {
            (Some(end), Some(cut)) => Some(end.min(cut)),
            (end, cut) => end.or(cut),
        }
    }

    /// Refuses what cannot be generated.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |why: &str| Err(Error::Config(why.to_owned()));
        if self.tenants.is_empty() {
            return wrong("no tenant");
        }
        if self
            .days
            .is_some_and(|days| !(days > 0.0 && days.is_finite()))
        {
            return wrong("days must be above zero");
        }
        match self.volume {
            Volume::Journeys(_) | Volume::Events(_) if self.span_end_us().is_none() => {
                wrong("a number of journeys or events needs a number of days")
            }
            Volume::EventsPerSecond(rate) if !(rate > 0.0 && rate.is_finite()) => {
                wrong("the rate must be above zero")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_read_from_its_text() {
        let incident = Incident::parse("xero:0.9..0.5@T+2d").unwrap();
        assert_eq!(incident.integration, "xero");
        assert_eq!(incident.after_us, 2 * DAY);
        assert_eq!(incident.length_us, None);
        assert_eq!(
            Incident::parse("xero:0.9..0.5@T+36h/90m")
                .unwrap()
                .length_us,
            Some(90 * MINUTE)
        );
    }

    #[test]
    fn a_wrong_incident_says_what_is_wrong() {
        for (text, why) in [
            ("xero", "no `:`"),
            ("xero:0.9@T+2d", "no `..`"),
            ("xero:0.9..0.5", "no `@`"),
            ("xero:0.9..1.5@T+2d", "outside 0..1"),
            ("xero:0.9..0.5@2d", "begin with `T+`"),
            ("xero:0.9..0.5@T+2w", "not like `2d`"),
            ("zero:0.9..0.5@T+2d", "no such integration"),
        ] {
            let said = Incident::parse(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
