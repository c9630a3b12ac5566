//! Numbers and times as people write them: `1 204 180`, `88.9 %`, `1 min 12 s`, `15–22 Nov`.

use chrono::{DateTime, Datelike, Utc};
use chrono_tz::Tz;

/// Groups of three: 1204180 → `1 204 180`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `count` with its noun: `1 journey`, `2 journeys`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(n))
}

/// A share as a percentage: 1 → `100 %`, 0.889 → `88.9 %`.
pub(crate) fn percent(share: f64) -> String {
    let tenths = format!("{:.1}", share * 100.0);
    format!("{} %", if tenths == "100.0" { "100" } else { &tenths })
}

/// A part of a whole in whole percent: `58 %`; `< 1 %` where it would round to none. Nothing of nothing is `–`.
#[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
pub(crate) fn share(part: u64, whole: u64) -> String {
    let percent = part as f64 / whole as f64 * 100.0;
    match (part, whole) {
        (_, 0) => "–".to_owned(),
        (1.., _) if percent < 0.5 => "< 1 %".to_owned(),
        _ => format!("{percent:.0} %"),
    }
}

/// A difference of shares in points, with its sign: 0.021 → `+2.1`, −0.004 → `−0.4`, nothing → `0.0`.
pub(crate) fn points(difference: f64) -> String {
    let tenths = format!("{:.1}", difference.abs() * 100.0);
    match tenths.as_str() {
        "0.0" => tenths,
        _ if difference < 0.0 => format!("−{tenths}"),
        _ => format!("+{tenths}"),
    }
}

