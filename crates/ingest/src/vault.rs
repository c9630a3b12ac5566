//! The keys of a tenant: who somebody is stays out of the table, bad bytes stay unreadable on disk.
//!
//! * **Pseudonyms.** `user_id`, `anonymous_id`, `invoice_ref` (and other ids when asked for) are
//!   replaced by `p_` and 30 characters: 16 bytes of HMAC-SHA-256 over (kind, id) under a stable
//!   key of the tenant, then 6 bytes of a second HMAC over those. The second is a check mark: an id
//!   that carries a valid one has been through this vault and is left alone, so an event that goes
//!   intake → Kafka → ingest is pseudonymised once. `privacy.key_id` is set for readers but never
//!   believed: a sender who writes it beside a raw id gets that id hashed like any other, and a
//!   check mark cannot be made without the tenant's key (odds of a lucky guess: 2⁻⁴⁸).
//! * **Dead letters** are sealed with XChaCha20-Poly1305 (24-byte random nonce in front, the
//!   tenant's name authenticated), under another key derived from the same secret.
//!
//! Secrets live in one file a tenant, made on first use with mode 0600 and fsynced before use, or
//! are derived from one secret handed in. Losing the file means: old pseudonyms match no new ones,
//! old dead letters stay closed. There is one key generation; rotation needs a re-write and comes
//! with erasure.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, KeyInit, Mac};
use linkfunnel_model::{Event, Field, IdKind};
use parking_lot::RwLock;
use sha2::Sha256;

use crate::base64;
use crate::error::{Error, Result};

/// Tenants for which one vault makes or derives keys: bounds files and memory when hostile messages
/// invent tenants.
pub const MAX_TENANTS: usize = 10_000;

const FILE_MAGIC: &str = "linkfunnel-key-1";
const PSEUDONYM_PREFIX: &str = "p_";
const PSEUDONYM_BYTES: usize = 16;
const CHECK_BYTES: usize = 6;
const NONCE_BYTES: usize = 24;

enum Secrets {
    Folder(PathBuf),
    Given(Box<[u8; 32]>),
}

