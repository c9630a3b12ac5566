//! Facts as canonical JSON (domain.md, 3.2), written straight into one buffer.

use super::catalog::{
    CATEGORIES, COUNTRIES, DEVICES, ENTRY_POINTS, INTEGRATIONS, JOURNEY_TYPES, MEDIUMS, PROVIDERS,
    REASONS, SURFACES, USE_CASES,
};
use super::company::Company;
use super::dice::{DAY, mix};
use super::fact::{Fact, Sender, World, ids};
use super::journey::Journey;
use super::what::What;

/// Everything one message is written from.
pub(crate) struct Message<'a> {
    pub(crate) world: &'a World,
    pub(crate) tenant: &'a str,
    pub(crate) company: &'a Company,
    pub(crate) journey: Option<&'a Journey>,
    pub(crate) fact: &'a Fact,
    /// 0 for the first copy; another event_id for webhooks redelivered under the same source_event_id.
    pub(crate) redelivery: u64,
}

impl Message<'_> {
    /// The message as one JSON object, appended to `out`, with `extra` (`"name":value` pairs, each with a leading comma) at the end.
    pub(crate) fn write(&self, out: &mut Vec<u8>, extra: &str) {
        let fact = self.fact;
        let id = self.event_bits(0);
        out.extend_from_slice(b"{\"event_id\":\"");
        uuid(
            out,
            fact.at_us,
            id ^ self.redelivery,
            self.event_bits(self.redelivery + 1),
        );
        out.extend_from_slice(b"\",\"event\":\"");
        out.extend_from_slice(fact.what.as_str().as_bytes());
        out.extend_from_slice(b"\",\"occurred_at\":\"");
        instant(out, fact.at_us);
        out.push(b'"');
        self.write_source(out, id);
        self.write_ids(out);
        self.write_context(out);
        self.write_journey(out);
        self.write_integration(out);
        self.write_details(out);
        self.write_privacy(out);
        out.extend_from_slice(extra.as_bytes());
        out.push(b'}');
    }

    /// Key of the message: tenant and coarsest id.
    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        key.extend_from_slice(self.tenant.as_bytes());
        match self.journey {
            Some(journey) if self.fact.ids & ids::COMPANY == 0 => {
                key.extend_from_slice(b"/J-");
                digits(&mut key, journey.number);
            }
            _ => {
                key.extend_from_slice(b"/c-");
                digits(&mut key, self.company.number);
            }
        }
        key
    }

    fn event_bits(&self, salt: u64) -> u64 {
        let journey = self.journey.map_or(u64::MAX, |journey| journey.number);
        let place = mix(journey ^ mix(self.company.key)) ^ u64::from(self.fact.ordinal);
        mix(place
            .wrapping_add(mix(self.world.config.seed))
            .wrapping_add(mix(salt)))
    }

    fn write_source(&self, out: &mut Vec<u8>, id: u64) {
        let fact = self.fact;
        let provider = fact
            .integration
            .map(|i| &PROVIDERS[usize::from(INTEGRATIONS[usize::from(i)].provider)]);
        let source = match (fact.sender, provider) {
            (Sender::Sdk, Some(provider)) => provider.sdk,
            (Sender::Webhook, Some(provider)) => provider.webhook,
            (Sender::Web | Sender::Sdk, _) => "first_party_web",
            (Sender::Server | Sender::Webhook, _) => "first_party_server",
            (Sender::Mail, _) => "email_provider",
        };
        text(out, "source", source);
        if self.has_source_id() {
            out.extend_from_slice(b",\"source_event_id\":\"");
            hex(out, id);
            out.push(b'"');
        } else if matches!(fact.sender, Sender::Web | Sender::Sdk) {
            number(out, "seq", u64::from(fact.ordinal));
        }
        if fact.sender == Sender::Server {
            text(out, "schema_version", "1.0");
        }
    }

    /// Webhooks name the vendor's own event id, which stays the same when the vendor delivers again.
    pub(crate) fn has_source_id(&self) -> bool {
        self.fact.sender == Sender::Webhook
    }

    fn write_ids(&self, out: &mut Vec<u8>) {
        let has = |bit| self.fact.ids & bit != 0;
        if self.tenant != "default" {
            text(out, "tenant_id", self.tenant);
        }
        let company = self.company.number;
        if has(ids::COMPANY) {
            id(out, "company_id", "c-", company, None);
        }
        if has(ids::USER) {
            id(out, "user_id", "u-", company, None);
        }
        if has(ids::ANONYMOUS) {
            id(out, "anonymous_id", "v-", company, None);
        }
        let journey = self.journey.map(|journey| journey.number);
        if has(ids::SESSION) {
            match journey {
                Some(journey) => id(
                    out,
                    "session_id",
                    "s-",
                    journey,
                    Some(u64::from(self.fact.resumed)),
                ),
                None => id(out, "session_id", "sv-", company, None),
            }
        }
        let attempt = u64::from(self.fact.attempt);
        if let Some(journey) = journey {
            if has(ids::JOURNEY) {
                id(out, "journey_id", "J-", journey, None);
            }
            if has(ids::ATTEMPT) {
                id(out, "attempt_id", "a-", journey, Some(attempt));
            }
            if has(ids::CONNECTION) {
                id(out, "connection_id", "cn-", journey, Some(attempt));
            }
        }
        if has(ids::INVITE) {
            match journey {
                Some(journey) => id(out, "invite_id", "i-", journey, None),
                None => id(out, "invite_id", "iw-", company, None),
            }
        }
    }

    fn write_context(&self, out: &mut Vec<u8>) {
        let environment = match self.journey {
            Some(journey) if journey.sandbox => Some("sandbox"),
            _ if self.fact.sender == Sender::Web => None,
            _ => Some("live"),
        };
        if let Some(environment) = environment {
            text(out, "environment", environment);
        }
        match (self.fact.scanner, self.company.traffic) {
            (true, _) => text(out, "traffic", "bot"),
            (false, Some(traffic)) => text(out, "traffic", traffic),
            (false, None) if self.fact.sender == Sender::Server => text(out, "traffic", "human"),
            _ => {}
        }
        if matches!(self.fact.sender, Sender::Web | Sender::Sdk) {
            out.extend_from_slice(b",\"device\":{\"class\":\"");
            let device = DEVICES[usize::from(self.company.device)].0;
            out.extend_from_slice(device.as_bytes());
            out.extend_from_slice(b"\"}");
            if self.journey.is_none_or(|journey| journey.country) {
                let (country, locale, _) = COUNTRIES[usize::from(self.company.country)];
                text(out, "country", country);
                text(out, "locale", locale);
            }
        }
    }

    fn write_journey(&self, out: &mut Vec<u8>) {
        let Some(journey) = self.journey else { return };
        text(
            out,
            "journey_type",
            JOURNEY_TYPES[usize::from(journey.journey_type)],
        );
        if self.fact.category {
            text(
                out,
                "category",
                CATEGORIES[usize::from(journey.category)].name,
            );
        }
        if matches!(self.fact.sender, Sender::Web | Sender::Sdk) {
            text(out, "surface", SURFACES[usize::from(journey.surface)].name);
            if let Some(medium) = journey.medium_at(self.fact) {
                text(out, "medium", MEDIUMS[usize::from(medium)]);
            }
            if let Some(entry_point) = journey.entry_point_at(self.fact) {
                text(out, "entry_point", ENTRY_POINTS[usize::from(entry_point)]);
            }
            if let Some(use_case) = journey.use_case {
                text(out, "use_case", USE_CASES[usize::from(use_case)]);
            }
            if let (Some(variant), Some(experiment)) =
                (self.company.variant, &self.world.config.experiment)
            {
                out.extend_from_slice(b",\"experiments\":[{\"id\":\"");
                out.extend_from_slice(experiment.id.as_bytes());
                out.extend_from_slice(b"\",\"variant\":\"");
                out.extend_from_slice(variant_name(variant).as_bytes());
                out.extend_from_slice(b"\",\"unit\":\"company\",\"exposed\":true}]");
            }
        }
    }

    fn write_integration(&self, out: &mut Vec<u8>) {
        let Some(integration) = self.fact.integration else {
            return;
        };
        let integration = &INTEGRATIONS[usize::from(integration)];
        text(
            out,
            "provider",
            PROVIDERS[usize::from(integration.provider)].name,
        );
        out.extend_from_slice(b",\"integration\":{\"key\":\"");
        out.extend_from_slice(integration.key.as_bytes());
        if self.fact.what == What::ProviderSelected {
            out.extend_from_slice(b"\",\"name\":\"");
            out.extend_from_slice(integration.name.as_bytes());
        }
        out.extend_from_slice(b"\",\"kind\":\"");
        out.extend_from_slice(integration.kind.as_bytes());
        out.extend_from_slice(b"\"}");
        match self.fact.what {
            What::HandoffStarted | What::CredentialsSubmitted => {
                nested(out, "auth", "method", integration.auth.as_str());
            }
            What::ScaChallenged | What::ScaPassed => nested(out, "sca", "method", "push"),
            _ => {}
        }
    }

    fn write_details(&self, out: &mut Vec<u8>) {
        if let Some(reason) = self.fact.reason {
            let reason = &REASONS[usize::from(reason)];
            out.extend_from_slice(b",\"reason\":{\"class\":\"");
            out.extend_from_slice(reason.class.as_bytes());
            out.extend_from_slice(b"\",\"code\":\"");
            out.extend_from_slice(reason.code.as_bytes());
            out.push(b'"');
            if let Some(code) = reason.vendor_code {
                text(out, "vendor_code", code);
            }
            text(out, "attribution", reason.attribution);
            text(out, "stage", reason.stage);
            out.extend_from_slice(if reason.recoverable {
                b",\"recoverable\":true}"
            } else {
                b",\"recoverable\":false}"
            });
            nested(out, "step", "name", reason.stage);
        }
        match self.fact.what {
            What::InviteSent | What::InviteClicked => {
                text(
                    out,
                    "kind",
                    if self.fact.welcome { "welcome" } else { "link" },
                );
                if self.fact.welcome {
                    text(out, "medium", "email");
                    text(out, "entry_point", "welcome_email");
                }
            }
            What::CtaShown | What::CtaClicked => {
                nested(out, "cta", "placement", "center");
            }
            What::ConnectionLinked => text(out, "outcome", "success"),
            What::JourneyStarted => {
                out.extend_from_slice(
                    b",\"attrs\":{\"platform\":\"web \xC3\xA9t\xC3\xA9\",\"page_load_ms\":",
                );
                digits(out, 120 + self.event_bits(7) % 900);
                out.push(b'}');
            }
            What::SyncInitialCompleted => nested(out, "sync", "scope", "initial"),
            _ => {}
        }
    }

    fn write_privacy(&self, out: &mut Vec<u8>) {
        if self.company.denied {
            nested(out, "privacy", "analytics_consent", "denied");
        } else if self.fact.sender == Sender::Server {
            nested(out, "privacy", "analytics_consent", "not_required");
        }
    }
}

/// Name of a variant.
pub(crate) fn variant_name(variant: u8) -> &'static str {
    if variant == 0 { "control" } else { "treatment" }
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn nested(out: &mut Vec<u8>, group: &str, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(group.as_bytes());
    out.extend_from_slice(b"\":{\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\"}");
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    digits(out, value);
}

fn id(out: &mut Vec<u8>, name: &str, prefix: &str, value: u64, part: Option<u64>) {
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

fn hex(out: &mut Vec<u8>, value: u64) {
    for shift in (0..16).rev() {
        out.push(b"0123456789abcdef"[(value >> (shift * 4) & 15) as usize]);
    }
}

/// A UUID of version 7: milliseconds, then 74 bits as given.
fn uuid(out: &mut Vec<u8>, at_us: i64, high: u64, low: u64) {
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
