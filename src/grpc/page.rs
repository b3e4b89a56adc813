//! Page tokens (AIP-158): where the next page begins, and for which request.

use super::opaque;
use super::parse::Violations;
use prost::Message;
use tonic::Status;
use xxhash_rust::xxh3::xxh3_64;

const BYTES: usize = 8 + 8;

/// The digest of a request without what may differ from page to page.
pub(super) fn digest<M: Message>(request: &M) -> u64 {
    xxh3_64(&request.encode_to_vec())
}

/// The token for the page that begins at `place`.
pub(super) fn render(place: u64, digest: u64) -> String {
    opaque::seal([place.to_be_bytes(), digest.to_be_bytes()].concat())
}

/// Where a page begins; `None` for the first.
///
/// # Errors
///
/// When the token was not handed out, or for another request.
pub(super) fn parse(token: &str, digest: u64) -> Result<Option<u64>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let refuse = |why: &str| Violations::one("page_token", why).into();
    let bytes: [u8; BYTES] = opaque::open(token)
        .ok_or_else(|| refuse("is not a page token; use next_page_token, unchanged"))?;
    let (place, rest) = bytes.split_first_chunk().ok_or_else(|| refuse("is not a page token"))?;
    if rest != digest.to_be_bytes() {
        return Err(refuse(
            "is of another request; filters and order must be the same for every page",
        ));
    }
    Ok(Some(u64::from_be_bytes(*place)))
}
