//! One message becomes one row: an event, or a reject that says why not.
//!
//! The only place that decides what may be written: secrets are dropped by the model's decoder,
//! ids go through the vault, the bytes of a bad message are sealed before they leave this module.
//!
//! A message that begins with `{"$reject":` is an event that the HTTP intake refused, on its way to
//! the dead letters: code, pointer, detail and the sealed bytes. It counts only when the tenant's
//! key opens the bytes, so nobody else can write one; otherwise it is decoded like any message (and
//! refused: `$reject` is no field).

use std::borrow::Cow;
use std::sync::Arc;

use linkfunnel_model::vocab::Source;
use linkfunnel_model::{Defaults, Event, MAX_MESSAGE_BYTES, Refusal};
use linkfunnel_store::RejectKind;
use serde::{Deserialize, Serialize};

use crate::base64;
use crate::error::{Error, Result};
use crate::vault::Vault;

/// Bytes kept of a message that is larger than a message may be
/// ([`linkfunnel_model::MAX_MESSAGE_BYTES`]).
pub const KEPT_OF_TOO_LARGE: usize = 64 * 1024;

const REJECT_PREFIX: &[u8] = b"{\"$reject\":";

/// How messages are written. Avro and Protobuf would be further variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decoder {
    /// One JSON object a message.
    #[default]
    Json,
}

impl Decoder {
    fn decode<'a>(
        self,
        bytes: &'a [u8],
        defaults: &Defaults<'_>,
        arrival_us: i64,
    ) -> Result<Event<'a>, Refusal> {
        match self {
            Decoder::Json => linkfunnel_model::decode(bytes, defaults, arrival_us),
        }
    }
}

/// What a stream's messages are taken for when they are silent.
#[derive(Debug, Clone)]
pub struct StreamDefaults {
    /// Tenant of events that name none, and of messages that cannot be read.
    pub tenant: String,
    /// Source of events that name none.
    pub source: Source,
    /// Whether events that name another tenant are refused.
    pub force_tenant: bool,
}

impl Default for StreamDefaults {
    fn default() -> Self {
        StreamDefaults {
            tenant: linkfunnel_model::DEFAULT_TENANT.to_owned(),
            source: Source::FirstPartyServer,
            force_tenant: false,
        }
    }
}

impl StreamDefaults {
    pub(crate) fn borrowed(&self) -> Defaults<'_> {
        Defaults {
            tenant: Cow::Borrowed(&self.tenant),
            source: self.source,
            force_tenant: self.force_tenant,
        }
    }
}

/// What a message became.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    Event(Event<'a>),
    Reject(Reject),
}

/// A message that did not become an event, ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct Reject {
    pub(crate) tenant: String,
    pub(crate) kind: RejectKind,
    pub(crate) code: Cow<'static, str>,
    pub(crate) pointer: String,
    pub(crate) detail: String,
    /// Sealed bytes.
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) key_id: Option<String>,
}

/// Turns messages of one stream into rows.
#[derive(Debug, Clone)]
pub(crate) struct Interpreter {
    pub(crate) decoder: Decoder,
    pub(crate) vault: Arc<Vault>,
    pub(crate) defaults: StreamDefaults,
}

