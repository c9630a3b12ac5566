//! `linkfunnel query`: a question about a funnel, asked of a running server or of a data folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono_tz::Tz;
use clap::Args;
use linkfunnel_model::{
    Breakdown, Compare, CompareRange, CompareWord, Condition, FunnelDefinition, FunnelQuestion,
    FunnelRef, Include, Interval, Op, Range, Subject, built_in_funnel, instant_text,
};
use linkfunnel_query::FunnelAnswer;

use crate::client::{Client, DEFAULT_URL};
use crate::clock;
use crate::failure::{Doing, Failure, Result};
use crate::folder::DataFolder;
use crate::journey::{self, JourneyArgs};
use crate::out::{self, Screen};
use crate::sheet::{self, Sheet};
use crate::table::{self, Frame};

/// How far back a question looks when it says nothing about time.
const DEFAULT_LAST: &str = "30d";
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// Ask how many subjects get through a funnel, and where the others stop
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  linkfunnel query linking --by category --last 7d
  linkfunnel query linking --by integration --filter category=accounting --trend week
  linkfunnel query linking --last 7d --compare previous --why
  linkfunnel query linking_7d --explain J-48213
  linkfunnel query my_funnel.json --by attrs.platform --from 2026-10-01 --to 2026-11-01

FUNNEL is a built-in funnel (linking, first_link, invitation, pay_by_link, activation, application, assisted_call
and more: GET /api/v1/funnels), one that was saved (PUT /api/v1/funnels/ID), or a JSON file with a definition as in
schemas/funnel.schema.json. A key for a server that wants one is read from LINKFUNNEL_KEY.")]
pub(crate) struct QueryArgs {
    /// A built-in or saved funnel, or a JSON file with a definition
    funnel: String,
    /// Break down by these fields, comma-separated: category, integration, surface, attrs.NAME, …
    #[arg(long, value_delimiter = ',', value_name = "FIELDS")]
    by: Vec<String>,
    /// Look at entries of the last hours, days or weeks: 12h, 7d, 4w [default: 30d]
    #[arg(long, value_name = "LENGTH", conflicts_with_all = ["from", "to"])]
    last: Option<String>,
    /// First date or instant: 2026-10-01, 2026-10-01T00:00:00Z
    #[arg(long, value_name = "WHEN", requires = "to")]
    from: Option<String>,
    /// First date or instant after
    #[arg(long, value_name = "WHEN", requires = "from")]
    to: Option<String>,
    /// Only subjects with this value: category=accounting, surface=hosted_page,embedded_sdk, country!=FR (may be repeated)
    #[arg(long, value_name = "FIELD=VALUE")]
    filter: Vec<String>,
    /// Show how it went over time
    #[arg(long, value_name = "INTERVAL", value_parser = ["hour", "day", "week", "month"])]
    trend: Option<String>,
    /// Compare with another time: previous (the period before), year (the same dates a year before) or FROM..TO
    #[arg(long, value_name = "TIME")]
    compare: Option<String>,
    /// Show in full why subjects dropped, step by step
    #[arg(long)]
    why: bool,
    /// Show one subject of the funnel and why it is where it is, as `linkfunnel journey` does (of a saved funnel a journey)
    #[arg(long, value_name = "ID", conflicts_with_all = ["by", "filter", "trend", "compare", "why", "csv"])]
    explain: Option<String>,
    /// The server to ask [default: http://127.0.0.1:8080]
    #[arg(long, conflicts_with = "data")]
    url: Option<String>,
    /// Ask a data folder instead of a server
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Zone of dates, days and weeks [default: this machine's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<Tz>,
    /// The tenant to ask about, where there are several
    #[arg(long)]
    tenant: Option<String>,
    /// Ask of the same state of the data as an earlier answer: its meta.snapshot
    #[arg(long, value_name = "SNAPSHOT")]
    as_of: Option<String>,
    /// Print the answer as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print the answer as CSV: a line a step; with --trend an interval, with --compare a segment, with --why a reason
    #[arg(long)]
    csv: bool,
}

impl QueryArgs {
    /// Asks and prints.
    pub(crate) fn run(self) -> Result<()> {
        let now_us = clock::now_us();
        if let Some(id) = &self.explain {
            return self.explained(id, now_us)?.run();
        }
        let sheet = self.sheet()?;
        let question = self.question(now_us)?;
        let answer = match &self.data {
            Some(data) => self.ask_folder(data, question)?,
            None => self.ask_server(&question)?,
        };
        if self.json {
            out::line(&serde_json::to_string_pretty(&answer)?);
        } else if self.csv {
            out::write(&sheet::csv(&answer, sheet)?);
        } else {
            let title = self.title();
            let interval = self.trend.as_deref();
            let frame = Frame {
                title: &title,
                interval,
                why: self.why,
                now_us,
                screen: Screen::stdout(),
            };
            out::write(&table::render(&answer, &frame));
        }
        Ok(())
    }