/// A length of time in its two largest units: `58 s`, `1 min 12 s`, `3 h 05 min`, `2 d 4 h`; below ten seconds with tenths.
pub(crate) fn duration_ms(ms: u64) -> String {
    let s = (ms + 500) / 1_000;
    match s {
        _ if ms < 1_000 => format!("{ms} ms"),
        _ if ms < 9_950 => format!("{}.{} s", (ms + 50) / 1_000, (ms + 50) % 1_000 / 100),
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {:02} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {:02} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// A window's length: whole hours up to two days as hours, then days; `24 h`, `7 d`, `90 s`.
pub(crate) fn window_us(us: i64) -> String {
    const S: i64 = 1_000_000;
    const H: i64 = 3_600 * S;
    match us {
        _ if us % (24 * H) == 0 && us > 48 * H => format!("{} d", us / (24 * H)),
        _ if us % H == 0 && us != 0 => format!("{} h", us / H),
        _ if us % (60 * S) == 0 && us != 0 => format!("{} min", us / (60 * S)),
        _ => format!("{} s", us / S),
    }
}

/// A half-open range as its days: `15–22 Nov`, `28 Oct – 3 Nov`, with years where they differ; the last day is one that has a moment in the range.
pub(crate) fn days(from_us: i64, to_us: i64, zone: Tz) -> String {
    let (Some(from), Some(to)) = (at(from_us, zone), at(to_us - 1, zone)) else {
        return String::from("all time");
    };
    let (a, b) = (from.date_naive(), to.date_naive());
    if a == b {
        a.format("%-d %b").to_string()
    } else if a.year() != b.year() {
        format!("{} – {}", a.format("%-d %b %Y"), b.format("%-d %b %Y"))
    } else if a.month() != b.month() {
        format!("{} – {}", a.format("%-d %b"), b.format("%-d %b"))
    } else {
        format!("{}–{}", a.format("%-d"), b.format("%-d %b"))
    }
}

/// The time of day `09:14:20`, with the day before it when it is not `now`'s.
pub(crate) fn moment(us: i64, now_us: i64, zone: Tz) -> String {
    match (at(us, zone), at(now_us, zone)) {
        (Some(t), Some(now)) if t.date_naive() == now.date_naive() => {
            t.format("%H:%M:%S").to_string()
        }
        (Some(t), Some(now)) if t.year() == now.year() => t.format("%-d %b %H:%M:%S").to_string(),
        (Some(t), _) => t.format("%-d %b %Y %H:%M:%S").to_string(),
        _ => String::from("unknown"),
    }
}

fn at(us: i64, zone: Tz) -> Option<DateTime<Tz>> {
    Some(DateTime::<Utc>::from_timestamp_micros(us)?.with_timezone(&zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    #[test]
    fn numbers_are_grouped_by_three() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1 000"),
            (1_204_180, "1 204 180"),
        ];
        for (n, text) in cases {
            assert_eq!(count(n), text);
        }
        assert_eq!(counted(1, "duplicate"), "1 duplicate");
        assert_eq!(counted(2_000, "duplicate"), "2 000 duplicates");
    }

    #[test]
    fn shares_have_one_decimal_and_a_hundred_has_none() {
        let cases = [
            (1.0, "100 %"),
            (0.8894, "88.9 %"),
            (0.0, "0.0 %"),
            (0.9996, "100 %"),
        ];
        for (share, text) in cases {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn parts_and_differences_are_rounded_and_never_hide_that_there_is_something() {
        let shares = [
            (58, 100, "58 %"),
            (1, 1_000, "< 1 %"),
            (0, 9, "0 %"),
            (9, 9, "100 %"),
            (0, 0, "–"),
        ];
        for (part, whole, text) in shares {
            assert_eq!(share(part, whole), text);
        }
        for (difference, text) in [
            (0.0214, "+2.1"),
            (-0.004, "−0.4"),
            (-0.0001, "0.0"),
            (1.0, "+100.0"),
        ] {
            assert_eq!(points(difference), text);
        }
    }

    #[test]
    fn lengths_use_their_two_largest_units() {
        let cases = [
            (120, "120 ms"),
            (8_640, "8.6 s"),
            (9_960, "10 s"),
            (58_100, "58 s"),
            (72_000, "1 min 12 s"),
            (65_000, "1 min 05 s"),
            (11_100_000, "3 h 05 min"),
            (187_200_000, "2 d 4 h"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration_ms(ms), text, "{ms}");
        }
        let windows = [
            (DAY, "24 h"),
            (7 * DAY, "7 d"),
            (1_800_000_000, "30 min"),
            (0, "0 s"),
        ];
        for (us, text) in windows {
            assert_eq!(window_us(us), text);
        }
    }

    #[test]
    fn ranges_are_named_by_the_days_they_touch() {
        let us = |text: &str| text.parse::<DateTime<Utc>>().unwrap().timestamp_micros();
        let cases = [
            ("2026-11-15T00:00:00Z", "2026-11-23T00:00:00Z", "15–22 Nov"),
            ("2026-11-15T00:00:00Z", "2026-11-16T00:00:00Z", "15 Nov"),
            (
                "2026-10-28T00:00:00Z",
                "2026-11-04T00:00:00Z",
                "28 Oct – 3 Nov",
            ),
            (
                "2026-12-31T00:00:00Z",
                "2027-01-02T00:00:00Z",
                "31 Dec 2026 – 1 Jan 2027",
            ),
        ];
        for (from, to, text) in cases {
            assert_eq!(days(us(from), us(to), Tz::UTC), text);
        }
    }

    #[test]
    fn a_moment_of_another_day_says_its_day() {
        let us = |text: &str| text.parse::<DateTime<Utc>>().unwrap().timestamp_micros();
        let now = us("2026-11-22T09:15:00Z");
        assert_eq!(moment(us("2026-11-22T09:14:20Z"), now, Tz::UTC), "09:14:20");
        assert_eq!(
            moment(us("2026-11-21T23:30:00Z"), now, Tz::Europe__Paris),
            "00:30:00"
        );
        assert_eq!(
            moment(us("2026-11-20T09:14:20Z"), now, Tz::UTC),
            "20 Nov 09:14:20"
        );
    }
}
