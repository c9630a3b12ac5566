//! What senders get wrong: messages that are no event, each with the code of its refusal, and secrets where none belong.

use super::config::{Carrier, Dirt};
use super::dice::Dice;
use super::json;

/// A message that is no event.
pub(crate) struct Bad {
    /// Code of `linkfunnel_model::json::Refusal`.
    pub(crate) code: &'static str,
    /// None: a tombstone.
    pub(crate) payload: Option<Vec<u8>>,
    /// A secret inside it.
    pub(crate) secret: Option<String>,
}

/// Kinds of damage: a code, and whether a file of lines can carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    CutOff,
    PlainText,
    OtherJson,
    Empty,
    Tombstone,
    InvalidUtf8,
    Typo,
    UnknownEvent,
    WrongType,
    OutOfRange,
    BadValue,
    FieldTwice,
    NoId,
    NoEventId,
    NoTime,
    Year1970,
    Year2100,
    NoZone,
    Huge,
}

/// Every kind but the huge one, which is drawn by itself.
pub(crate) const DAMAGES: &[Damage] = &[
    Damage::CutOff,
    Damage::PlainText,
    Damage::OtherJson,
    Damage::InvalidUtf8,
    Damage::Typo,
    Damage::UnknownEvent,
    Damage::WrongType,
    Damage::OutOfRange,
    Damage::BadValue,
    Damage::FieldTwice,
    Damage::NoId,
    Damage::NoEventId,
    Damage::NoTime,
    Damage::Year1970,
    Damage::Year2100,
    Damage::NoZone,
    Damage::Empty,
    Damage::Tombstone,
];
/// Kinds at the end of DAMAGES that a file cannot carry.
const TOPIC_ONLY: usize = 2;

/// Size of a message that is too large, in bytes.
const HUGE_BYTES: usize = 5_000_000;

/// Draws a kind of damage.
pub(crate) fn draw(dirt: &Dirt, carrier: Carrier, dice: &mut Dice) -> Damage {
    if dice.chance(dirt.huge) {
        return Damage::Huge;
    }
    let kinds = match carrier {
        Carrier::Topic => DAMAGES.len(),
        Carrier::File => DAMAGES.len() - TOPIC_ONLY,
    };
    DAMAGES[dice.below(kinds)]
}

