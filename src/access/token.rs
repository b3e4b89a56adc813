//! Bearer tokens: random texts, of which only a hash is kept.
//!
//! A token has 256 random bits, so a plain SHA-256 of it is enough: there is no list of likely
//! tokens to try.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// The prefix of every token, by which scanners find one that was published by mistake.
const PREFIX: &str = "lodewatch_";
const RANDOM_BYTES: usize = 32;

/// A new token. Printed once, and stored nowhere.
pub struct Token(String);

impl Token {
    /// 256 bits of the system's randomness.
    ///
    /// # Panics
    ///
    /// Where the system has no randomness.
    #[allow(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        let mut random = [0; RANDOM_BYTES];
        SystemRandom::new().fill(&mut random).expect("the system has randomness");
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
    }

    /// The secret text, to show to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Shows nothing.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The SHA-256 of a token, as the file of identities has it: 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in hash.iter_mut().enumerate() {
            let start = at.checked_mul(2)?;
            *byte = u8::from_str_radix(text.get(start..start.checked_add(2)?)?, 16).ok()?;
        }
        Some(Self(hash))
    }

    /// Compares in a time that does not depend on where they differ.
    pub(super) fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tokens_are_the_same_and_each_is_256_bits() {
        let (one, two) = (Token::new(), Token::new());
        assert_ne!(one.reveal(), two.reveal());
        let text = one.reveal().strip_prefix(PREFIX).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(text).unwrap().len(), 32);
        assert!(!format!("{one:?}").contains(text));
    }

    #[test]
    fn a_hash_is_written_in_hexadecimal_and_read_again() {
        let hash = TokenHash::of("abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(TokenHash::parse(text), Some(hash));
        for bad in ["", "ba", &text[1..], &text.replace('b', "g"), &format!("+{}", &text[1..])] {
            assert_eq!(TokenHash::parse(bad), None, "{bad}");
        }
    }
}
