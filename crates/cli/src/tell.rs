//! An explanation in words: one or two sentences that say where a subject is and why.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use linkfunnel_query::{
    Because, BlockedBy, EntryAnswer, EventAnswer, EventRef, ExplanationAnswer, FunnelTold,
    RefusedEvent,
};

use crate::grid::tame;
use crate::out::Screen;
use crate::words;

/// Longest value from the data in a sentence, in columns.
const MAX_VALUE: usize = 40;

/// Where and when a subject is told of.
pub(crate) struct Teller {
    pub(crate) zone: Tz,
    /// Now, µs since the epoch.
    pub(crate) now_us: i64,
    pub(crate) screen: Screen,
}

impl Teller {
    /// The time of day, with milliseconds.
    pub(crate) fn time(&self, instant: &str) -> String {
        match self.local(instant) {
            Some(at) => at.format("%H:%M:%S%.3f").to_string(),
            None => tame(instant, MAX_VALUE),
        }
    }

    /// The day, for the line above the events of that day.
    pub(crate) fn day(&self, instant: &str) -> Option<String> {
        let at = self.local(instant)?;
        Some(format!("{} ({})", at.format("%-d %b %Y"), self.zone))
    }

    fn local(&self, instant: &str) -> Option<DateTime<Tz>> {
        let at = DateTime::parse_from_rfc3339(instant).ok()?;
        Some(at.with_timezone(&Utc).with_timezone(&self.zone))
    }

    fn moment(&self, instant: &str) -> String {
        match DateTime::parse_from_rfc3339(instant) {
            Ok(at) => words::moment(at.timestamp_micros(), self.now_us, self.zone),
            Err(_) => tame(instant, MAX_VALUE),
        }
    }

    /// Sentences: how the entries that count went, and how many others there were.
    pub(crate) fn explanation(&self, funnel: &FunnelTold, told: &ExplanationAnswer) -> Vec<String> {
        let first = funnel.steps.first().map_or("", |name| name);
        if told.entries.is_empty() {
            return vec![format!(
                "Not in the funnel {}: no event takes its first step, \"{}\".",
                tame(&funnel.id, MAX_VALUE),
                tame(first, MAX_VALUE)
            )];
        }
        let speaking: Vec<&EntryAnswer> = told.entries.iter().filter(|e| e.speaks).collect();
        let several = speaking.len() > 1;
        let mut sentences: Vec<String> = speaking
            .iter()
            .map(|entry| {
                let begun = match several {
                    true => format!("Entered {}: ", self.moment(&entry.started_at)),
                    false => String::new(),
                };
                format!("{begun}{}", self.entry(funnel, entry))
            })
            .collect();
        let others = told.entries.len() - speaking.len() + told.entries_left_out;
        if others > 0 {
            let times = words::counted(others as u64, "more time");
            sentences.push(format!("It entered {times}; --json tells how that went."));
        }
        sentences
    }

    fn entry(&self, funnel: &FunnelTold, entry: &EntryAnswer) -> String {
        if let Some(by) = &entry.discarded_by {
            return format!(
                "Not counted: {} makes that it does not.",
                self.event(&by.event)
            );
        }
        let last_step = entry.steps.last();
        match entry.state.as_str() {
            "converted" => {
                let took = last_step.and_then(|step| {
                    self.between(&entry.clock_started_at, &step.event.occurred_at)
                });
                let took = took.map_or(String::new(), |took| {
                    format!(" {took} after the first step")
                });
                format!(
                    "Converted: reached \"{}\"{took}.{}",
                    tame(&entry.step_name, MAX_VALUE),
                    unseen(entry)
                )
            }
            "open" => format!(
                "Not converted yet: reached \"{}\". Open until {}; {}.{}",
                tame(&entry.step_name, MAX_VALUE),
                self.moment(entry.open_until.as_deref().unwrap_or(&entry.window_ends_at)),
                self.why_open(entry),
                unseen(entry),
            ),
            _ => format!(
                "Dropped: reached \"{}\", {}.{}{}",
                tame(&entry.step_name, MAX_VALUE),
                self.why_dropped(funnel, entry),
                self.outcome(entry),
                unseen(entry),
            ),
        }
    }

    fn outcome(&self, entry: &EntryAnswer) -> String {
        let reason = entry.reason_event.as_ref();
        let reason = reason.map(|event| format!(" Last trouble: {}.", self.event(event)));
        let outcome = entry.outcome.as_ref();
        let outcome = outcome.map(|name| format!(" Instead: {}.", tame(name, MAX_VALUE)));
        format!(
            "{}{}",
            reason.unwrap_or_default(),
            outcome.unwrap_or_default()
        )
    }

    fn why_open(&self, entry: &EntryAnswer) -> String {
        let last = format!("last: {}", self.event(&entry.last_event));
        match entry.refused.first() {
            Some(refused) => format!("{}; {last}", self.refused(refused)),
            None => last,
        }
    }

