//! `linkfunnel journey`: one journey (or company, attempt, …), every event of it, and why it is where it is.

use std::path::PathBuf;

use chrono_tz::Tz;
use clap::Args;
use linkfunnel_model::{Range, Subject};
use linkfunnel_query::{EventAnswer, JourneyAnswer, JourneyQuestion, JourneyUnder};

use crate::client::{Client, DEFAULT_URL, escaped, with_parameters};
use crate::failure::{Doing, Result};
use crate::folder::DataFolder;
use crate::grid::tame;
use crate::out::{self, Screen};
use crate::{clock, query, tell, words};

/// Longest value from the data shown in one place, in columns.
const MAX_VALUE: usize = 40;
/// Most events shown at once.
pub(crate) const MAX_EVENTS: u16 = 1_000;

/// Show one journey: its events in order, and why it is where it is
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  linkfunnel journey J-48213
  linkfunnel journey c-1881 --subject company --funnel linking_7d
  linkfunnel journey mine-1 --data ./linkfunnel-data --json

Without --from and --to the entries of all time are looked at; a question about a shorter range may count another one.
A key for a server that wants one is read from LINKFUNNEL_KEY.")]
pub(crate) struct JourneyArgs {
    /// The id
    pub(crate) id: String,
    /// What the id names: journey, company, attempt, session, user, anonymous, connection, invite, payment_link, application
    #[arg(long, default_value = "journey", value_parser = subject)]
    pub(crate) subject: Subject,
    /// The funnel it is explained by
    #[arg(long, default_value = "linking")]
    pub(crate) funnel: String,
    /// Only entries begun from this date or instant: 2026-10-01, 2026-10-01T00:00:00Z
    #[arg(long, value_name = "WHEN", requires = "to")]
    pub(crate) from: Option<String>,
    /// Only entries begun before this date or instant
    #[arg(long, value_name = "WHEN", requires = "from")]
    pub(crate) to: Option<String>,
    /// Most events to show (1 000 at most)
    #[arg(long, default_value_t = MAX_EVENTS, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_EVENTS)))]
    pub(crate) limit: u16,
    /// The page after an earlier answer: its next_cursor
    #[arg(long, value_name = "CURSOR", requires = "as_of")]
    pub(crate) cursor: Option<String>,
    /// The server to ask [default: http://127.0.0.1:8080]
    #[arg(long, conflicts_with = "data")]
    pub(crate) url: Option<String>,
    /// Ask a data folder instead of a server
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Zone of dates and times [default: this machine's]
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<Tz>,
    /// The tenant to ask about, where there are several
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Ask of the same state of the data as an earlier answer: its meta.snapshot
    #[arg(long, value_name = "SNAPSHOT")]
    pub(crate) as_of: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn subject(word: &str) -> std::result::Result<Subject, String> {
    serde_json::from_value(word.into())
        .map_err(|_| format!("no subject is called {word}; there are journey, company, attempt, …"))
}

impl JourneyArgs {
    /// Asks and prints.
    pub(crate) fn run(self) -> Result<()> {
        let zone = self.timezone.unwrap_or_else(clock::system_zone);
        let question = self.question(zone);
        let at = Place {
            url: self.url.as_deref(),
            data: self.data.as_deref(),
            tenant: self.tenant.as_deref(),
        };
        let answer = ask(&at, question)?;
        if self.json {
            out::line(&serde_json::to_string_pretty(&answer)?);
        } else {
            out::write(&text(&answer, zone, clock::now_us(), Screen::stdout()));
        }
        Ok(())
    }

    fn question(&self, zone: Tz) -> JourneyQuestion {
        let range = self.from.clone().zip(self.to.clone());
        JourneyQuestion {
            subject: self.subject,
            funnel: self.funnel.clone(),
            range: range.map(|(from, to)| Range {
                from,
                to,
                timezone: zone.to_string(),
            }),
            limit: Some(usize::from(self.limit)),
            cursor: self.cursor.clone(),
            as_of: self.as_of.clone(),
            ..JourneyQuestion::of(&self.id)
        }
    }
}

/// Where a question is asked.
struct Place<'a> {
    url: Option<&'a str>,
    data: Option<&'a std::path::Path>,
    tenant: Option<&'a str>,
}

fn ask(at: &Place<'_>, question: JourneyQuestion) -> Result<JourneyAnswer> {
    if let Some(data) = at.data {
        let tenant = at.tenant.unwrap_or(linkfunnel_model::DEFAULT_TENANT);
        return clock::block_on(async {
            let engine = DataFolder::existing(data)?.engine().await?;
            let answer = engine.journey(tenant, question).await;
            answer.map_err(query::refused)
        });
    }
    let client = Client::new(at.url.unwrap_or(DEFAULT_URL), at.tenant);
    let answer = client.get(&path(&question))?;
    serde_json::from_value(answer).doing(|| format!("reading the answer of {}", client.url()))
}

fn path(question: &JourneyQuestion) -> String {
    let mut parameters = vec![
        ("subject", question.subject.as_str().to_owned()),
        ("funnel", question.funnel.clone()),
    ];
    if let Some(range) = &question.range {
        parameters.push(("from", range.from.clone()));
        parameters.push(("to", range.to.clone()));
        parameters.push(("timezone", range.timezone.clone()));
    }
    parameters.extend(question.limit.map(|limit| ("limit", limit.to_string())));
    parameters.extend(question.cursor.clone().map(|cursor| ("cursor", cursor)));
    parameters.extend(question.as_of.clone().map(|as_of| ("as_of", as_of)));
    let id = escaped(&question.id);
    with_parameters(&format!("/journeys/{id}"), &parameters)
}

/// The whole text, ending in a line end.
fn text(answer: &JourneyAnswer, zone: Tz, now_us: i64, screen: Screen) -> String {
    let teller = tell::Teller {
        zone,
        now_us,
        screen,
    };
    let shown: Vec<String> = answer
        .subjects
        .iter()
        .map(|under| one(answer, under, &teller))
        .collect();
    let mut text = match shown.is_empty() {
        true => format!(
            "{} {} has no events in this time.\n",
            answer.kind.replace('_', " "),
            tame(&answer.id, MAX_VALUE)
        ),
        false => shown.join("\n"),
    };
    if answer.subjects.len() > 1 {
        let companies = words::count(answer.subjects.len() as u64);
        text = format!("This id stands under {companies} companies.\n\n{text}");
    }
    if let Some(cursor) = &answer.next_cursor {
        let snapshot = &answer.meta.snapshot;
        text += &format!("\nThe next events: --cursor {cursor} --as-of {snapshot}\n");
    }
    text
}

fn one(answer: &JourneyAnswer, under: &JourneyUnder, teller: &tell::Teller) -> String {
    let mut text = head(answer, under, teller.screen);
    text += &events(under, teller);
    let sentences = teller.explanation(&answer.funnel, &under.explanation);
    for sentence in sentences {
        for line in crate::grid::fold(&sentence, teller.screen.width, ("", "")) {
            text += &line;
            text.push('\n');
        }
    }
    text
}

fn head(answer: &JourneyAnswer, under: &JourneyUnder, screen: Screen) -> String {
    let name = |text: &str| tame(&text.replace('_', " "), MAX_VALUE);
    let mut parts = vec![screen.bold(&tame(&answer.id, 2 * MAX_VALUE))];
    if answer.kind != "company" {
        let company = under.company_id.as_deref();
        parts.extend(company.map(|id| format!("company {}", tame(id, MAX_VALUE))));
    }
    parts.extend(under.category.as_deref().map(name));
    let integrations = under.integrations.iter();
    let integrations: Vec<String> = integrations
        .map(|named| tame(named.name.as_deref().unwrap_or(&named.key), MAX_VALUE))
        .collect();
    if !integrations.is_empty() {
        parts.push(integrations.join(", "));
    }
    let by = under.medium.as_deref().map(|medium| match medium {
        "email" => "by e-mail".to_owned(),
        other => format!("by {}", name(other)),
    });
    match (under.surface.as_deref().map(name), by) {
        (Some(surface), Some(by)) => parts.push(format!("{surface} {by}")),
        (surface, by) => parts.extend(surface.or(by)),
    }
    parts.push(match under.linked_at {
        Some(_) => screen.green("linked"),
        None => "not linked".to_owned(),
    });
    format!("{}\n", parts.join(" · "))
}

/// One line an event: time, name, what matters, time since the one before.
fn events(under: &JourneyUnder, teller: &tell::Teller) -> String {
    let lines: Vec<[String; 4]> = under
        .events
        .iter()
        .map(|event| line(event, teller))
        .collect();
    let width = |column: usize| {
        let cells = lines.iter().map(|line| crate::grid::len(&line[column]));
        cells.max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    let mut day = None;
    for (event, [time, name, what, since]) in under.events.iter().zip(&lines) {
        let on = teller.day(&event.occurred_at);
        if on != day {
            text += &teller.screen.faint(on.as_deref().unwrap_or_default());
            text.push('\n');
            day = on;
        }
        let pad =
            |text: &str, width: usize| " ".repeat(width.saturating_sub(crate::grid::len(text)));
        let plain = format!(
            "{time}{}  {name}{}  {what}{}  {}{since}",
            pad(time, widths[0]),
            pad(name, widths[1]),
            pad(what, widths[2]),
            pad(since, widths[3]),
        );
        let plain = plain.trim_end();
        text += &match event.is_counted {
            true if tell::went_wrong(event) => teller.screen.red(plain),
            true => plain.to_owned(),
            false => teller.screen.faint(plain),
        };
        text.push('\n');
    }
    text
}

fn line(event: &EventAnswer, teller: &tell::Teller) -> [String; 4] {
    let since = event.since_previous_ms.map(tell::since);
    [
        teller.time(&event.occurred_at),
        tame(&event.event, MAX_VALUE),
        tame(&tell::what_matters(event), 2 * MAX_VALUE),
        since.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_into_the_url_whatever_it_holds() {
        let question = JourneyQuestion {
            as_of: Some("a+b".into()),
            ..JourneyQuestion::of("a/b ?#é")
        };
        assert_eq!(
            path(&question),
            "/journeys/a%2Fb%20%3F%23%C3%A9?subject=journey&funnel=linking&as_of=a%2Bb"
        );
    }

    #[test]
    fn the_subjects_are_those_of_funnels() {
        assert_eq!(subject("payment_link"), Ok(Subject::PaymentLink));
        assert!(subject("journy").unwrap_err().contains("journy"));
    }
}
