//! With which other range a question compares its own (semantics rule 22, design §8).
//!
//! Calendar words follow the calendar of the question's zone, so a period before a change of clocks is as many days, not
//! as many hours.

use chrono::{DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::condition::Mistake;
use crate::question::{Range, Span, day_start_us};

/// The other side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Compare {
    /// A word.
    Word(CompareWord),
    /// A range of its own, in the question's zone.
    Range(CompareRange),
}

/// A range told by its place to the question's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompareWord {
    /// The period before: as many months before whole calendar months, as many days before whole days (weeks among them),
    /// else the same length before.
    PreviousPeriod,
    /// The same dates and times of the year before.
    PreviousYear,
}

/// A half-open range in the question's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareRange {
    /// First instant: a date or an RFC 3339 instant.
    pub from: String,
    /// First instant after.
    pub to: String,
}

impl<'de> Deserialize<'de> for Compare {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Compare;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("previous_period, previous_year or a range with from and to")
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Compare, E> {
                let word = serde::de::value::StrDeserializer::new(word);
                CompareWord::deserialize(word).map(Compare::Word)
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Compare, A::Error> {
                let range = serde::de::value::MapAccessDeserializer::new(map);
                CompareRange::deserialize(range).map(Compare::Range)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Compare {
    /// The range compared with. It never overlaps the question's own: a subject on both sides would make the interval of the
    /// difference too narrow.
    ///
    /// # Errors
    /// As [`Range::check`]; `ranges_overlap`, `no_range_before` where the calendar has no such range. Pointers begin with `at`.
    pub fn span(&self, own: &Span, at: &str) -> Result<Span, Mistake> {
        let other = match self {
            Compare::Range(range) => Range {
                from: range.from.clone(),
                to: range.to.clone(),
                timezone: own.timezone.to_string(),
            }
            .check(at)?,
            Compare::Word(word) => word.span(own).ok_or_else(|| {
                Mistake::new(
                    "no_range_before",
                    at,
                    "the calendar has no such range before",
                )
            })?,
        };
        if other.from_us < own.to_us && own.from_us < other.to_us {
            let detail = "the two ranges overlap, so subjects would stand on both sides";
            return Err(Mistake::new("ranges_overlap", at, detail));
        }
        Ok(other)
    }
}

impl CompareWord {
    fn span(self, own: &Span) -> Option<Span> {
        let zone = own.timezone;
        let days = midnight(own.from_us, zone).zip(midnight(own.to_us, zone));
        let (from_us, to_us) = match (self, days) {
            (CompareWord::PreviousPeriod, Some((from, to))) => {
                let before = day_before(from, to)?;
                (day_start_us(before, zone)?, own.from_us)
            }
            (CompareWord::PreviousPeriod, None) => {
                let length_us = own.to_us.checked_sub(own.from_us)?;
                (own.from_us.checked_sub(length_us)?, own.from_us)
            }
            (CompareWord::PreviousYear, Some((from, to))) => {
                let from = from.checked_sub_months(Months::new(12))?;
                (
                    day_start_us(from, zone)?,
                    day_start_us(end_a_year_before(to)?, zone)?,
                )
            }
            (CompareWord::PreviousYear, None) => (
                year_before_us(own.from_us, zone)?,
                year_before_us(own.to_us, zone)?,
            ),
        };
        (from_us < to_us).then_some(Span {
            from_us,
            to_us,
            timezone: zone,
        })
    }
}

/// The first day of the period before: as many months before whole months, else as many days.
fn day_before(from: NaiveDate, to: NaiveDate) -> Option<NaiveDate> {
    if from.day() == 1 && to.day() == 1 {
        let month = |date: NaiveDate| date.year() * 12 + date.month0().cast_signed();
        let months = u32::try_from(month(to) - month(from)).ok()?;
        return from.checked_sub_months(Months::new(months));
    }
    let days = u64::try_from(to.signed_duration_since(from).num_days()).ok()?;
    from.checked_sub_days(Days::new(days))
}

/// The day after the last one, a year before; the end of 28 February is the end of February where there is no 29th.
fn end_a_year_before(to: NaiveDate) -> Option<NaiveDate> {
    let before = to.checked_sub_months(Months::new(12))?;
    if before.day() == to.day() {
        Some(before)
    } else {
        before.succ_opt()
    }
}

/// The same time of the same date a year before; where clocks jumped over it, the first instant after.
fn year_before_us(us: i64, zone: Tz) -> Option<i64> {
    let local = local(us, zone)?.checked_sub_months(Months::new(12))?;
    (0..=24 * 4).find_map(|quarters| {
        match zone.from_local_datetime(&(local + chrono::TimeDelta::minutes(15 * quarters))) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.timestamp_micros()),
            LocalResult::None => None,
        }
    })
}

fn local(us: i64, zone: Tz) -> Option<NaiveDateTime> {
    Some(
        DateTime::from_timestamp_micros(us)?
            .with_timezone(&zone)
            .naive_local(),
    )
}

/// The day that starts at `us`, if one does.
fn midnight(us: i64, zone: Tz) -> Option<NaiveDate> {
    let date = local(us, zone)?.date();
    (day_start_us(date, zone) == Some(us)).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: &str, to: &str, zone: &str) -> Span {
        let (from, to, timezone) = (from.to_owned(), to.to_owned(), zone.to_owned());
        Range { from, to, timezone }.check("/range").unwrap()
    }