    fn why_dropped(&self, funnel: &FunnelTold, entry: &EntryAnswer) -> String {
        match entry.refused.first() {
            Some(refused) => {
                let more = entry.refused.len() - 1 + entry.refused_left_out;
                let more = match more {
                    0 => String::new(),
                    n => format!(
                        " ({} could not be used either)",
                        words::counted(n as u64, "other event")
                    ),
                };
                format!("{}{more}", self.refused(refused))
            }
            None => {
                let waits: Vec<String> = entry
                    .waits_for
                    .iter()
                    .map(|name| format!("\"{}\"", tame(name, MAX_VALUE)))
                    .collect();
                format!(
                    "and nothing for {} came before {}, when its {} were over",
                    waits.join(" or "),
                    self.moment(&entry.window_ends_at),
                    window(&funnel.window)
                )
            }
        }
    }

    fn refused(&self, refused: &RefusedEvent) -> String {
        let because: Vec<String> = refused
            .because
            .iter()
            .map(|why| self.because(why))
            .collect();
        format!("{} {}", self.event(&refused.event), because.join(" and "))
    }

    fn because(&self, why: &Because) -> String {
        let by = why.by_ms.map_or(String::new(), length);
        match why.code.as_str() {
            "after_window" => format!("came {by} after the window"),
            "too_late" => format!("came {by} too late after the step before"),
            "too_early" => format!("came {by} too early after the step before"),
            "same_instant" => "came at the very instant of the step before".to_owned(),
            "used" => "takes another step already".to_owned(),
            "before" => format!("came {by} before the step it must follow"),
            "other_value" => {
                let fields: Vec<String> = why.fields.iter().map(|f| tame(f, MAX_VALUE)).collect();
                format!("has another {}", fields.join(" and "))
            }
            "blocked" => format!("was blocked by {}", self.blocked(&why.blocked_by)),
            other => tame(other, MAX_VALUE),
        }
    }

    fn blocked(&self, by: &[BlockedBy]) -> String {
        let first = by.first().map_or(String::new(), |by| self.event(&by.event));
        match by.len() {
            0 | 1 => first,
            n => format!("{first} and {}", words::counted(n as u64 - 1, "more event")),
        }
    }

    fn event(&self, event: &EventRef) -> String {
        let at = self.moment(&event.occurred_at);
        let name = tame(&event.event, MAX_VALUE);
        match &event.reason {
            Some(reason) => {
                let reason = tame(&reason.replace('_', " "), MAX_VALUE);
                format!("{name} ({reason}) at {at}")
            }
            None => format!("{name} at {at}"),
        }
    }

    fn between(&self, from: &str, to: &str) -> Option<String> {
        let us = |text: &str| Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros());
        let us = us(to)?.checked_sub(us(from)?)?;
        Some(words::duration_ms(u64::try_from(us / 1_000).ok()?))
    }
}

/// The sentence about the steps that its provider does not show; empty if there are none.
fn unseen(entry: &EntryAnswer) -> String {
    let names: Vec<String> = entry
        .unseen
        .iter()
        .map(|step| format!("\"{}\"", tame(&step.name, MAX_VALUE)))
        .collect();
    match names.as_slice() {
        [] => String::new(),
        [_] => format!(
            " {} could not be seen: its provider does not show that step.",
            names[0]
        ),
        _ => format!(
            " {} could not be seen: its provider does not show those steps.",
            names.join(" and ")
        ),
    }
}

/// A window in ISO 8601 as people write it.
fn window(iso: &str) -> String {
    match linkfunnel_model::Length::try_from(iso.to_owned()) {
        Ok(length) => words::window_us(length.us()),
        Err(_) => tame(iso, MAX_VALUE),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length of time, in ms"
)]
fn length(ms: f64) -> String {
    match ms {
        _ if ms > 0.0 && ms < 1.0 => format!("{} µs", (ms * 1_000.0).round() as u64),
        _ => words::duration_ms(ms.round() as u64),
    }
}

/// Time since the event before, in ms: with tenths of a second below a minute.
pub(crate) fn since(ms: f64) -> String {
    let tenths = (ms / 100.0).round();
    if ms >= 1_000.0 && tenths < 600.0 {
        return format!("+{:.1} s", tenths / 10.0);
    }
    format!("+{}", length(ms))
}

/// What of an event matters to a reader: the reason if it says one, else what was chosen.
pub(crate) fn what_matters(event: &EventAnswer) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(reason) = &event.reason {
        let said = reason.code.as_ref().or(reason.class.as_ref());
        parts.extend(said.map(|text| text.replace('_', " ")));
        let vendor = reason.vendor_code.as_ref();
        parts.extend(vendor.map(|code| format!("(vendor code {code})")));
        let to = reason.attribution.as_ref();
        parts.extend(to.map(|who| format!("[{}]", who.replace('_', " "))));
    } else {
        let chosen = [&event.integration, &event.auth_method];
        parts.extend(chosen.into_iter().flatten().cloned());
    }
    if !event.is_counted {
        parts.push("not counted: not live or not human".to_owned());
    }
    parts.join(" ")
}

