//! Opaque texts that callers send back unchanged: cursors, and page tokens (AIP-158).
//!
//! Both are bytes with a check at the end, as base64url. The check is not against forgery: a
//! made-up token can only name a position that its maker may read anyway, and no position costs
//! more than another: one ahead of the journal is rejected, see `Api::resolve_cursor`, and every
//! read of the archive advances.

use super::parse::Violations;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lodewatch_core::domain::update::{Cursor, Position};
use lodewatch_core::domain::{Epoch, Seq};
use prost::Message;
use xxhash_rust::xxh3::xxh3_64;

/// The layout of a cursor: version, epoch, entry, alerts; big-endian. Clients keep cursors, so a
/// layout never changes: another layout is a new version.
const CURSOR_VERSION: u8 = 1;
const CURSOR_BYTES: usize = 1 + 8 + 8 + 4;
/// The layout of a page token: offset or sequence, digest of the request; big-endian.
const PAGE_TOKEN_BYTES: usize = 8 + 8;
/// Bytes of the check at the end of every opaque text.
const CHECK_BYTES: usize = 4;

/// Why a text is not a cursor of this journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::grpc) enum CursorError {
    #[error("is not a cursor; send one that this service returned, unchanged")]
    Malformed,
    #[error(
        "is a cursor of another journal ({0}); take a snapshot, or start from the oldest cursor"
    )]
    OtherJournal(Epoch),
}

pub(in crate::grpc) fn render_cursor(cursor: &Cursor) -> String {
    let mut bytes = Vec::with_capacity(CURSOR_BYTES);
    bytes.push(CURSOR_VERSION);
    bytes.extend(cursor.epoch.0.to_be_bytes());
    bytes.extend(cursor.position.entry.0.to_be_bytes());
    bytes.extend(cursor.position.alerts.to_be_bytes());
    seal(bytes)
}

pub(in crate::grpc) fn parse_cursor(text: &str, epoch: Epoch) -> Result<Position, CursorError> {
    let bytes: [u8; CURSOR_BYTES] = open(text).ok_or(CursorError::Malformed)?;
    let (version, rest) = bytes.split_first().ok_or(CursorError::Malformed)?;
    let (of, rest) = rest.split_first_chunk().ok_or(CursorError::Malformed)?;
    let (entry, rest) = rest.split_first_chunk().ok_or(CursorError::Malformed)?;
    let alerts = rest.try_into().map_err(|_| CursorError::Malformed)?;
    if *version != CURSOR_VERSION {
        return Err(CursorError::Malformed);
    }
    let of = Epoch(u64::from_be_bytes(*of));
    if of != epoch {
        return Err(CursorError::OtherJournal(of));
    }
    Ok(Position { entry: Seq(u64::from_be_bytes(*entry)), alerts: u32::from_be_bytes(alerts) })
}

/// The digest of a method's request, from which the caller has cleared what may differ from page to
/// page.
pub(in crate::grpc) fn request_digest<M: Message>(method: &str, request: &M) -> u64 {
    xxh3_64(&[method.as_bytes(), b"\0", &request.encode_to_vec()].concat())
}

/// The token for the page that begins at `start`, of the request with this digest.
pub(in crate::grpc) fn render_page_token(start: u64, digest: u64) -> String {
    seal([start.to_be_bytes(), digest.to_be_bytes()].concat())
}

/// Where a page begins; `None` for the first page, whose token is empty.
pub(in crate::grpc) fn parse_page_token(
    token: &str,
    digest: u64,
) -> Result<Option<u64>, Violations> {
    if token.is_empty() {
        return Ok(None);
    }
    let reject = |why: &str| Violations::one("page_token", why);
    let bytes: [u8; PAGE_TOKEN_BYTES] = open(token).ok_or_else(|| {
        reject("is not a page token; send next_page_token of the previous page, unchanged")
    })?;
    let (start, rest) = bytes.split_first_chunk().ok_or_else(|| reject("is not a page token"))?;
    if rest != digest.to_be_bytes() {
        return Err(reject(
            "belongs to another request or method; send the same filters and order for every page",
        ));
    }
    Ok(Some(u64::from_be_bytes(*start)))
}

fn seal(mut bytes: Vec<u8>) -> String {
    bytes.extend(check(&bytes));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a sealed text; `None` where it was not sealed, or changed since.
fn open<const N: usize>(text: &str) -> Option<[u8; N]> {
    /// Longer than any of them; a longer text is not decoded.
    const TEXT_BYTES_MAX: usize = 256;
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (content, end) = bytes.split_at_checked(N)?;
    (end == check(content)).then_some(())?;
    content.try_into().ok()
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let [a, b, c, d, ..] = xxh3_64(bytes).to_be_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_reads_as_it_was_written(epoch: u64, entry: u64, alerts: u32) {
            let position = Position { entry: Seq(entry), alerts };
            let text = render_cursor(&Cursor { epoch: Epoch(epoch), position });
            prop_assert_eq!(parse_cursor(&text, Epoch(epoch)), Ok(position));
            prop_assert_eq!(parse_cursor(&text, Epoch(!epoch)), Err(CursorError::OtherJournal(Epoch(epoch))));
        }

        #[test]
        fn made_up_text_is_no_cursor(text in "\\PC{0,60}") {
            prop_assert_eq!(parse_cursor(&text, Epoch(1)), Err(CursorError::Malformed));
        }
    }

    #[test]
    fn a_page_token_is_of_one_request_of_one_method() {
        let digest = |method: &str, size: u32| {
            let request =
                crate::grpc::pb::ListThreatsRequest { page_size: size, ..Default::default() };
            request_digest(method, &request)
        };
        let token = render_page_token(7, digest("ListThreats", 1));
        assert_eq!(parse_page_token(&token, digest("ListThreats", 1)), Ok(Some(7)));
        for (method, size) in [("ListMarkets", 1), ("ListThreats", 2)] {
            let rejected = parse_page_token(&token, digest(method, size)).unwrap_err();
            assert!(rejected.to_string().starts_with("page_token: belongs to another"));
        }
    }

    #[test]
    fn a_changed_letter_is_noticed() {
        let text = render_cursor(&Cursor { epoch: Epoch(7), position: Position::at(Seq(9)) });
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_ne!(
                parse_cursor(std::str::from_utf8(&changed).unwrap(), Epoch(7)),
                Ok(Position::at(Seq(9)))
            );
        }
    }
}
