//! Times as files and databases write them.

use chrono::{DateTime, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

/// A time as text, in µs since the epoch; one without a zone is in `zone`.
pub(super) fn read_time(text: &str, zone: Option<Tz>) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    // `2019-10-01 00:00:00 UTC` and `… +0200`, as databases write them.
    if let Some(local) = text.strip_suffix(" UTC").and_then(parse_local) {
        return Some(local.and_utc().timestamp_micros());
    }
    for form in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"] {
        if let Ok(time) = DateTime::parse_from_str(text, form) {
            return Some(time.timestamp_micros());
        }
    }
    match parse_local(text) {
        Some(local) => place(local, zone),
        None => text.parse().ok().and_then(epoch),
    }
}

/// A time that names no zone.
pub(super) fn parse_local(text: &str) -> Option<NaiveDateTime> {
    [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    ]
    .iter()
    .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
}

/// A local time in the zone; the earlier of two where clocks go back, the hour after where they go forward.
pub(super) fn place(local: NaiveDateTime, zone: Option<Tz>) -> Option<i64> {
    let zone = zone?;
    let found = zone.from_local_datetime(&local).earliest().or_else(|| {
        zone.from_local_datetime(&(local + chrono::Duration::hours(1)))
            .earliest()
    })?;
    Some(found.timestamp_micros())
}

/// Seconds, ms, µs or ns since the epoch, told apart by size: every instant from 2000 to 2100 has one reading.
pub(super) fn epoch(number: i64) -> Option<i64> {
    const FROM_S: i64 = 946_684_800;
    const TO_S: i64 = 4_102_444_800;
    let within = |scale: i64| (FROM_S * scale..TO_S * scale).contains(&number);
    match number {
        _ if within(1) => Some(number * 1_000_000),
        _ if within(1_000) => Some(number * 1_000),
        _ if within(1_000_000) => Some(number),
        _ if within(1_000_000_000) => Some(number / 1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_databases_write_them() {
        let paris = Some(Tz::Europe__Paris);
        let cases = [
            ("2026-01-01T00:00:00Z", None, Some(1_767_225_600_000_000)),
            ("2026-01-01 00:00:00 UTC", None, Some(1_767_225_600_000_000)),
            ("2026-01-01 01:00:00+01", None, Some(1_767_225_600_000_000)),
            ("2026-01-01 01:00:00.5", paris, Some(1_767_225_600_500_000)),
            ("1767225600", None, Some(1_767_225_600_000_000)),
            ("1767225600123", None, Some(1_767_225_600_123_000)),
            ("2026-01-01 01:00:00", None, None),
            ("yesterday", paris, None),
        ];
        for (text, zone, us) in cases {
            assert_eq!(read_time(text, zone), us, "{text}");
        }
    }

    #[test]
    fn an_hour_that_does_not_exist_is_the_one_after() {
        let local = parse_local("2026-03-29 02:30:00").unwrap();
        let after = parse_local("2026-03-29 03:30:00").unwrap();
        assert_eq!(
            place(local, Some(Tz::Europe__Paris)),
            place(after, Some(Tz::Europe__Paris))
        );
    }
}