impl Interpreter {
    /// The row of a message; `None` is a tombstone. Fails only when a key cannot be had, which is
    /// our trouble and not the message's.
    pub(crate) fn row<'a>(&self, message: Option<&'a [u8]>, arrival_us: i64) -> Result<Row<'a>> {
        let Some(bytes) = message else {
            let refusal = Refusal::whole(
                "tombstone",
                "a tombstone: a message with a key and nothing else",
            );
            return Ok(Row::Reject(self.reject(refusal, &[])?));
        };
        if bytes.starts_with(REJECT_PREFIX)
            && let Some(reject) = self.open_reject(bytes)
        {
            return Ok(Row::Reject(reject));
        }
        let refusal = match self
            .decoder
            .decode(bytes, &self.defaults.borrowed(), arrival_us)
        {
            Ok(mut event) => match self.vault.apply(&mut event) {
                Ok(()) => return Ok(Row::Event(event)),
                Err(Error::TooManyTenants { limit }) => too_many_tenants(limit),
                Err(error) => return Err(error),
            },
            Err(refusal) => refusal,
        };
        Ok(Row::Reject(self.reject(refusal, bytes)?))
    }

    /// The reject of a refused message, its bytes sealed.
    pub(crate) fn reject(&self, refusal: Refusal, bytes: &[u8]) -> Result<Reject> {
        reject(
            &self.vault,
            &self.defaults.tenant,
            refusal,
            bytes,
            MAX_MESSAGE_BYTES,
        )
    }

    fn open_reject(&self, bytes: &[u8]) -> Option<Reject> {
        let Envelope { reject } = serde_json::from_slice(bytes).ok()?;
        let payload = base64::decode(&reject.payload)?;
        self.vault.decrypt(&reject.tenant, &payload).ok()?;
        Some(Reject {
            key_id: self.vault.key_id(&reject.tenant).ok(),
            tenant: reject.tenant.into_owned(),
            kind: RejectKind::DeadLetter,
            code: Cow::Owned(reject.code.into_owned()),
            pointer: reject.pointer.into_owned(),
            detail: reject.detail.into_owned(),
            payload: Some(payload),
        })
    }
}

/// The refusal of an event whose tenant is one too many for the vault.
pub(crate) fn too_many_tenants(limit: usize) -> Refusal {
    Refusal {
        code: "too_many",
        pointer: "/tenant_id".into(),
        detail: format!("a new tenant, beyond the limit of {limit}"),
    }
}

/// Seals the bytes of a refused message; of one of more than `most` bytes only its beginning.
pub(crate) fn reject(
    vault: &Vault,
    tenant: &str,
    refusal: Refusal,
    bytes: &[u8],
    most: usize,
) -> Result<Reject> {
    if refusal.is_suppressed() {
        return Ok(Reject {
            tenant: tenant.to_owned(),
            kind: RejectKind::Suppressed,
            code: Cow::Borrowed(refusal.code),
            pointer: String::new(),
            detail: refusal.detail,
            payload: None,
            key_id: None,
        });
    }
    let mut detail = refusal.detail;
    let mut kept = bytes;
    if bytes.len() > most {
        kept = &bytes[..KEPT_OF_TOO_LARGE];
        detail.push_str(&format!(
            "; the first {KEPT_OF_TOO_LARGE} are kept, so it cannot be replayed"
        ));
    }
    let sealed = !kept.is_empty();
    Ok(Reject {
        tenant: tenant.to_owned(),
        kind: RejectKind::DeadLetter,
        code: Cow::Borrowed(refusal.code),
        pointer: refusal.pointer,
        detail,
        payload: if sealed {
            Some(vault.encrypt(tenant, kept)?)
        } else {
            None
        },
        key_id: if sealed {
            Some(vault.key_id(tenant)?)
        } else {
            None
        },
    })
}