    /// The same question about one subject; of all time where none is named.
    fn explained(&self, id: &str, now_us: i64) -> Result<JourneyArgs> {
        if self.funnel.ends_with(".json") {
            let failure = Failure::usage("--explain wants a funnel that has a name".to_owned());
            return Err(failure.mend("save the definition first: PUT /api/v1/funnels/ID"));
        }
        let is_bounded = self.last.is_some() || self.from.is_some();
        let range = is_bounded.then(|| self.range(now_us)).transpose()?;
        let (from, to) = range.map(|range| (range.from, range.to)).unzip();
        let built_in = built_in_funnel(&self.funnel);
        Ok(JourneyArgs {
            id: id.to_owned(),
            subject: built_in.map_or(Subject::Journey, |funnel| funnel.definition.subject),
            funnel: self.funnel.clone(),
            from,
            to,
            limit: journey::MAX_EVENTS,
            cursor: None,
            url: self.url.clone(),
            data: self.data.clone(),
            timezone: self.timezone,
            tenant: self.tenant.clone(),
            as_of: self.as_of.clone(),
            json: self.json,
        })
    }

    fn ask_server(&self, question: &FunnelQuestion) -> Result<FunnelAnswer> {
        let client = Client::new(
            self.url.as_deref().unwrap_or(DEFAULT_URL),
            self.tenant.as_deref(),
        );
        let body = serde_json::to_vec(question)?;
        let answer = client.post("/funnels/query", "application/json", &body)?;
        serde_json::from_value(answer).doing(|| format!("reading the answer of {}", client.url()))
    }

    fn ask_folder(&self, data: &std::path::Path, question: FunnelQuestion) -> Result<FunnelAnswer> {
        let tenant = self
            .tenant
            .as_deref()
            .unwrap_or(linkfunnel_model::DEFAULT_TENANT);
        clock::block_on(async {
            let engine = DataFolder::existing(data)?.engine().await?;
            engine.funnel(tenant, question).await.map_err(refused)
        })
    }

    /// What the lines of a CSV are.
    fn sheet(&self) -> Result<Sheet> {
        let asked = [
            (self.trend.is_some(), Sheet::Intervals),
            (self.compare.is_some(), Sheet::Comparison),
            (self.why, Sheet::Reasons),
        ];
        let mut asked = asked.into_iter().filter(|(is_asked, _)| *is_asked);
        match (asked.next(), asked.next()) {
            (Some(_), Some(_)) if self.csv => {
                let failure = Failure::usage("one CSV holds one kind of line".to_owned());
                Err(failure.mend("give only one of --trend, --compare and --why with --csv"))
            }
            (first, _) => Ok(first.map_or(Sheet::Steps, |(_, sheet)| sheet)),
        }
    }

    fn title(&self) -> String {
        match built_in_funnel(&self.funnel) {
            Some(funnel) => funnel.name,
            None => PathBuf::from(&self.funnel).file_stem().map_or_else(
                || self.funnel.clone(),
                |stem| stem.to_string_lossy().into_owned(),
            ),
        }
    }

