//! Messages that are larger than a client accepts.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The reason in the details of the status.
const REASON: &str = "MESSAGE_TOO_LARGE";

/// Explains the status with which a client's library ends a call whose response is too large: by
/// itself it has the code of a lost cursor, and no details. Returns any other status as it is.
///
/// The new status has the code `RESOURCE_EXHAUSTED` and no delay: the same call does not succeed
/// later.
pub fn explain_too_large(status: Status) -> Status {
    let is_too_large = status.code() == Code::OutOfRange
        && status.details().is_empty()
        && status.message().contains("message length too large");
    if !is_too_large {
        return status;
    }
    let message = format!(
        "the response is too large for this client: {}; a Lodewatch server sends at most 1 MiB in \
         one message: check the address and the version of the server",
        status.message()
    );
    let details = ErrorDetails::with_error_info(REASON, "lodewatch.v1", []);
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// Whether a call failed because its response is larger than this client accepts, see
/// [`explain_too_large`].
pub fn is_message_too_large(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.reason == REASON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry_delay;

    #[test]
    fn a_response_that_is_too_large_is_neither_a_lost_cursor_nor_retried() {
        let of_tonic = Status::out_of_range(
            "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
        );
        let explained = explain_too_large(of_tonic);
        assert_eq!(explained.code(), Code::ResourceExhausted);
        assert!(is_message_too_large(&explained));
        assert_eq!(retry_delay(&explained), None);
        assert!(explained.message().contains("found 5 bytes"));
        let lost = Status::with_error_details(
            Code::OutOfRange,
            "cannot resume",
            ErrorDetails::with_error_info("CURSOR_LOST", "lodewatch.v1", []),
        );
        let same = explain_too_large(lost);
        assert_eq!(same.code(), Code::OutOfRange);
        assert!(!is_message_too_large(&same));
    }
}