/// Pseudonyms and dead-letter encryption for every tenant.
pub struct Vault {
    secrets: Secrets,
    hashed: Vec<(Field, &'static str)>,
    tenants: RwLock<HashMap<String, Arc<TenantKeys>>>,
}

/// The derived keys of one tenant.
struct TenantKeys {
    key_id: String,
    pseudonym: Hmac<Sha256>,
    check: Hmac<Sha256>,
    letters: XChaCha20Poly1305,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl Vault {
    /// A vault with one key file a tenant in `folder`, which is made when missing. `also` names the
    /// ids to replace besides user, anonymous visitor and invoice.
    pub fn in_folder(folder: impl Into<PathBuf>, also: &[IdKind]) -> Result<Vault> {
        let folder = folder.into();
        make_folder(&folder).map_err(|source| Error::Keys {
            path: folder.clone(),
            source,
        })?;
        Ok(Vault::new(Secrets::Folder(folder), also))
    }

    /// A vault that derives every tenant's key from `secret`; nothing is kept on disk. The same
    /// secret gives the same pseudonyms. `also` as for [`Vault::in_folder`].
    pub fn from_secret(secret: &[u8], also: &[IdKind]) -> Vault {
        let stretched = digest(secret, &[b"linkfunnel vault 1"]);
        Vault::new(Secrets::Given(Box::new(stretched)), also)
    }

    fn new(secrets: Secrets, also: &[IdKind]) -> Vault {
        let mut hashed = vec![
            (Field::UserId, IdKind::User.as_str()),
            (Field::AnonymousId, IdKind::Anonymous.as_str()),
            (Field::InvoiceRef, "invoice"),
        ];
        for kind in also {
            if !hashed.iter().any(|(field, _)| *field == kind.field()) {
                hashed.push((kind.field(), kind.as_str()));
            }
        }
        Vault {
            secrets,
            hashed,
            tenants: RwLock::default(),
        }
    }

    /// Replaces the event's personal ids by pseudonyms and says under which key. Idempotent.
    pub fn apply(&self, event: &mut Event<'_>) -> Result<()> {
        if !self
            .hashed
            .iter()
            .any(|(field, _)| event.get(*field).is_some())
        {
            return Ok(());
        }
        let keys = self.keys(event.tenant())?;
        for (field, kind) in &self.hashed {
            if let Some(id) = event.text(*field) {
                let pseudonym = keys.pseudonym(kind, id);
                event.set(*field, pseudonym);
            }
        }
        event.set(Field::PrivacyKeyId, keys.key_id.clone());
        Ok(())
    }

    /// How an id is written in the table: the pseudonym for kinds that are replaced, the id itself
    /// for others. For look-ups by id; an id copied from an answer stays as it is.
    pub fn look_up(&self, tenant: &str, kind: IdKind, id: &str) -> Result<String> {
        match self.hashed.iter().find(|(field, _)| *field == kind.field()) {
            Some((_, kind)) => Ok(self.keys(tenant)?.pseudonym(kind, id)),
            None => Ok(id.to_owned()),
        }
    }

    /// The name of the tenant's key.
    pub fn key_id(&self, tenant: &str) -> Result<String> {
        Ok(self.keys(tenant)?.key_id.clone())
    }

    /// Seals bytes for the table: 24-byte nonce, then ciphertext and tag (40 bytes more than `bytes`).
    pub fn encrypt(&self, tenant: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let keys = self.keys(tenant)?;
        let nonce = XNonce::try_generate().map_err(|_| Error::NoRandomness)?;
        let payload = Payload {
            msg: bytes,
            aad: tenant.as_bytes(),
        };
        let sealed = keys
            .letters
            .encrypt(&nonce, payload)
            .map_err(|_| Error::NoRandomness)?;
        let mut out = Vec::with_capacity(NONCE_BYTES + sealed.len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Opens what [`Vault::encrypt`] sealed for this tenant.
    pub fn decrypt(&self, tenant: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let (nonce, sealed) = sealed
            .split_at_checked(NONCE_BYTES)
            .ok_or(Error::NotDecryptable)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| Error::NotDecryptable)?;
        let payload = Payload {
            msg: sealed,
            aad: tenant.as_bytes(),
        };
        self.keys(tenant)?
            .letters
            .decrypt(&nonce, payload)
            .map_err(|_| Error::NotDecryptable)
    }

    fn keys(&self, tenant: &str) -> Result<Arc<TenantKeys>> {
        if let Some(keys) = self.tenants.read().get(tenant) {
            return Ok(keys.clone());
        }
        let mut tenants = self.tenants.write();
        if let Some(keys) = tenants.get(tenant) {
            return Ok(keys.clone());
        }
        if tenants.len() >= MAX_TENANTS {
            return Err(Error::TooManyTenants { limit: MAX_TENANTS });
        }
        let secret = match &self.secrets {
            Secrets::Given(secret) => digest(&secret[..], &[b"tenant", tenant.as_bytes()]),
            Secrets::Folder(folder) => secret_in(folder, tenant)?,
        };
        let keys = Arc::new(TenantKeys::derive(&secret));
        tenants.insert(tenant.to_owned(), keys.clone());
        Ok(keys)
    }
}

impl TenantKeys {
    fn derive(secret: &[u8; 32]) -> TenantKeys {
        let part = |label: &[u8]| digest(secret, &[label]);
        let id = part(b"key id");
        TenantKeys {
            key_id: format!("k{:02x}{:02x}{:02x}{:02x}", id[0], id[1], id[2], id[3]),
            pseudonym: keyed(&part(b"pseudonym")),
            check: keyed(&part(b"check mark")),
            letters: XChaCha20Poly1305::new(&Key::from(part(b"dead letters"))),
        }
    }

    fn pseudonym(&self, kind: &str, id: &str) -> String {
        if self.is_pseudonym(kind, id) {
            return id.to_owned();
        }
        let mut bytes = [0u8; PSEUDONYM_BYTES + CHECK_BYTES];
        bytes[..PSEUDONYM_BYTES]
            .copy_from_slice(&mark(&self.pseudonym, kind, id.as_bytes())[..PSEUDONYM_BYTES]);
        let check = mark(&self.check, kind, &bytes[..PSEUDONYM_BYTES]);
        bytes[PSEUDONYM_BYTES..].copy_from_slice(&check[..CHECK_BYTES]);
        let mut text = String::with_capacity(32);
        text.push_str(PSEUDONYM_PREFIX);
        base64::encode_into(&bytes, &mut text);
        text
    }

    fn is_pseudonym(&self, kind: &str, id: &str) -> bool {
        let Some(text) = id.strip_prefix(PSEUDONYM_PREFIX) else {
            return false;
        };
        match base64::decode(text) {
            Some(bytes) if bytes.len() == PSEUDONYM_BYTES + CHECK_BYTES => {
                let check = mark(&self.check, kind, &bytes[..PSEUDONYM_BYTES]);
                check[..CHECK_BYTES] == bytes[PSEUDONYM_BYTES..]
            }
            _ => false,
        }
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// HMAC over length-separated parts, so that parts cannot flow into each other.
fn digest(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn mark(mac: &Hmac<Sha256>, kind: &str, bytes: &[u8]) -> [u8; 32] {
    let mut mac = mac.clone();
    mac.update(kind.as_bytes());
    mac.update(&[0]);
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// The tenant's secret from its file; a missing file is made, whole or not at all, even when two
/// processes do it at once.
fn secret_in(folder: &Path, tenant: &str) -> Result<[u8; 32]> {
    let path = folder.join(file_name(tenant));
    let failed = |source| Error::Keys {
        path: path.clone(),
        source,
    };
    if !path.exists() {
        let secret = <[u8; 32]>::try_generate().map_err(|_| Error::NoRandomness)?;
        write_new(folder, &path, &secret).map_err(failed)?;
    }
    let text = fs::read_to_string(&path).map_err(failed)?;
    parse_secret(&text).ok_or(Error::BadKey { path })
}

/// A file name that no tenant's name can lead elsewhere; unusual names are told apart by their hash.
fn file_name(tenant: &str) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if !tenant.is_empty() && tenant.len() <= 64 && tenant.bytes().all(plain) {
        return format!("{tenant}.key");
    }
    let hash = digest(b"tenant file", &[tenant.as_bytes()]);
    let shown: String = tenant
        .bytes()
        .filter(|b| plain(*b))
        .take(32)
        .map(char::from)
        .collect();
    format!("{shown}~{}.key", hex(&hash[..12]))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn parse_secret(text: &str) -> Option<[u8; 32]> {
    let digits = text
        .trim_end()
        .strip_prefix(FILE_MAGIC)?
        .strip_prefix(' ')?;
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut secret = [0u8; 32];
    for (byte, pair) in secret.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(secret)
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes a temporary file, fsyncs it, and links it to its name, which fails harmlessly when
/// another process was first.
fn write_new(folder: &Path, path: &Path, secret: &[u8; 32]) -> std::io::Result<()> {
    let unique = <[u8; 8]>::try_generate().map_err(std::io::Error::other)?;
    let temporary = folder.join(format!(".{}.tmp", hex(&unique)));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(format!("{FILE_MAGIC} {}\n", hex(secret)).as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkfunnel_model::EventName;

    fn event(user: &str) -> Event<'static> {
        Event::new("e", EventName::AttemptOpened, 0)
            .with(Field::TenantId, "t".to_owned())
            .with(Field::UserId, user.to_owned())
    }

    #[test]
    fn a_user_gets_the_same_pseudonym_every_time_and_another_in_another_tenant_or_role() {
        let vault = Vault::from_secret(b"s", &[]);
        let look = |tenant, kind| vault.look_up(tenant, kind, "ann").unwrap();
        assert_eq!(look("t", IdKind::User), look("t", IdKind::User));
        assert_ne!(look("t", IdKind::User), look("u", IdKind::User));
        assert_ne!(look("t", IdKind::User), look("t", IdKind::Anonymous));
        assert_eq!(look("t", IdKind::Company), "ann");
        assert_eq!(look("t", IdKind::User).len(), 32);
    }

    #[test]
    fn an_id_is_replaced_once_however_often_it_passes() {
        let vault = Vault::from_secret(b"s", &[]);
        let mut event = event("ann");
        vault.apply(&mut event).unwrap();
        let once = event.text(Field::UserId).unwrap().to_owned();
        assert_ne!(once, "ann");
        vault.apply(&mut event).unwrap();
        assert_eq!(event.text(Field::UserId), Some(once.as_str()));
        assert_eq!(
            event.text(Field::PrivacyKeyId),
            Some(vault.key_id("t").unwrap().as_str())
        );
    }

    #[test]
    fn a_key_id_written_by_the_sender_does_not_let_a_raw_id_through() {
        let vault = Vault::from_secret(b"s", &[]);
        let mut event = event("ann").with(Field::PrivacyKeyId, vault.key_id("t").unwrap());
        vault.apply(&mut event).unwrap();
        assert_ne!(event.text(Field::UserId), Some("ann"));
        let forged = format!("p_{}", "A".repeat(30));
        let stored = vault.look_up("t", IdKind::User, &forged).unwrap();
        assert_ne!(
            stored, forged,
            "a forged check mark is hashed like any other id"
        );
    }

    #[test]
    fn other_ids_are_replaced_on_request() {
        let vault = Vault::from_secret(b"s", &[IdKind::Company]);
        assert_ne!(vault.look_up("t", IdKind::Company, "c").unwrap(), "c");
    }

    #[test]
    fn sealed_bytes_open_for_their_tenant_only() {
        let vault = Vault::from_secret(b"s", &[]);
        let sealed = vault.encrypt("t", b"iban").unwrap();
        assert!(!sealed.windows(4).any(|w| w == b"iban"));
        assert_eq!(vault.decrypt("t", &sealed).unwrap(), b"iban");
        assert!(matches!(
            vault.decrypt("u", &sealed),
            Err(Error::NotDecryptable)
        ));
        assert!(matches!(
            vault.decrypt("t", &sealed[..10]),
            Err(Error::NotDecryptable)
        ));
        assert_ne!(
            sealed,
            vault.encrypt("t", b"iban").unwrap(),
            "nonces are fresh"
        );
    }

    #[test]
    fn a_key_file_is_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let first = Vault::in_folder(&keys, &[]).unwrap().key_id("t").unwrap();
        assert_eq!(
            Vault::in_folder(&keys, &[]).unwrap().key_id("t").unwrap(),
            first
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&keys.join("t.key")), 0o600);
            assert_eq!(mode(&keys), 0o700);
        }
        fs::write(keys.join("t.key"), "nonsense").unwrap();
        let error = Vault::in_folder(&keys, &[])
            .unwrap()
            .key_id("t")
            .unwrap_err();
        assert!(matches!(error, Error::BadKey { .. }));
    }

    #[test]
    fn no_tenant_name_leads_out_of_the_folder() {
        for name in [
            "../../etc/passwd",
            "",
            "a/b",
            "Ä",
            "UPPER",
            &"x".repeat(500),
        ] {
            let file = file_name(name);
            assert!(
                !file.contains('/') && file.len() < 80 && !file.starts_with('.'),
                "{file}"
            );
        }
        assert_ne!(file_name("UPPER"), file_name("upper"));
    }
}
