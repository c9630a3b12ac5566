//! The calendar: cuts a range into hours, days, weeks (ISO, from Monday) or months of a zone.
//!
//! A day is what the zone's clocks say, so it has 23 or 25 hours when they change; buckets cover
//! the range without gap or overlap (semantics rule 18).

use chrono::{DateTime, Datelike, Days, Months, Timelike, Utc};
use chrono_tz::Tz;
use linkfunnel_model::{Interval, MAX_BUCKETS, day_start_us};

use crate::error::{Error, Result};

/// One interval of the calendar: `start_us <= t < end_us`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
}

/// The intervals that touch `[from_us, to_us)`, in order.
pub(crate) fn buckets(
    from_us: i64,
    to_us: i64,
    interval: Interval,
    zone: Tz,
) -> Result<Vec<Bucket>> {
    let out_of_range =
        || Error::refused("out_of_range", "/range", "the range is beyond the calendar");
    let mut start = floor(
        local(from_us, zone).ok_or_else(out_of_range)?,
        interval,
        zone,
    )
    .ok_or_else(out_of_range)?;
    let mut out = Vec::new();
    while start < to_us {
        if out.len() == MAX_BUCKETS {
            return Err(Error::refused(
                "too_many_intervals",
                "/interval",
                format!("the range has more than {MAX_BUCKETS} intervals; take longer ones"),
            ));
        }
        let end = next(start, interval, zone).ok_or_else(out_of_range)?;
        if end > from_us && end > start {
            out.push(Bucket {
                start_us: start,
                end_us: end,
            });
        }
        start = end.max(start + 1);
    }
    Ok(out)
}

/// The bucket that `at_us` falls into; the buckets are without gaps.
pub(crate) fn bucket_of(buckets: &[Bucket], at_us: i64) -> Option<usize> {
    let after = buckets.partition_point(|b| b.start_us <= at_us);
    after.checked_sub(1).filter(|i| at_us < buckets[*i].end_us)
}

/// `us` as RFC 3339 in the zone, with as many decimals as needed.
pub(crate) fn text(us: i64, zone: Tz) -> String {
    use chrono::SecondsFormat::AutoSi;
    match local(us, zone) {
        Some(t) if zone == Tz::UTC => t.with_timezone(&Utc).to_rfc3339_opts(AutoSi, true),
        Some(t) => t.to_rfc3339_opts(AutoSi, true),
        None => us.to_string(),
    }
}

fn local(us: i64, zone: Tz) -> Option<DateTime<Tz>> {
    DateTime::<Utc>::from_timestamp_micros(us).map(|t| t.with_timezone(&zone))
}

/// Start of the interval that `at` lies in.
fn floor(at: DateTime<Tz>, interval: Interval, zone: Tz) -> Option<i64> {
    let date = at.date_naive();
    match interval {
        Interval::Hour => Some(at.timestamp_micros() - into_hour_us(&at)),
        Interval::Day => day_start_us(date, zone),
        Interval::Week => {
            let back = u64::from(date.weekday().num_days_from_monday());
            day_start_us(date.checked_sub_days(Days::new(back))?, zone)
        }
        Interval::Month => day_start_us(date.with_day(1)?, zone),
    }
}

/// Start of the interval after the one that starts at `start_us`.
fn next(start_us: i64, interval: Interval, zone: Tz) -> Option<i64> {
    let at = local(start_us, zone)?;
    let date = at.date_naive();
    match interval {
        // Where clocks move by half an hour the hour of the change is cut at the next full hour.
        Interval::Hour => Some(start_us + 3_600_000_000 - into_hour_us(&at)),
        Interval::Day => day_start_us(date.checked_add_days(Days::new(1))?, zone),
        Interval::Week => day_start_us(date.checked_add_days(Days::new(7))?, zone),
        Interval::Month => {
            day_start_us(date.with_day(1)?.checked_add_months(Months::new(1))?, zone)
        }
    }
}