/// Whether the event says that something went wrong.
pub(crate) fn went_wrong(event: &EventAnswer) -> bool {
    event.reason.is_some()
}

#[cfg(test)]
mod tests {
    use linkfunnel_query::UnseenStep;

    use super::*;

    #[test]
    fn times_between_events_have_tenths_of_seconds_below_a_minute() {
        for (ms, text) in [
            (0.0, "+0 ms"),
            (0.25, "+250 µs"),
            (12.0, "+12 ms"),
            (8_580.0, "+8.6 s"),
            (59_516.0, "+59.5 s"),
            (59_999.0, "+1 min 00 s"),
            (3_600_000.0, "+1 h 00 min"),
        ] {
            assert_eq!(since(ms), text, "{ms}");
        }
    }

    fn event(name: &str, at: &str) -> EventRef {
        EventRef {
            event_id: None,
            event: name.into(),
            occurred_at: format!("2026-10-01T{at}Z"),
            reason: None,
        }
    }

    fn because(code: &str, by_ms: Option<f64>) -> Because {
        Because {
            code: code.into(),
            by_ms,
            blocked_by: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// The sentences about one entry that reached its first step.
    fn sentences(change: impl FnOnce(&mut EntryAnswer)) -> String {
        let mut entry = EntryAnswer {
            speaks: true,
            started_at: "2026-10-01T09:00:00Z".into(),
            clock_started_at: "2026-10-01T09:00:00Z".into(),
            window_ends_at: "2026-10-02T09:00:00Z".into(),
            state: "dropped".into(),
            open_until: None,
            ended: "no_event".into(),
            step: 1,
            step_name: "Opened".into(),
            steps: Vec::new(),
            unseen: Vec::new(),
            waits_for: vec!["Linked".into()],
            refused: Vec::new(),
            refused_left_out: 0,
            last_event: event("attempt.opened", "09:00:00"),
            outcome: None,
            reason_event: None,
            discarded_by: None,
        };
        change(&mut entry);
        let teller = Teller {
            zone: Tz::UTC,
            now_us: 1_790_985_600_000_000,
            screen: Screen {
                width: 80,
                colour: false,
                terminal: false,
            },
        };
        let funnel = FunnelTold {
            id: "linking".into(),
            window: "PT24H".into(),
            steps: vec!["Opened".into(), "Linked".into()],
        };
        let told = ExplanationAnswer {
            state: None,
            entries: vec![entry],
            entries_left_out: 0,
        };
        teller.explanation(&funnel, &told).join(" ")
    }

    fn refused(because: Vec<Because>) -> String {
        let refused = RefusedEvent {
            event: event("connection.linked", "12:00:00"),
            because,
        };
        sentences(|entry| entry.refused = vec![refused])
    }

    #[test]
    fn why_an_entry_is_where_it_is_is_a_sentence() {
        assert_eq!(
            sentences(|_| ()),
            "Dropped: reached \"Opened\", and nothing for \"Linked\" came before 2 Oct 09:00:00, when its 24 h were over."
        );
        let open = sentences(|entry| {
            entry.state = "open".into();
            entry.open_until = Some("2026-10-02T09:00:00Z".into());
        });
        assert_eq!(
            open,
            "Not converted yet: reached \"Opened\". Open until 2 Oct 09:00:00; last: attempt.opened at 1 Oct 09:00:00."
        );
        let unseen = |name: &str| UnseenStep {
            step: 2,
            name: name.into(),
            bypassed: true,
        };
        let linked = sentences(|entry| {
            entry.state = "converted".into();
            entry.step_name = "Linked".into();
            entry.unseen = vec![unseen("Handed off")];
        });
        assert_eq!(
            linked,
            "Converted: reached \"Linked\". \"Handed off\" could not be seen: its provider does not show that step."
        );
        let two = sentences(|entry| entry.unseen = vec![unseen("Chose"), unseen("Handed off")]);
        assert!(two.ends_with(
            " \"Chose\" and \"Handed off\" could not be seen: its provider does not show those steps."
        ));
        for (because, said) in [
            (
                because("after_window", Some(300_000.0)),
                "came 5 min 00 s after the window",
            ),
            (
                because("too_late", Some(1_500.0)),
                "came 1.5 s too late after the step before",
            ),
            (
                because("before", Some(0.5)),
                "came 500 µs before the step it must follow",
            ),
            (because("used", None), "takes another step already"),
        ] {
            let told = refused(vec![because]);
            let expected =
                format!("Dropped: reached \"Opened\", connection.linked at 1 Oct 12:00:00 {said}.");
            assert_eq!(told, expected);
        }
        let mut blocked = because("blocked", None);
        let by = |event| BlockedBy {
            event,
            exclusion: Some(1),
        };
        blocked.blocked_by = vec![
            by(event("attempt.failed", "10:00:00")),
            by(event("attempt.failed", "11:00:00")),
        ];
        assert!(refused(vec![blocked]).ends_with(
            "connection.linked at 1 Oct 12:00:00 was blocked by attempt.failed at 1 Oct 10:00:00 and 1 more event."
        ));
    }
}
