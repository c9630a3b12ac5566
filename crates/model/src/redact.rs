//! What must never be written: names of secrets and direct identifiers, and their look in text.
//!
//! The decoder drops fields whose *name* is on the list before anything is stored. Dead letters are
//! encrypted; what a person is shown of one goes through [`redact`].

/// Longest redacted text, in characters.
pub const MAX_REDACTED_CHARS: usize = 2_000;

/// Names that are sensitive as a whole, without punctuation and case.
const EXACT: &[&str] = &[
    "name",
    "firstname",
    "lastname",
    "fullname",
    "surname",
    "givenname",
    "familyname",
    "username",
    "companyname",
    "legalname",
    "holdername",
    "accountname",
    "accountholder",
    "holder",
    "owner",
    "createdbyusername",
    "mask",
    "last4",
    "pan",
    "cvv",
    "pin",
    "otp",
    "code",
    "answer",
    "answers",
    "ip",
    "ipaddress",
    "clientip",
    "remoteaddr",
    "search",
    "searchtext",
    "searchquery",
    "query",
    "address",
    "street",
    "birthdate",
    "dateofbirth",
    "ssn",
    "siren",
    "siret",
    "vat",
    "taxnumber",
    "linkurl",
    "url",
    "redirecturl",
    "authorization",
    "cookie",
    "jwt",
    "bearer",
    "apikey",
    "bic",
    "routingnumber",
    "cardnumber",
    "msisdn",
    "mobile",
];

/// Parts that make any name sensitive.
const PARTS: &[&str] = &[
    "token",
    "password",
    "passwd",
    "secret",
    "credential",
    "email",
    "iban",
    "phone",
    "accountnumber",
    "accountno",
    "sortcode",
    "privatekey",
    "authcode",
    "authorizationcode",
    "username",
    "openid",
    "sessioncookie",
];

/// Whether a field or attribute of this name holds a secret or a direct identifier.
pub fn is_sensitive(name: &str) -> bool {
    let mut bare = String::with_capacity(name.len());
    bare.extend(
        name.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase()),
    );
    EXACT.contains(&bare.as_str()) || PARTS.iter().any(|part| bare.contains(part))
}

/// Whether a text looks like an e-mail address, an IBAN or a token.
pub fn looks_sensitive(text: &str) -> bool {
    words(text).any(|word| matches!(word, Piece::Word(word) if word_is_sensitive(word)))
}

/// The message as a person may see it: at most [`MAX_REDACTED_CHARS`] characters, values under
/// sensitive names and words that look like addresses, account numbers or tokens replaced by `[…]`.
pub fn redact(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MAX_REDACTED_CHARS)]);
    let mut shown = String::with_capacity(text.len());
    let mut after_sensitive_name = false;
    for piece in words(&text) {
        match piece {
            Piece::Word(word) if word_is_sensitive(word) => shown.push_str("[…]"),
            Piece::Word(_) if after_sensitive_name => shown.push_str("[…]"),
            Piece::Word(word) => {
                shown.push_str(word);
                after_sensitive_name = is_sensitive(word);
            }
            Piece::Between(between) => {
                shown.push_str(between);
                if between.contains([',', '}', '\n']) {
                    after_sensitive_name = false;
                }
            }
        }
    }
    match shown.char_indices().nth(MAX_REDACTED_CHARS) {
        Some((cut, _)) => format!("{}…", &shown[..cut]),
        None => shown,
    }
}

enum Piece<'t> {
    Word(&'t str),
    Between(&'t str),
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '@' | '.' | '_' | '-' | '+' | '/' | '=' | '%')
}

/// Splits text into runs of word characters and what stands between them.
fn words(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let in_word = is_word_char(first);
        let end = rest
            .find(|c| is_word_char(c) != in_word)
            .unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        Some(if in_word {
            Piece::Word(piece)
        } else {
            Piece::Between(piece)
        })
    })
}

fn word_is_sensitive(word: &str) -> bool {
    let alnum = word.chars().filter(|c| c.is_ascii_alphanumeric()).count();
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let email = word
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
    let bytes = word.as_bytes();
    let iban = bytes.len() >= 15
        && bytes[..2].iter().all(u8::is_ascii_alphabetic)
        && bytes[2..4].iter().all(u8::is_ascii_digit)
        && bytes.iter().all(u8::is_ascii_alphanumeric);
    let time = word.contains('T') && word.len() <= 35 && bytes[..4].iter().all(u8::is_ascii_digit);
    let token = alnum >= 20 && digits > 0 && digits < alnum && !is_uuid(word) && !time;
    let number = digits >= 12 && digits == word.len();
    email || iban || token || number
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36
        && word.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_any_spelling() {
        for name in [
            "access_token",
            "accessToken",
            "E-Mail",
            "IBAN",
            "prefill_email",
            "ip",
            "userName",
        ] {
            assert!(is_sensitive(name), "{name}");
        }
        for name in [
            "integration",
            "step",
            "platform",
            "plan",
            "event_id",
            "company_id",
        ] {
            assert!(!is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn values_under_sensitive_names_and_sensitive_looks_are_hidden() {
        let shown = redact(br#"{"email": "bob at example", "x": "bob@example.com", "n": "FR7630006000011234567890189", "event": "attempt.opened"#);
        assert_eq!(
            shown,
            r#"{"email": "[…] […] […]", "x": "[…]", "n": "[…]", "event": "attempt.opened"#
        );
    }

    #[test]
    fn times_and_uuids_stay_readable() {
        let text = r#"{"occurred_at":"2026-03-02T09:14:07.120Z","event_id":"0195c0de-7a10-7000-8000-000000000001"}"#;
        assert_eq!(redact(text.as_bytes()), text);
    }
}