fn into_hour_us(at: &DateTime<Tz>) -> i64 {
    i64::from(at.minute() * 60 + at.second()) * 1_000_000 + i64::from(at.timestamp_subsec_micros())
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn us(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text)
            .unwrap()
            .timestamp_micros()
    }

    fn cut(from: &str, to: &str, interval: Interval, zone: Tz) -> Vec<String> {
        buckets(us(from), us(to), interval, zone)
            .unwrap()
            .iter()
            .map(|b| text(b.start_us, zone))
            .collect()
    }

    #[test]
    fn a_day_has_23_or_25_hours_when_clocks_change() {
        let zone = chrono_tz::Europe::Paris;
        for (day, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)] {
            let date: NaiveDate = day.parse().unwrap();
            let from = day_start_us(date, zone).unwrap();
            let days = buckets(from, from + 1, Interval::Day, zone).unwrap();
            let hour_buckets = buckets(from, days[0].end_us, Interval::Hour, zone).unwrap();
            assert_eq!(hour_buckets.len(), hours, "{day}");
            assert!(
                hour_buckets
                    .windows(2)
                    .all(|w| w[0].end_us == w[1].start_us)
            );
        }
    }

    #[test]
    fn a_week_starts_on_monday_even_before_the_range() {
        let weeks = cut(
            "2026-09-02T00:00:00Z",
            "2026-09-14T00:00:00Z",
            Interval::Week,
            Tz::UTC,
        );
        assert_eq!(weeks, ["2026-08-31T00:00:00Z", "2026-09-07T00:00:00Z"]);
    }

    #[test]
    fn months_follow_the_calendar_of_the_zone() {
        let zone = chrono_tz::America::New_York;
        let months = cut(
            "2026-10-15T00:00:00Z",
            "2026-12-01T00:00:00Z",
            Interval::Month,
            zone,
        );
        assert_eq!(
            months,
            ["2026-10-01T00:00:00-04:00", "2026-11-01T00:00:00-04:00"]
        );
    }

    #[test]
    fn a_skipped_midnight_starts_the_day_late_and_a_skipped_day_has_no_bucket() {
        let beirut = chrono_tz::Asia::Beirut;
        let first = day_start_us("2026-03-29".parse().unwrap(), beirut).unwrap();
        assert_eq!(text(first, beirut), "2026-03-29T01:00:00+03:00");
        let days = cut(
            "2011-12-29T12:00:00Z",
            "2012-01-01T00:00:00Z",
            Interval::Day,
            chrono_tz::Pacific::Apia,
        );
        assert_eq!(
            days.iter().filter(|d| d.starts_with("2011-12-30")).count(),
            0
        );
        assert_eq!(days.len(), 3);
    }

    #[test]
    fn the_hour_of_a_half_hour_change_is_cut_at_the_full_hour() {
        let zone = chrono_tz::Australia::Lord_Howe;
        let hours = buckets(
            us("2026-04-04T13:00:00Z"),
            us("2026-04-04T18:00:00Z"),
            Interval::Hour,
            zone,
        )
        .unwrap();
        assert!(hours.windows(2).all(|w| w[0].end_us == w[1].start_us));
        assert_eq!(hours.last().unwrap().end_us % 1_800_000_000, 0);
    }

    #[test]
    fn too_many_intervals_are_refused() {
        let err = buckets(
            us("2000-01-01T00:00:00Z"),
            us("2026-01-01T00:00:00Z"),
            Interval::Hour,
            Tz::UTC,
        );
        assert!(matches!(
            err,
            Err(Error::Invalid {
                code: "too_many_intervals",
                ..
            })
        ));
    }

    #[test]
    fn an_instant_falls_into_the_bucket_that_starts_with_it() {
        let days = buckets(0, 3 * 86_400_000_000, Interval::Day, Tz::UTC).unwrap();
        assert_eq!(bucket_of(&days, 86_400_000_000), Some(1));
        assert_eq!(bucket_of(&days, 86_399_999_999), Some(0));
        assert_eq!(bucket_of(&days, -1), None);
    }
}
