//! Fixed lengths of time in ISO 8601: `PT24H`, `P7D`, `PT1M30S`.
//!
//! A day is 24 hours and a week seven days; months and years have no fixed length and are refused.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest length accepted: 100 years of 365.25 days, in µs.
pub const MAX_LENGTH_US: i64 = 36_525 * 86_400 * 1_000_000;

/// A length of time in µs, written as an ISO 8601 duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Length(i64);

impl Length {
    /// A length of `us` microseconds; `None` when negative or over [`MAX_LENGTH_US`].
    pub fn from_us(us: i64) -> Option<Self> {
        (0..=MAX_LENGTH_US).contains(&us).then_some(Length(us))
    }

    /// A length of whole hours; `None` when over [`MAX_LENGTH_US`].
    pub fn hours(hours: u32) -> Option<Self> {
        Self::from_us(i64::from(hours) * 3_600_000_000)
    }

    /// The length in µs.
    pub fn us(self) -> i64 {
        self.0
    }
}

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse(&text).ok_or_else(|| {
            format!(
                "{text:?} is not a fixed length such as PT30M, PT24H or P7D (no months, no years)"
            )
        })
    }
}

fn parse(text: &str) -> Option<Length> {
    let mut rest = text.strip_prefix('P')?;
    let mut in_time = false;
    let mut total_us: i64 = 0;
    let mut allowed: &[char] = &['W', 'D'];
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('T') {
            if in_time || tail.is_empty() {
                return None;
            }
            (in_time, rest, allowed) = (true, tail, &['H', 'M', 'S']);
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit = tail.chars().next()?;
        let position = allowed.iter().position(|u| *u == unit)?;
        allowed = &allowed[position + 1..];
        rest = &tail[1..];
        let unit_us: i64 = match unit {
            'W' => 7 * 86_400_000_000,
            'D' => 86_400_000_000,
            'H' => 3_600_000_000,
            'M' => 60_000_000,
            _ => 1_000_000,
        };
        total_us = total_us.checked_add(amount_us(number, unit, unit_us)?)?;
    }
    Length::from_us(total_us)
}

/// `number` units in µs; decimals only of seconds, up to six.
fn amount_us(number: &str, unit: char, unit_us: i64) -> Option<i64> {
    match number.split_once('.') {
        None => number.parse::<i64>().ok()?.checked_mul(unit_us),
        Some((whole, decimals)) if unit == 'S' && (1..=6).contains(&decimals.len()) => {
            let micros = format!("{decimals:0<6}").parse::<i64>().ok()?;
            whole
                .parse::<i64>()
                .ok()?
                .checked_mul(unit_us)?
                .checked_add(micros)
        }
        Some(_) => None,
    }
}

impl From<Length> for String {
    fn from(length: Length) -> String {
        length.to_string()
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let (days, hours) = (seconds / 86_400, seconds % 86_400 / 3_600);
        let (minutes, seconds) = (seconds % 3_600 / 60, seconds % 60);
        f.write_str("P")?;
        if days > 0 {
            write!(f, "{days}D")?;
        }
        if days == 0 || hours > 0 || minutes > 0 || seconds > 0 || micros > 0 {
            f.write_str("T")?;
            if hours > 0 {
                write!(f, "{hours}H")?;
            }
            if minutes > 0 {
                write!(f, "{minutes}M")?;
            }
            if micros > 0 {
                write!(
                    f,
                    "{seconds}.{}S",
                    format!("{micros:06}").trim_end_matches('0')
                )?;
            } else if seconds > 0 || (days == 0 && hours == 0 && minutes == 0) {
                write!(f, "{seconds}S")?;
            }
        }
        Ok(())
    }
}

impl JsonSchema for Length {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Length".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "a fixed length in ISO 8601, such as PT30M, PT24H or P7D; no months, no years",
            "pattern": "^P(\\d+W)?(\\d+D)?(T(\\d+H)?(\\d+M)?(\\d+(\\.\\d{1,6})?S)?)?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_printed() {
        for (text, us, printed) in [
            ("PT24H", 86_400_000_000, "P1D"),
            ("P7D", 7 * 86_400_000_000, "P7D"),
            ("P1W", 7 * 86_400_000_000, "P7D"),
            ("PT30M", 1_800_000_000, "PT30M"),
            ("P1DT12H", 129_600_000_000, "P1DT12H"),
            ("PT0S", 0, "PT0S"),
            ("PT0.000001S", 1, "PT0.000001S"),
        ] {
            let length = parse(text).unwrap();
            assert_eq!(
                (length.us(), length.to_string()),
                (us, printed.to_owned()),
                "{text}"
            );
            assert_eq!(parse(printed), Some(length));
        }
    }

    #[test]
    fn what_has_no_fixed_length_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "P1M",
            "P1Y",
            "24h",
            "-PT1H",
            "PT1.5H",
            "PT1S1H",
            "P99999999999D",
            "PT9223372036854775807H",
            "P1D2",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
