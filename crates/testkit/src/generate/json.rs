//! JSON written straight into a buffer: fields with a leading comma, groups, ids, instants.

use super::dice::DAY;

/// A nested object that is written only when something is in it.
pub(crate) struct Group<'o> {
    out: &'o mut Vec<u8>,
    group: &'static str,
    begun: bool,
}

impl<'o> Group<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>, group: &'static str) -> Self {
        Group {
            out,
            group,
            begun: false,
        }
    }

    fn name(&mut self, name: &str) {
        if self.begun {
            self.out.push(b',');
        } else {
            self.out.extend_from_slice(b",\"");
            self.out.extend_from_slice(self.group.as_bytes());
            self.out.extend_from_slice(b"\":{");
            self.begun = true;
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(crate) fn text(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.name(name);
            self.out.push(b'"');
            self.out.extend_from_slice(value.as_bytes());
            self.out.push(b'"');
        }
        self
    }

    pub(crate) fn number(&mut self, name: &str, value: Option<i64>) -> &mut Self {
        if let Some(value) = value {
            self.name(name);
            if value < 0 {
                self.out.push(b'-');
            }
            digits(self.out, value.unsigned_abs());
        }
        self
    }

    /// A value as it stands: `true` or `false`.
    pub(crate) fn raw(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.name(name);
            self.out.extend_from_slice(value.as_bytes());
        }
        self
    }

    pub(crate) fn end(&mut self) {
        if self.begun {
            self.out.push(b'}');
        }
    }
}

pub(crate) fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

pub(crate) fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    digits(out, value);
}

pub(crate) fn id(out: &mut Vec<u8>, name: &str, prefix: &str, value: u64, part: Option<u64>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(prefix.as_bytes());
    digits(out, value);
    if let Some(part) = part {
        out.push(b'-');
        digits(out, part);
    }
    out.push(b'"');
}

/// A number in decimal.
pub(crate) fn digits(out: &mut Vec<u8>, mut value: u64) {
    let mut buffer = [0u8; 20];
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&buffer[at..]);
}

pub(crate) fn hex(out: &mut Vec<u8>, value: u64) {
    for shift in (0..16).rev() {
        out.push(b"0123456789abcdef"[(value >> (shift * 4) & 15) as usize]);
    }
}

/// A UUID of version 7: milliseconds, then 74 bits as given.
pub(crate) fn uuid(out: &mut Vec<u8>, at_us: i64, high: u64, low: u64) {
    let millis = at_us.div_euclid(1_000).unsigned_abs();
    let first = (millis << 16) | 0x7000 | (high & 0xFFF);
    let second = (low & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000;
    let mut digits = Vec::with_capacity(32);
    hex(&mut digits, first);
    hex(&mut digits, second);
    for (index, digit) in digits.iter().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            out.push(b'-');
        }
        out.push(*digit);
    }
}

fn padded(out: &mut Vec<u8>, value: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = value / 10_i64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

/// Year, month and day of a day since the epoch (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The UTC date of an instant, as in `2026-10-01`.
pub(crate) fn date(day: i64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// RFC 3339 in UTC, with as many fractional digits as the clock had.
pub(crate) fn instant(out: &mut Vec<u8>, at_us: i64) {
    let (year, month, day) = civil(at_us.div_euclid(DAY));
    let of_day = at_us.rem_euclid(DAY);
    let seconds = of_day / 1_000_000;
    padded(out, year, 4);
    out.push(b'-');
    padded(out, month, 2);
    out.push(b'-');
    padded(out, day, 2);
    out.push(b'T');
    padded(out, seconds / 3_600, 2);
    out.push(b':');
    padded(out, seconds / 60 % 60, 2);
    out.push(b':');
    padded(out, seconds % 60, 2);
    let fraction = of_day % 1_000_000;
    if fraction % 1_000 != 0 {
        out.push(b'.');
        padded(out, fraction, 6);
    } else if fraction != 0 {
        out.push(b'.');
        padded(out, fraction / 1_000, 3);
    }
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(at_us: i64) -> String {
        let mut out = Vec::new();
        instant(&mut out, at_us);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn instants_are_written_as_precisely_as_they_are() {
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
        assert_eq!(shown(1_772_442_847_120_000), "2026-03-02T09:14:07.120Z");
        assert_eq!(shown(1_772_442_847_120_001), "2026-03-02T09:14:07.120001Z");
        assert_eq!(shown(951_782_400_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(date(20_454), "2026-01-01");
    }
}
