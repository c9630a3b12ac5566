//! The name of a view, handed out with every answer and accepted back as `as_of`.
//!
//! It holds the Delta version, the offsets up to which hot rows were visible then, the watermark
//! and when it was made; with an answer about a named funnel also the version of its definition. It
//! is opaque, not secret: with any token a tenant sees only its own rows and funnels.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::position::StreamPartition;

/// The name of a read view: base64url text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotToken(String);

/// Which definition an answer was made with, so that what is asked of the same view later is asked
/// of the same definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefinitionName {
    /// Id and version of a saved funnel.
    #[serde(rename = "s")]
    Saved(String, u32),
    /// Id of a built-in funnel and a hash of its definition, which a newer program may change.
    #[serde(rename = "b")]
    BuiltIn(String, u64),
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenParts {
    /// The table's id in its Delta metadata, hashed.
    #[serde(rename = "t")]
    pub(crate) table: u64,
    #[serde(rename = "v")]
    pub(crate) version: i64,
    /// Up to which offset rows of a partition were visible that this version did not hold.
    #[serde(rename = "h")]
    pub(crate) hot: Vec<(String, i32, i64)>,
    #[serde(rename = "w")]
    pub(crate) watermark_us: Option<i64>,
    #[serde(rename = "m")]
    pub(crate) made_at_us: i64,
    /// Not in the tokens of earlier programs, which do not read it either.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub(crate) definition: Option<DefinitionName>,
}

impl TokenParts {
    pub(crate) fn encode(&self) -> SnapshotToken {
        let body = serde_json::to_vec(self).expect("numbers and text always serialise");
        let sum = xxh3_64(&body).to_le_bytes();
        SnapshotToken(to_base64url(&[&sum[..4], &body].concat()))
    }

    /// The partitions with their last visible offset.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (StreamPartition, i64)> {
        self.hot
            .iter()
            .map(|(s, p, last)| (StreamPartition::new(s.as_str(), *p), *last))
    }
}

impl SnapshotToken {
    /// Takes a token back from a client; it is checked when it is used.
    pub fn from_text(text: impl Into<String>) -> Self {
        SnapshotToken(text.into())
    }

    /// The text for a client.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Which definition the answer with this token was made with, if it was a named one.
    pub fn definition(&self) -> Result<Option<DefinitionName>> {
        Ok(self.decode()?.definition)
    }

    /// The token of the same view for an answer made with this definition.
    pub fn with_definition(&self, definition: &DefinitionName) -> Result<SnapshotToken> {
        let parts = TokenParts {
            definition: Some(definition.clone()),
            ..self.decode()?
        };
        Ok(parts.encode())
    }

    pub(crate) fn decode(&self) -> Result<TokenParts> {
        let bad = |reason: &str| Error::Token {
            reason: reason.into(),
        };
        let bytes = from_base64url(&self.0).ok_or_else(|| bad("not base64url"))?;
        let (sum, body) = bytes.split_at_checked(4).ok_or_else(|| bad("too short"))?;
        if xxh3_64(body).to_le_bytes()[..4] != *sum {
            return Err(bad("damaged"));
        }
        serde_json::from_slice(body).map_err(|_| bad("of another version"))
    }
}

impl std::fmt::Display for SnapshotToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn to_base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |g, b| g << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * i) & 63) as usize]));
        }
    }
    text
}

fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0_u32;
        for byte in chunk {
            group = group << 6 | u32::try_from(ALPHABET.iter().position(|a| a == byte)?).ok()?;
        }
        group <<= 6 * (4 - chunk.len());
        let [_, a, b, c] = group.to_be_bytes();
        bytes.extend_from_slice(&[a, b, c][..chunk.len() - 1]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_was_put_into_it() {
        let parts = TokenParts {
            table: u64::MAX,
            version: 17,
            hot: vec![("kafka:x".into(), 3, 99)],
            watermark_us: Some(-5),
            made_at_us: 1,
            definition: None,
        };
        assert_eq!(parts.encode().decode().unwrap(), parts);
    }

    #[test]
    fn a_token_given_before_definitions_were_named_is_read_and_the_new_one_by_an_old_program() {
        let before = "6B06L3sidCI6MzEyLCJ2IjoxNywiaCI6W1sicyIsMyw5OV1dLCJ3IjotNSwibSI6MX0";
        let before = SnapshotToken::from_text(before);
        let parts = before.decode().unwrap();
        assert_eq!((parts.version, parts.definition.as_ref()), (17, None));
        assert_eq!(parts.encode(), before, "byte for byte");

        /// What an old program reads.
        #[derive(Deserialize)]
        struct Old {
            #[serde(rename = "v")]
            version: i64,
        }
        let name = DefinitionName::Saved("my_funnel".into(), 3);
        let new = before.with_definition(&name).unwrap();
        assert_eq!(new.definition().unwrap(), Some(name));
        let bytes = from_base64url(new.as_str()).unwrap();
        let old: Old = serde_json::from_slice(&bytes[4..]).unwrap();
        assert_eq!(old.version, 17);
    }

    #[test]
    fn bytes_of_every_length_survive() {
        for length in 0..20_u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(91)).collect();
            assert_eq!(from_base64url(&to_base64url(&bytes)).unwrap(), bytes);
        }
    }

    #[test]
    fn damage_is_noticed() {
        for text in ["", "a", "not a token", "äöü", "AAAAAAAAAAAAAAAA"] {
            assert!(matches!(
                SnapshotToken::from_text(text).decode(),
                Err(Error::Token { .. })
            ));
        }
    }
}
