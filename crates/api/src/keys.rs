//! Who may ask: keys from the configuration, each of one tenant with scopes, kept as SHA-256 only.
//!
//! Invariants: with keys the tenant is the key's and nothing else; every comparison walks over all keys in
//! constant time; scopes do not imply each other, what a key may do is what its list says.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Most keys one configuration may hold: each request compares against all of them.
pub const MAX_KEYS: usize = 10_000;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send events.
    Ingest,
    /// Ask questions: funnels, success rates, SQL, dead letters (shown redacted).
    Read,
    /// Change definitions.
    Manage,
    /// Replay dead letters, read the process's metrics.
    Admin,
}

impl Scope {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Read => "read",
            Scope::Manage => "manage",
            Scope::Admin => "admin",
        }
    }
}

/// One key as written in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// What the key is called in logs and in the audit; unique.
    pub name: String,
    /// SHA-256 of the key, 64 hexadecimal digits (`printf %s "$KEY" | sha256sum`).
    pub sha256: String,
    /// The tenant whose data the key reaches; nothing of another is ever shown to it.
    pub tenant: String,
    /// What the key may do.
    pub scopes: Vec<Scope>,
}

/// Why a list of keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A key has no name.
    #[error("a key needs a name")]
    Nameless,
    /// Two keys share a name.
    #[error("two keys are named {0:?}")]
    SameName(String),
    /// Two keys are the same secret.
    #[error("keys {0:?} and {1:?} are the same secret; a request would not know whose it is")]
    SameSecret(String, String),
    /// The digest is not 64 hexadecimal digits.
    #[error(
        "key {0:?}: sha256 must be 64 hexadecimal digits, the output of `printf %s KEY | sha256sum`"
    )]
    BadDigest(String),
    /// The tenant's name cannot be used.
    #[error("key {0:?}: {1:?} cannot be a tenant: {TENANT_RULE}")]
    BadTenant(String, String),
    /// The key may do nothing.
    #[error("key {0:?} has no scopes; give it some of ingest, read, manage, admin")]
    NoScopes(String),
    /// More than [`MAX_KEYS`].
    #[error("{0} keys; {MAX_KEYS} is the limit")]
    TooMany(usize),
}

/// The keys a server knows. Empty: everybody who reaches it may do everything (loopback only).
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<[Key]>);

/// One checked key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: Arc<str>,
    pub(crate) tenant: Arc<str>,
    scopes: Vec<Scope>,
    digest: [u8; 32],
}

impl Key {
    /// Whether the key's list names the scope.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

impl Keys {
    /// No keys: an open server, for the loopback interface only.
    pub fn none() -> Keys {
        Keys::default()
    }