    fn question(&self, now_us: i64) -> Result<FunnelQuestion> {
        let filters = self
            .filter
            .iter()
            .map(|text| condition(text))
            .collect::<Result<_>>()?;
        let interval = self.trend.as_deref().map(|word| match word {
            "hour" => Interval::Hour,
            "week" => Interval::Week,
            "month" => Interval::Month,
            _ => Interval::Day,
        });
        let by = self.by.clone();
        let limit = linkfunnel_model::DEFAULT_SEGMENTS;
        Ok(FunnelQuestion {
            funnel: funnel(&self.funnel)?,
            range: self.range(now_us)?,
            filters,
            breakdown: (!by.is_empty()).then(|| Breakdown {
                by,
                limit,
                attribution: BTreeMap::new(),
            }),
            interval,
            compare: self.compare.as_deref().map(compare).transpose()?,
            include: vec![Include::TimeToConvert, Include::Reasons],
            bins: None,
            as_of: self.as_of.clone(),
        })
    }

    fn range(&self, now_us: i64) -> Result<Range> {
        let between = self.from.as_deref().zip(self.to.as_deref());
        range(between, self.last.as_deref(), self.timezone, now_us)
    }
}

/// What `--from` and `--to`, or `--last`, and `--timezone` say; the last 30 days where they say nothing.
pub(crate) fn range(
    between: Option<(&str, &str)>,
    last: Option<&str>,
    timezone: Option<Tz>,
    now_us: i64,
) -> Result<Range> {
    let timezone = timezone.unwrap_or_else(clock::system_zone).to_string();
    if let Some((from, to)) = between {
        return Ok(Range {
            from: from.to_owned(),
            to: to.to_owned(),
            timezone,
        });
    }
    let last_us = length_us(last.unwrap_or(DEFAULT_LAST))?;
    Ok(Range {
        from: instant_text(now_us - last_us),
        to: instant_text(now_us),
        timezone,
    })
}

/// A question's refusal, with the place in the question.
pub(crate) fn refused(error: linkfunnel_query::Error) -> Failure {
    let pointer = error.pointer().to_owned();
    let failure = Failure::from(error);
    if pointer.is_empty() {
        failure
    } else {
        Failure::new(format!("{failure} (at {pointer})"))
    }
}

/// A funnel's id, or the definition in a `.json` file.
pub(crate) fn funnel(name: &str) -> Result<FunnelRef> {
    if !name.ends_with(".json") {
        return Ok(FunnelRef::Id(name.to_owned()));
    }
    let text = std::fs::read_to_string(name).doing(|| format!("reading {name}"))?;
    let definition: FunnelDefinition = serde_json::from_str(&text).map_err(|error| {
        Failure::new(format!("{name} is no funnel's definition: {error}"))
            .mend("schemas/funnel.schema.json says what one holds")
    })?;
    Ok(FunnelRef::Definition(Box::new(definition)))
}

/// `previous`, `year` or `FROM..TO`.
fn compare(text: &str) -> Result<Compare> {
    match (text, text.split_once("..")) {
        ("previous", _) => Ok(Compare::Word(CompareWord::PreviousPeriod)),
        ("year", _) => Ok(Compare::Word(CompareWord::PreviousYear)),
        (_, Some((from, to))) if !from.is_empty() && !to.is_empty() => {
            let (from, to) = (from.to_owned(), to.to_owned());
            Ok(Compare::Range(CompareRange { from, to }))
        }
        _ => Err(
            Failure::usage(format!("--compare {text}: no such time to compare with"))
                .mend("write previous, year, or two dates as in 2026-10-01..2026-11-01"),
        ),
    }
}

/// `7d`, `12h`, `4w`, `90m` in µs.
pub(crate) fn length_us(text: &str) -> Result<i64> {
    let wrong = || {
        Failure::usage(format!("{text} is no length of time"))
            .mend("write hours, days or weeks, such as 12h, 7d, 4w")
    };
    let unit_us = match text.chars().last().ok_or_else(wrong)? {
        'w' => 7 * DAY_US,
        'd' => DAY_US,
        'h' => DAY_US / 24,
        'm' => DAY_US / 1_440,
        _ => return Err(wrong()),
    };
    let number: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let us = number
        .checked_mul(unit_us)
        .filter(|us| (1..=linkfunnel_model::MAX_LENGTH_US).contains(us));
    us.ok_or_else(wrong)
}

/// `field=value`, `field=a,b`, `field!=value`, `field>=3`, … as a condition.
pub(crate) fn condition(text: &str) -> Result<Condition> {
    let wrong = || {
        Failure::usage(format!(
            "--filter {text}: a field, a sign and a value are expected"
        ))
        .mend("for instance --filter category=accounting")
    };
    let at = text
        .find(['=', '!', '<', '>'])
        .filter(|at| *at > 0)
        .ok_or_else(wrong)?;
    let (field, rest) = text.split_at(at);
    let signs = [
        ("!=", Op::Ne),
        ("<=", Op::Lte),
        (">=", Op::Gte),
        ("=", Op::Eq),
        ("<", Op::Lt),
        (">", Op::Gt),
    ];
    let (op, value) = signs
        .into_iter()
        .find_map(|(sign, op)| rest.strip_prefix(sign).map(|value| (op, value)))
        .filter(|(_, value)| !value.is_empty())
        .ok_or_else(wrong)?;
    let (op, value) = match (op, value.contains(',')) {
        (Op::Eq, true) => (Op::In, values(value)),
        (Op::Ne, true) => (Op::NotIn, values(value)),
        (Op::Lt | Op::Lte | Op::Gt | Op::Gte, _) => (
            op,
            serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        ),
        (op, _) => (op, typed(field, value)),
    };
    Ok(Condition {
        field: field.trim().to_owned(),
        op,
        value,
    })
}

fn values(list: &str) -> serde_json::Value {
    list.split(',').map(str::trim).collect()
}

/// `true` and numbers stand for themselves only where the field holds such.
fn typed(field: &str, value: &str) -> serde_json::Value {
    use linkfunnel_model::FieldKind;
    match linkfunnel_model::Field::parse(field.trim()).map(linkfunnel_model::Field::kind) {
        Some(FieldKind::Bool | FieldKind::Int { .. }) => {
            serde_json::from_str(value).unwrap_or_else(|_| value.into())
        }
        _ => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_they_are_spoken() {
        let cases = [
            ("category=accounting", "category", Op::Eq, r#""accounting""#),
            ("surface=a,b", "surface", Op::In, r#"["a","b"]"#),
            ("country!=FR", "country", Op::Ne, r#""FR""#),
            ("attrs.code=007", "attrs.code", Op::Eq, r#""007""#),
            ("account_count>=3", "account_count", Op::Gte, "3"),
            ("sca.required=true", "sca.required", Op::Eq, "true"),
        ];
        for (text, field, op, value) in cases {
            let condition = condition(text).unwrap();
            assert_eq!(
                (condition.field.as_str(), condition.op),
                (field, op),
                "{text}"
            );
            assert_eq!(condition.value.to_string(), value, "{text}");
        }
        for text in ["category", "=x", "category=", ""] {
            assert!(condition(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_comparison_is_a_word_or_two_dates() {
        let json = |text| serde_json::to_string(&compare(text).unwrap()).unwrap();
        assert_eq!(json("previous"), r#""previous_period""#);
        assert_eq!(json("year"), r#""previous_year""#);
        assert_eq!(
            json("2026-10-01..2026-11-01"),
            r#"{"from":"2026-10-01","to":"2026-11-01"}"#
        );
        for text in ["", "last", "..", "2026-10-01..", "..2026-10-01"] {
            assert!(compare(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_hours_days_and_weeks() {
        for (text, us) in [("7d", 7 * DAY_US), ("12h", DAY_US / 2), ("4w", 28 * DAY_US)] {
            assert_eq!(length_us(text).unwrap(), us, "{text}");
        }
        for text in ["", "7", "d", "0d", "-1d", "7 months", "99999999999999d"] {
            assert!(length_us(text).is_err(), "{text}");
        }
    }
}