    fn compared(word: CompareWord, own: &Span) -> Result<(String, String), &'static str> {
        let other = Compare::Word(word)
            .span(own, "/compare")
            .map_err(|m| m.code)?;
        let text = |us| {
            let at = DateTime::from_timestamp_micros(us).unwrap();
            at.with_timezone(&own.timezone)
                .format("%Y-%m-%dT%H:%M%:z")
                .to_string()
        };
        Ok((text(other.from_us), text(other.to_us)))
    }

    /// Own range, zone, range expected.
    type Case<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

    fn check(word: CompareWord, cases: &[Case<'_>]) {
        for (from, to, zone, other_from, other_to) in cases {
            let found = compared(word, &span(from, to, zone));
            let expected = ((*other_from).to_owned(), (*other_to).to_owned());
            assert_eq!(found, Ok(expected), "{from} to {to} in {zone}");
        }
    }

    #[test]
    fn the_previous_period_follows_the_calendar() {
        check(
            CompareWord::PreviousPeriod,
            &[
                // A month of 31 days after one of 30; three months; a year.
                (
                    "2026-10-01",
                    "2026-11-01",
                    "UTC",
                    "2026-09-01T00:00+00:00",
                    "2026-10-01T00:00+00:00",
                ),
                (
                    "2026-03-01",
                    "2026-04-01",
                    "UTC",
                    "2026-02-01T00:00+00:00",
                    "2026-03-01T00:00+00:00",
                ),
                (
                    "2026-07-01",
                    "2026-10-01",
                    "UTC",
                    "2026-04-01T00:00+00:00",
                    "2026-07-01T00:00+00:00",
                ),
                (
                    "2026-01-01",
                    "2027-01-01",
                    "UTC",
                    "2025-01-01T00:00+00:00",
                    "2026-01-01T00:00+00:00",
                ),
                // A whole week, and the week whose Sunday has 23 hours before it.
                (
                    "2026-09-07",
                    "2026-09-14",
                    "UTC",
                    "2026-08-31T00:00+00:00",
                    "2026-09-07T00:00+00:00",
                ),
                (
                    "2026-03-30",
                    "2026-04-06",
                    "Europe/Paris",
                    "2026-03-23T00:00+01:00",
                    "2026-03-30T00:00+02:00",
                ),
                // The week and the month with 25 hours in them.
                (
                    "2026-10-19",
                    "2026-10-26",
                    "Europe/Paris",
                    "2026-10-12T00:00+02:00",
                    "2026-10-19T00:00+02:00",
                ),
                (
                    "2026-11-01",
                    "2026-12-01",
                    "Europe/Paris",
                    "2026-10-01T00:00+02:00",
                    "2026-11-01T00:00+01:00",
                ),
                // February 2027 is four whole weeks and a whole month: the month wins.
                (
                    "2027-02-01",
                    "2027-03-01",
                    "UTC",
                    "2027-01-01T00:00+00:00",
                    "2027-02-01T00:00+00:00",
                ),
                // Days that are no week, over a change of clocks; one day after a midnight that was jumped over.
                (
                    "2026-10-25",
                    "2026-10-28",
                    "Europe/Paris",
                    "2026-10-22T00:00+02:00",
                    "2026-10-25T00:00+02:00",
                ),
                (
                    "2018-11-04",
                    "2018-11-05",
                    "America/Sao_Paulo",
                    "2018-11-03T00:00-03:00",
                    "2018-11-04T01:00-02:00",
                ),
                // Instants: the same length before, whatever the clocks.
                (
                    "2026-03-29T12:00:00+02:00",
                    "2026-03-30T12:00:00+02:00",
                    "Europe/Paris",
                    "2026-03-28T11:00+01:00",
                    "2026-03-29T12:00+02:00",
                ),
            ],
        );
    }

    #[test]
    fn the_previous_year_is_the_same_dates() {
        check(
            CompareWord::PreviousYear,
            &[
                (
                    "2026-10-01",
                    "2026-11-01",
                    "Europe/Paris",
                    "2025-10-01T00:00+02:00",
                    "2025-11-01T00:00+01:00",
                ),
                (
                    "2028-02-01",
                    "2028-03-01",
                    "UTC",
                    "2027-02-01T00:00+00:00",
                    "2027-03-01T00:00+00:00",
                ),
                (
                    "2029-02-01",
                    "2029-03-01",
                    "UTC",
                    "2028-02-01T00:00+00:00",
                    "2028-03-01T00:00+00:00",
                ),
                (
                    "2028-02-28",
                    "2028-02-29",
                    "UTC",
                    "2027-02-28T00:00+00:00",
                    "2027-03-01T00:00+00:00",
                ),
                (
                    "2028-02-29",
                    "2028-03-01",
                    "UTC",
                    "2027-02-28T00:00+00:00",
                    "2027-03-01T00:00+00:00",
                ),
                // Noon stays noon though clocks changed on another day; an hour that was skipped is the one after.
                (
                    "2026-03-29T12:00:00+02:00",
                    "2026-03-30T12:00:00+02:00",
                    "Europe/Paris",
                    "2025-03-29T12:00+01:00",
                    "2025-03-30T12:00+02:00",
                ),
                (
                    "2026-03-30T02:30:00+02:00",
                    "2026-03-30T12:00:00+02:00",
                    "Europe/Paris",
                    "2025-03-30T03:00+02:00",
                    "2025-03-30T12:00+02:00",
                ),
            ],
        );
    }

    #[test]
    fn ranges_that_overlap_or_have_no_counterpart_are_refused() {
        let two_years = span("2025-01-01", "2027-01-01", "UTC");
        let found = compared(CompareWord::PreviousYear, &two_years);
        assert_eq!(found, Err("ranges_overlap"));
        let leap = span("2028-02-28T12:00:00Z", "2028-02-29T06:00:00Z", "UTC");
        let found = compared(CompareWord::PreviousYear, &leap);
        assert_eq!(found, Err("no_range_before"));
        let september = span("2026-09-01", "2026-10-01", "Europe/Paris");
        let explicit = |from: &str, to: &str| {
            let (from, to) = (from.to_owned(), to.to_owned());
            Compare::Range(CompareRange { from, to }).span(&september, "/compare")
        };
        assert_eq!(
            explicit("2026-08-15", "2026-09-02").unwrap_err().code,
            "ranges_overlap"
        );
        assert_eq!(
            explicit("2026-08-15", "yesterday").unwrap_err().pointer,
            "/compare/to"
        );
        let august = explicit("2026-08-01", "2026-09-01").unwrap();
        assert_eq!(august, span("2026-08-01", "2026-09-01", "Europe/Paris"));
        assert!(
            explicit("2026-10-01", "2026-11-01").is_ok(),
            "a later range is as good"
        );
    }

    #[test]
    fn a_word_and_a_range_are_read_and_anything_else_is_refused() {
        let read = serde_json::from_str::<Compare>;
        assert_eq!(
            read(r#""previous_year""#).unwrap(),
            Compare::Word(CompareWord::PreviousYear)
        );
        let range = read(r#"{"from":"2026-08-01","to":"2026-09-01"}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&range).unwrap(),
            r#"{"from":"2026-08-01","to":"2026-09-01"}"#
        );
        for wrong in [
            r#""last_week""#,
            "7",
            r#"{"from":"2026-08-01"}"#,
            r#"{"from":"a","to":"b","zone":"UTC"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
