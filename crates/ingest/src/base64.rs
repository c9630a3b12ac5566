//! Base64 for URLs, without padding (RFC 4648 §5): pseudonyms, and sealed bytes inside JSON.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Appends the text of `bytes`.
pub(crate) fn encode_into(bytes: &[u8], out: &mut String) {
    for chunk in bytes.chunks(3) {
        let mut group = 0u32;
        for (i, byte) in chunk.iter().enumerate() {
            group |= u32::from(*byte) << (16 - 8 * i);
        }
        for i in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(group >> (18 - 6 * i)) as usize & 63]));
        }
    }
}

/// The bytes of a text; `None` unless it is exactly what [`encode_into`] writes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0u32;
        for (i, symbol) in chunk.iter().enumerate() {
            group |= u32::from(value(*symbol)?) << (18 - 6 * i);
        }
        let [_, bytes @ ..] = group.to_be_bytes();
        let kept = chunk.len().checked_sub(1).filter(|n| *n > 0)?;
        if bytes[kept..].iter().any(|b| *b != 0) {
            return None;
        }
        out.extend_from_slice(&bytes[..kept]);
    }
    Some(out)
}

fn value(symbol: u8) -> Option<u8> {
    match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_byte_string_comes_back(bytes: Vec<u8>) {
            let mut text = String::new();
            encode_into(&bytes, &mut text);
            proptest::prop_assert_eq!(decode(&text), Some(bytes));
        }
    }

    #[test]
    fn known_texts_are_written_and_others_refused() {
        let mut text = String::new();
        encode_into(b"\xfb\xff\xfeA", &mut text);
        assert_eq!(text, "-__-QQ");
        for bad in ["A", "AB", "A+/=", "-__-QR"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