/// A reject as a message, for the way from the intake to the dead letters.
pub(crate) fn envelope(reject: &Reject) -> Vec<u8> {
    let mut payload = String::new();
    base64::encode_into(reject.payload.as_deref().unwrap_or_default(), &mut payload);
    let envelope = Envelope {
        reject: EnvelopeBody {
            tenant: Cow::Borrowed(&reject.tenant),
            code: Cow::Borrowed(&reject.code),
            pointer: Cow::Borrowed(&reject.pointer),
            detail: Cow::Borrowed(&reject.detail),
            payload: Cow::Owned(payload),
        },
    };
    serde_json::to_vec(&envelope).expect("texts are always JSON")
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(rename = "$reject", borrow)]
    reject: EnvelopeBody<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeBody<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    pointer: Cow<'a, str>,
    #[serde(borrow)]
    detail: Cow<'a, str>,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_790_000_000_000_000;

    fn interpreter() -> Interpreter {
        Interpreter {
            decoder: Decoder::Json,
            vault: Arc::new(Vault::from_secret(b"s", &[])),
            defaults: StreamDefaults::default(),
        }
    }

    fn rejected(message: Option<&[u8]>) -> Reject {
        match interpreter().row(message, NOW_US).unwrap() {
            Row::Reject(reject) => reject,
            Row::Event(event) => panic!("taken for an event: {event:?}"),
        }
    }

    #[test]
    fn every_kind_of_bad_message_becomes_a_reject_with_its_code() {
        let big = vec![b' '; 5_000_000];
        let cases: &[(Option<&[u8]>, &str)] = &[
            (None, "tombstone"),
            (Some(b""), "empty"),
            (Some(b"nonsense"), "not_json"),
            (Some(b"[1]"), "not_an_object"),
            (Some(b"\xff\xfe"), "invalid_utf8"),
            (Some(&big), "too_large"),
            (Some(br#"{"event_id":"e","event":"attempt.opened","occurred_at":"2026-01-01T00:00:00Z"}"#), "no_id"),
            (Some(br#"{"event_id":"e","event":"attempt.opened","occurred_at":"1970-01-01T00:00:00Z","user_id":"u"}"#), "bad_time"),
            (Some(br#"{"event_id":"e","event":"attempt.opened","occurred_at":"2100-01-01T00:00:00Z","user_id":"u"}"#), "bad_time"),
            (Some(br#"{"event_id":"e","event":"attempt.open","occurred_at":"2026-01-01T00:00:00Z","user_id":"u"}"#), "unknown_event"),
            (Some(br#"{"event_id":7,"event":"attempt.opened","occurred_at":"2026-01-01T00:00:00Z","user_id":"u"}"#), "wrong_type"),
        ];
        for (message, code) in cases {
            let reject = rejected(*message);
            assert_eq!(reject.code, *code);
            assert!(!reject.detail.is_empty(), "{code} has a reason");
        }
    }

    #[test]
    fn of_a_message_that_is_too_large_the_beginning_is_kept_and_the_reason_says_so() {
        let reject = rejected(Some(&vec![b'x'; 5_000_000]));
        assert!(
            reject.detail.contains("first 65536 are kept"),
            "{}",
            reject.detail
        );
        let payload = reject.payload.unwrap();
        assert_eq!(
            interpreter()
                .vault
                .decrypt("default", &payload)
                .unwrap()
                .len(),
            KEPT_OF_TOO_LARGE
        );
    }

    #[test]
    fn bytes_of_a_dead_letter_are_sealed_and_those_of_a_denied_consent_are_forgotten() {
        let reject = rejected(Some(b"hunter2 is my password"));
        let payload = reject.payload.unwrap();
        assert!(!payload.windows(7).any(|w| w == b"hunter2"));
        let denied = br#"{"event_id":"e","event":"attempt.opened","occurred_at":"2026-01-01T00:00:00Z","user_id":"u","privacy":{"analytics_consent":"denied"}}"#;
        let reject = rejected(Some(denied));
        assert_eq!(
            (reject.kind, reject.payload),
            (RejectKind::Suppressed, None)
        );
    }

    #[test]
    fn a_reject_on_its_way_from_the_intake_arrives_as_it_was() {
        let original = interpreter()
            .reject(Refusal::whole("not_json", "not JSON"), b"oops")
            .unwrap();
        let message = envelope(&original);
        let arrived = rejected(Some(&message));
        assert_eq!(
            (arrived.code, arrived.detail, arrived.payload),
            (original.code, original.detail, original.payload)
        );
    }

    #[test]
    fn a_forged_reject_is_refused_like_any_unknown_field() {
        let mut forged = interpreter()
            .reject(Refusal::whole("x", "y"), b"oops")
            .unwrap();
        forged.payload = Some(vec![7; 64]);
        assert_eq!(rejected(Some(&envelope(&forged))).code, "unknown_field");
    }
}
