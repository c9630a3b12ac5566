//! A funnel's answer as a person reads it: segments as columns while they fit, else as lines.
//!
//! Only what the answer holds is shown: a null rate is a dash, and the line below says why.

mod compare;
mod reasons;
mod segments;
mod trend;

use chrono::DateTime;
use chrono_tz::Tz;
use linkfunnel_model::Length;
use linkfunnel_query::{FunnelAnswer, Meta};
use serde_json::Value as Json;

use crate::grid::{UNSEEN, fold, len, tame};
use crate::out::Screen;
use crate::words;

/// Longest name of a segment or step shown, in columns.
const MAX_NAME: usize = 28;
/// What stands for a number that the answer does not have.
const UNKNOWN: &str = "–";

/// What the answer itself does not say.
#[derive(Debug, Clone)]
pub(crate) struct Frame<'a> {
    /// The funnel as the user called it.
    pub(crate) title: &'a str,
    /// The interval of the trend, when one was asked for.
    pub(crate) interval: Option<&'a str>,
    /// Whether the reasons are shown in full.
    pub(crate) why: bool,
    /// Now, µs since the epoch.
    pub(crate) now_us: i64,
    /// Where it is shown.
    pub(crate) screen: Screen,
}

/// The whole text, ending in a line end.
pub(crate) fn render(answer: &FunnelAnswer, frame: &Frame<'_>) -> String {
    let asked = Asked::of(&answer.query);
    let mut out = head(answer, &asked, frame);
    out.push('\n');
    if answer.total.entered == 0 {
        out.push_str("Nobody entered in this time.\n");
    } else {
        let rates = answer.total.matured.entered > 0;
        out.push_str(&segments::by_segment(answer, &asked, rates, frame.screen));
        if frame.why {
            out.push('\n');
            out.push_str(&reasons::in_full(answer, frame.screen));
        }
        if let Some(comparison) = &answer.compare {
            out.push('\n');
            for line in compare::lines(answer, comparison, &asked) {
                paragraph(&line, frame.screen, &mut out);
            }
        }
        if !answer.trend.is_empty() {
            out.push('\n');
            out.push_str(&trend::trend(answer, &asked, frame));
        }
    }
    let remarks = remarks(answer, &out);
    if !remarks.is_empty() {
        out.push('\n');
    }
    for remark in remarks {
        paragraph(&remark, frame.screen, &mut out);
    }
    out
}

/// The question as the server executed it, as far as it is shown.
struct Asked {
    subject: String,
    window: Option<String>,
    zone: Tz,
    range_us: Option<(i64, i64)>,
    filters: Vec<String>,
    default_population: bool,
}

impl Asked {
    fn of(query: &Json) -> Self {
        let text = |pointer: &str| query.pointer(pointer).and_then(Json::as_str);
        let zone = text("/range/timezone")
            .and_then(|z| z.parse().ok())
            .unwrap_or(Tz::UTC);
        let instant = |pointer: &str| text(pointer).and_then(|t| instant_us(t, zone));
        let filters: &[Json] = query
            .get("filters")
            .and_then(Json::as_array)
            .map_or(&[], |f| f);
        let on = |field: &str| filters.iter().any(|f| f["field"] == field);
        let window = text("/funnel/window").and_then(|w| Length::try_from(w.to_owned()).ok());
        Asked {
            subject: text("/funnel/subject")
                .unwrap_or("subject")
                .replace('_', " "),
            window: window.map(|w| words::window_us(w.us())),
            zone,
            range_us: instant("/range/from").zip(instant("/range/to")),
            default_population: !on("environment") && !on("traffic"),
            filters: filters.iter().map(filter_text).collect(),
        }
    }
}

fn instant_us(text: &str, zone: Tz) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    let midnight = text
        .parse::<chrono::NaiveDate>()
        .ok()?
        .and_hms_opt(0, 0, 0)?;
    Some(
        midnight
            .and_local_timezone(zone)
            .earliest()?
            .timestamp_micros(),
    )
}

fn filter_text(filter: &Json) -> String {
    let word = |value: &Json| match value {
        Json::String(text) => tame(text, MAX_NAME),
        Json::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned))
                .collect();
            tame(&items.join(", "), 2 * MAX_NAME)
        }
        other => other.to_string(),
    };
    let op = match filter["op"].as_str().unwrap_or("") {
        "eq" | "in" => "=",
        "ne" | "not_in" => "≠",
        "lt" => "<",
        "lte" => "≤",
        "gt" => ">",
        "gte" => "≥",
        other => other,
    };
    let field = filter["field"].as_str().unwrap_or("");
    match &filter["value"] {
        Json::Null => format!("{field} {op}"),
        value => format!("{field} {op} {}", word(value)),
    }
}