    /// Checks the entries of a configuration.
    ///
    /// # Errors
    /// The first entry that cannot be used, and why.
    pub fn new(entries: &[KeyEntry]) -> Result<Keys, KeysError> {
        if entries.len() > MAX_KEYS {
            return Err(KeysError::TooMany(entries.len()));
        }
        let mut names = HashSet::new();
        let mut keys: Vec<Key> = Vec::with_capacity(entries.len());
        for entry in entries {
            let key = check_entry(entry)?;
            if !names.insert(key.name.clone()) {
                return Err(KeysError::SameName(entry.name.clone()));
            }
            if let Some(twin) = keys.iter().find(|k| k.digest == key.digest) {
                let twin = twin.name.to_string();
                return Err(KeysError::SameSecret(twin, entry.name.clone()));
            }
            keys.push(key);
        }
        Ok(Keys(keys.into()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key whose secret this is. Takes the same time whichever it is, or none.
    pub(crate) fn find(&self, secret: &str) -> Option<&Key> {
        let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let mut found = None;
        for key in self.0.iter() {
            let same: Choice = key.digest.ct_eq(&digest);
            if bool::from(same) {
                found = Some(key);
            }
        }
        found
    }
}

fn check_entry(entry: &KeyEntry) -> Result<Key, KeysError> {
    let name = || entry.name.clone();
    if entry.name.trim().is_empty() {
        return Err(KeysError::Nameless);
    }
    if !valid_tenant(&entry.tenant) {
        return Err(KeysError::BadTenant(name(), entry.tenant.clone()));
    }
    if entry.scopes.is_empty() {
        return Err(KeysError::NoScopes(name()));
    }
    let digest = parse_digest(&entry.sha256).ok_or_else(|| KeysError::BadDigest(name()))?;
    Ok(Key {
        name: entry.name.as_str().into(),
        tenant: entry.tenant.as_str().into(),
        scopes: entry.scopes.clone(),
        digest,
    })
}

fn parse_digest(hex: &str) -> Option<[u8; 32]> {
    let hex = hex.as_bytes();
    if hex.len() != 64 || !hex.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut digest = [0u8; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

/// What a tenant's name may look like, as a sentence.
pub const TENANT_RULE: &str =
    "1 to 64 of a–z, A–Z, 0–9, dot, dash and underscore, beginning with a letter or digit";

/// Whether the text can name a tenant ([`TENANT_RULE`]).
pub fn valid_tenant(tenant: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=64).contains(&tenant.len())
        && tenant.bytes().all(allowed)
        && tenant.as_bytes()[0].is_ascii_alphanumeric()
}

/// Why a server must not listen where it was told to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "refusing to listen on {0} without keys: everybody who can reach it could read and write everything. \
     Add at least one key to the configuration ([[keys]] with name, sha256, tenant, scopes), or listen on 127.0.0.1"
)]
pub struct OpenListen(pub SocketAddr);

/// Refuses an address beyond loopback while there are no keys.
///
/// # Errors
/// A sentence that says why, and what to do.
pub fn refuse_open_listen(addr: SocketAddr, keys: &Keys) -> Result<(), OpenListen> {
    let loopback = addr.ip().to_canonical().is_loopback();
    if loopback || !keys.is_empty() {
        return Ok(());
    }
    Err(OpenListen(addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(secret: &str) -> String {
        let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        digest.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn entry(name: &str, secret: &str) -> KeyEntry {
        KeyEntry {
            name: name.into(),
            sha256: digest_of(secret),
            tenant: "acme".into(),
            scopes: vec![Scope::Read],
        }
    }

    #[test]
    fn a_key_is_found_by_its_secret_and_only_by_it() {
        let keys = Keys::new(&[entry("a", "s-1"), entry("b", "s-2")]).unwrap();
        assert_eq!(&*keys.find("s-2").unwrap().name, "b");
        assert!(keys.find("s-3").is_none());
        assert!(keys.find("").is_none());
        assert!(keys.find(&digest_of("s-1")).is_none());
    }

    #[test]
    fn scopes_do_not_imply_each_other() {
        let mut admin = entry("a", "s");
        admin.scopes = vec![Scope::Admin];
        let keys = Keys::new(&[admin]).unwrap();
        let key = keys.find("s").unwrap();
        assert!(key.may(Scope::Admin) && !key.may(Scope::Read) && !key.may(Scope::Ingest));
    }

    #[test]
    fn entries_that_cannot_be_used_are_refused_with_the_reason() {
        let bad = |change: &dyn Fn(&mut KeyEntry)| {
            let mut e = entry("a", "s");
            change(&mut e);
            Keys::new(&[e]).unwrap_err()
        };
        assert_eq!(bad(&|e| e.name = " ".into()), KeysError::Nameless);
        assert_eq!(
            bad(&|e| e.sha256 = "beef".into()),
            KeysError::BadDigest("a".into())
        );
        assert_eq!(
            bad(&|e| e.sha256 = "+".repeat(64)),
            KeysError::BadDigest("a".into())
        );
        assert_eq!(
            bad(&|e| e.tenant = "a b".into()),
            KeysError::BadTenant("a".into(), "a b".into())
        );
        assert_eq!(bad(&|e| e.scopes.clear()), KeysError::NoScopes("a".into()));
        assert_eq!(
            Keys::new(&[entry("a", "s"), entry("a", "t")]).unwrap_err(),
            KeysError::SameName("a".into())
        );
        assert_eq!(
            Keys::new(&[entry("a", "s"), entry("b", "s")]).unwrap_err(),
            KeysError::SameSecret("a".into(), "b".into())
        );
        let many: Vec<KeyEntry> = (0..=MAX_KEYS).map(|_| entry("a", "s")).collect();
        assert_eq!(
            Keys::new(&many).unwrap_err(),
            KeysError::TooMany(MAX_KEYS + 1)
        );
    }

    #[test]
    fn without_keys_only_loopback_may_be_listened_on() {
        let open = Keys::none();
        let keyed = Keys::new(&[entry("a", "s")]).unwrap();
        for loopback in [
            "127.0.0.1:8080",
            "127.9.9.9:1",
            "[::1]:0",
            "[::ffff:127.0.0.1]:80",
        ] {
            assert!(refuse_open_listen(loopback.parse().unwrap(), &open).is_ok());
        }
        for wide in ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:80", "[fe80::1]:80"] {
            let addr = wide.parse().unwrap();
            let said = refuse_open_listen(addr, &open).unwrap_err().to_string();
            assert!(
                said.contains(wide) && said.contains("without keys"),
                "{said}"
            );
            assert!(refuse_open_listen(addr, &keyed).is_ok());
        }
    }

    #[test]
    fn tenants_are_short_plain_names() {
        for good in ["default", "a", "Acme-2.eu_x", &"x".repeat(64)] {
            assert!(valid_tenant(good), "{good}");
        }
        for bad in ["", ".", "-a", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
            assert!(!valid_tenant(bad), "{bad}");
        }
    }
}
