//! Opaque texts: some bytes, a check over them, and the letters that travel well.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of the check at the end.
const CHECK_BYTES: usize = 4;

/// Bytes as base64url, with a check.
pub(super) fn seal(mut bytes: Vec<u8>) -> String {
    bytes.extend(check(&bytes));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a sealed text; `None` where it was not sealed, or changed since.
pub(super) fn open<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (content, end) = bytes.split_at_checked(N)?;
    (end == check(content)).then_some(())?;
    content.try_into().ok()
}

/// Not against forgery: a made-up cursor can only name a place that its maker may read anyway.
fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let [a, b, c, d, ..] = xxh3_64(bytes).to_be_bytes();
    [a, b, c, d]
}