fn head(answer: &FunnelAnswer, asked: &Asked, frame: &Frame<'_>) -> String {
    let title = title(frame.title);
    let mut parts = vec![title.clone()];
    if let Some((from, to)) = asked.range_us {
        let days = words::days(from, to, asked.zone);
        let subjects = plural(&asked.subject);
        parts.push(format!("{subjects} entered {days} ({})", asked.zone));
    }
    if let Some(window) = &asked.window {
        parts.push(format!("window {window}"));
    }
    if asked.default_population {
        parts.push("live, human".into());
    }
    parts.extend(asked.filters.iter().cloned());
    let complete = complete(&answer.meta, asked, frame);
    let one_line = format!("{}    {complete}", parts.join(" · "));
    let lines = if len(&one_line) <= frame.screen.width {
        vec![one_line]
    } else {
        let mut lines = fold(&parts.join(" · "), frame.screen.width, ("", "  "));
        lines.push(sentence(&complete));
        lines
    };
    let mut text = lines.join("\n") + "\n";
    if let Some(rest) = text.strip_prefix(&title) {
        text = frame.screen.bold(&title) + rest;
    }
    if answer.total.entered > 0 {
        let window = asked.window.as_deref().unwrap_or("window");
        let matured = answer.total.matured.entered;
        text += &match matured {
            0 => format!("Nobody's {window} are over yet, so there are no rates: counts so far.\n"),
            n => format!(
                "Rates over the {} whose {window} are over.\n",
                words::count(n)
            ),
        };
    }
    text
}

/// The subject's plural: `journeys`, `companies`.
fn plural(subject: &str) -> String {
    match subject.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{subject}s"),
    }
}

fn title(funnel: &str) -> String {
    let plain = tame(&funnel.replace('_', " "), 2 * MAX_NAME);
    let mut letters = plain.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

fn complete(meta: &Meta, asked: &Asked, frame: &Frame<'_>) -> String {
    let until = meta
        .complete_until
        .as_deref()
        .and_then(|text| instant_us(text, asked.zone));
    match (until, asked.range_us) {
        (None, _) => "nothing has arrived yet".into(),
        (Some(until), _) if until < linkfunnel_model::EARLIEST_US => "still catching up".into(),
        (Some(until), Some((_, to))) if until >= to => "complete".into(),
        (Some(until), _) => {
            format!(
                "complete up to {}",
                words::moment(until, frame.now_us, asked.zone)
            )
        }
    }
}

/// What the reader should know about what is shown.
fn remarks(answer: &FunnelAnswer, shown: &str) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut optional = answer.total.steps.iter().filter(|step| step.optional);
    if optional.any(|step| shown.contains(&format!("({})", step.name))) {
        remarks.push("Steps in brackets are optional: nobody drops out at them.".to_owned());
    }
    remarks.extend(unseen(answer, shown));
    if answer.total.open > 0 {
        remarks.push("\"Open\" can still convert; it is not dropped.".to_owned());
    }
    let meta = &answer.meta;
    let left_out: Vec<String> = [
        (meta.filtered_by_default, "event", "not live or not human"),
        (
            meta.without_subject,
            "event",
            "without the id that is counted",
        ),
        (meta.without_entry, "subject", "without the first step"),
    ]
    .into_iter()
    .filter(|(n, ..)| *n > 0)
    .map(|(n, noun, why)| format!("{} {why}", words::counted(n, noun)))
    .collect();
    if !left_out.is_empty() {
        remarks.push(format!("Left out: {}.", left_out.join(" · ")));
    }
    remarks.extend(
        meta.warnings
            .iter()
            .map(|warning| sentence(&tame(&warning.detail, 400))),
    );
    remarks
}

/// By step that some got past unseen, how many.
fn unseen<'a>(answer: &'a FunnelAnswer, shown: &str) -> impl Iterator<Item = String> + 'a {
    let in_bar = match shown.contains(UNSEEN) {
        true => format!(" ({UNSEEN})"),
        false => String::new(),
    };
    let steps = answer.total.steps.iter().filter(|step| step.bypassed > 0);
    steps.map(move |step| {
        format!(
            "Past \"{}\" {} went unseen{in_bar}: their provider does not show that step.",
            tame(&step.name, MAX_NAME),
            words::count(step.bypassed),
        )
    })
}

/// A sentence in as many lines as it needs.
fn paragraph(text: &str, screen: Screen, out: &mut String) {
    for line in fold(text, screen.width, ("", "")) {
        out.push_str(&line);
        out.push('\n');
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters
        .next()
        .map_or(String::new(), |c| c.to_uppercase().collect());
    let stop = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{first}{}{stop}", letters.as_str())
}

#[cfg(test)]
mod tests;