/// A message of that kind, as a sender of journey `number` would send it at that time; with a secret if asked.
pub(crate) fn make(
    damage: Damage,
    number: u64,
    at_us: i64,
    with_secret: bool,
    dice: &mut Dice,
) -> Bad {
    let secret = with_secret.then(|| Secret::draw(dice));
    let leak = secret.as_ref().map_or_else(String::new, Secret::field);
    let mut time = Vec::new();
    json::instant(&mut time, at_us);
    let time = String::from_utf8_lossy(&time).into_owned();
    let message = |event: &str, time: &str, rest: &str| {
        let id = format!("bad-{number}-{at_us}");
        format!(
            r#"{{"event_id":"{id}"{leak},"event":"{event}","occurred_at":"{time}","journey_id":"J-{number}"{rest}}}"#
        )
    };
    let opened = "attempt.opened";
    let whole = |rest: &str| message(opened, &time, rest);
    let (code, text) = match damage {
        Damage::Tombstone => {
            return Bad {
                code: "tombstone",
                payload: None,
                secret: None,
            };
        }
        Damage::Empty => {
            return Bad {
                code: "empty",
                payload: Some(Vec::new()),
                secret: None,
            };
        }
        Damage::InvalidUtf8 => {
            let mut payload = whole(r#","region":"?""#).into_bytes();
            let place = payload.len() - 3;
            payload[place] = 0xFF;
            let secret = secret.map(|secret| secret.value);
            return Bad {
                code: "invalid_utf8",
                payload: Some(payload),
                secret,
            };
        }
        Damage::CutOff => {
            let whole = whole(r#","surface":"hosted_page","category":"accounting""#);
            let keep = whole.len() - 5 - dice.below(70);
            ("not_json", whole[..keep].to_owned())
        }
        Damage::PlainText => (
            "not_json",
            format!(
                "ERROR could not send event of J-{number} {}",
                leak.replace('"', "")
            ),
        ),
        Damage::OtherJson => {
            let text = ["null", "42", "[1,2]", "\"attempt.opened\""][dice.below(4)];
            return Bad {
                code: "not_an_object",
                payload: Some(text.as_bytes().to_vec()),
                secret: None,
            };
        }
        Damage::Typo => (
            "unknown_field",
            whole("").replace("occurred_at", "occured_at"),
        ),
        Damage::UnknownEvent => ("unknown_event", message("attempt.open", &time, "")),
        Damage::WrongType => ("wrong_type", whole(r#","account_count":"three""#)),
        Damage::OutOfRange => ("out_of_range", whole(r#","account_count":70000"#)),
        Damage::BadValue => ("bad_value", whole(r#","environment":"staging""#)),
        Damage::FieldTwice => ("duplicate_field", whole(r#","region":"A","region":"B""#)),
        Damage::NoId => (
            "no_id",
            whole("").replace(&format!(r#","journey_id":"J-{number}""#), ""),
        ),
        Damage::NoEventId => (
            "missing_field",
            whole("").replace(
                &format!(r#""event_id":"bad-{number}-{at_us}""#),
                r#""seq":1"#,
            ),
        ),
        Damage::NoTime => (
            "missing_field",
            whole("").replace(&format!(r#","occurred_at":"{time}""#), ""),
        ),
        Damage::Year1970 => ("bad_time", message(opened, "1970-01-01T00:00:00Z", "")),
        Damage::Year2100 => ("bad_time", message(opened, "2100-01-01T00:00:00Z", "")),
        Damage::NoZone => ("bad_time", message(opened, time.trim_end_matches('Z'), "")),
        Damage::Huge => {
            let padding = "x".repeat(HUGE_BYTES);
            (
                "too_large",
                whole(&format!(r#","attrs":{{"note":"{padding}"}}"#)),
            )
        }
    };
    Bad {
        code,
        payload: Some(text.into_bytes()),
        secret: secret.map(|secret| secret.value),
    }
}

/// A secret or personal datum and the field it stands in.
pub(crate) struct Secret {
    /// As reported in `dropped_fields`.
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

impl Secret {
    /// A secret in a sensitive field of the event itself.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let bits = dice.bits();
        match dice.below(3) {
            0 => Secret {
                name: "access_token",
                value: format!("sk_live_{bits:016x}"),
            },
            1 => Secret {
                name: "email",
                value: format!("owner.{bits:016x}@example.com"),
            },
            _ => Secret {
                name: "iban",
                value: format!("FR76{bits:020}123"),
            },
        }
    }

    /// The same, perhaps among the attributes.
    pub(crate) fn draw_anywhere(dice: &mut Dice, attrs_free: bool) -> Self {
        let mut secret = Secret::draw(dice);
        if attrs_free && dice.chance(0.5) {
            secret.name = match secret.name {
                "access_token" => "attrs.access_token",
                "email" => "attrs.email",
                _ => "attrs.iban",
            };
        }
        secret
    }

    /// As a field, with a leading comma.
    pub(crate) fn field(&self) -> String {
        match self.name.strip_prefix("attrs.") {
            Some(name) => format!(r#","attrs":{{"{name}":"{}"}}"#, self.value),
            None => format!(r#","{}":"{}""#, self.name, self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkfunnel_model::{Defaults, decode};

    #[test]
    fn every_kind_of_damage_is_refused_with_the_code_claimed() {
        let at_us = 1_790_812_800_000_000;
        let mut dice = Dice::new(1, 1, 1);
        for damage in DAMAGES.iter().chain(&[Damage::Huge]) {
            for with_secret in [false, true] {
                for _ in 0..20 {
                    let bad = make(*damage, 17, at_us, with_secret, &mut dice);
                    let Some(payload) = bad.payload else { continue };
                    let refusal = decode(&payload, &Defaults::default(), at_us).unwrap_err();
                    let shown =
                        String::from_utf8_lossy(&payload[..payload.len().min(300)]).into_owned();
                    assert_eq!(refusal.code, bad.code, "{damage:?}: {shown}");
                    assert!(!payload.contains(&b'\n'));
                    if let Some(secret) = bad.secret {
                        let found = payload
                            .windows(secret.len())
                            .any(|window| window == secret.as_bytes());
                        assert!(found, "{shown}");
                    }
                    if *damage == Damage::Huge {
                        break;
                    }
                }
            }
        }
    }
}
