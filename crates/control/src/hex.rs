//! Bytes as hexadecimal digits, and secrets made of them.

use domain::history::Hash;
use sha2::{Digest, Sha256};

/// Lower case, two digits a byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// Exactly 64 digits in lower case, as we write them.
pub(crate) fn decode(text: &str) -> Option<Hash> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(hash)
}

/// A secret that nobody can guess, for a cookie or a link, and the hash that is stored of it.
pub(crate) fn secret() -> (String, Hash) {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes once it has started");
    (encode(&bytes), Sha256::digest(bytes).into())
}

/// The hash that is stored of a secret. None for what can not be one.
pub(crate) fn stored(secret: &str) -> Option<Hash> {
    decode(secret).map(|bytes| Sha256::digest(bytes).into())
}
