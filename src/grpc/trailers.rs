//! How large a status is at most where it travels: in trailers, or in headers without a body.

use tonic::Status;
use tonic::codegen::http::HeaderMap;

/// The largest trailers, in bytes as HTTP/2 counts them: some clients accept no larger ones, and
/// report another error in place of ours.
pub(super) const TRAILERS_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a message in the trailers. The details repeat it.
const MESSAGE_BYTES_MAX: usize = 1536;
/// Characters of a text of the caller that an error repeats.
pub(in crate::grpc) const ECHO_CHARS_MAX: usize = 80;

/// A message that fits in the trailers, where every byte that is not a letter or a digit may take
/// three.
pub(super) fn fit_message(text: String) -> String {
    let mut bytes = 0_usize;
    let is_too_much = |(_, one): &(usize, char)| {
        let encoded =
            if one.is_ascii_alphanumeric() { 1 } else { one.len_utf8().saturating_mul(3) };
        bytes = bytes.saturating_add(encoded);
        bytes > MESSAGE_BYTES_MAX
    };
    match text.char_indices().find(is_too_much) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// Shortens the status in trailers, or in headers without a body, that are too large for clients:
/// a status of a library, which repeats what the caller sent.
pub(in crate::grpc) fn fit_trailers(trailers: &mut HeaderMap) {
    if size(trailers) <= TRAILERS_BYTES_MAX {
        return;
    }
    if let Some(status) = Status::from_header_map(trailers) {
        trailers.remove("grpc-status-details-bin");
        let short = Status::new(status.code(), fit_message(status.message().to_owned()));
        short.add_header(trailers).expect("a message of characters is a valid header");
    }
}

/// In bytes, as HTTP/2 counts them.
fn size(trailers: &HeaderMap) -> usize {
    let sizes = trailers
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()).saturating_add(32));
    sizes.fold(0, usize::saturating_add)
}

/// The size of a status by itself.
#[cfg(test)]
pub(super) fn size_of(status: &Status) -> usize {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers).expect("it is a valid header");
    size(&trailers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn a_status_of_a_library_is_shortened_and_keeps_its_code() {
        let mut trailers = HeaderMap::new();
        Status::not_found("x".repeat(20_000)).add_header(&mut trailers).unwrap();
        fit_trailers(&mut trailers);
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!((status.code(), size_of(&status) < TRAILERS_BYTES_MAX), (Code::NotFound, true));
        assert!(status.message().ends_with('…'));
    }
}
