//! The bytes of an entry. Persisted: whatever was written once must be read for ever.
//!
//! ```text
//! byte 0    format
//! byte 1 …  1: the payload in postcard's encoding, nothing after it
//!           2: who sent the batch, then the payload
//!           3: who sent the batch, if that is known, where its trace goes on, then the payload
//! ```
//!
//! Format 3 is written where a batch is traced, format 2 where there is only a sender to keep, and format 1 otherwise.
//!
//! Enums are written by position, so variants are only ever appended; any other change of a persisted type is a new
//! format here, which reads the old one too. The bytes in `fixtures/` keep us honest.

use super::{ENTRY_BYTES_MAX, Error};
use crate::domain::{Batch, Payload};

/// The format of what nobody sent.
const PLAIN: u8 = 1;
/// The format of a batch with its sender.
const SENT: u8 = 2;
/// The format of a batch that is traced.
const TRACED: u8 = 3;

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not even a format.
    #[error("it is empty")]
    Empty,
    /// A format of a later version.
    #[error("it has format {0}; this version reads formats {PLAIN} to {TRACED}")]
    Format(u8),
    /// Not a payload.
    #[error("{0}")]
    Payload(postcard::Error),
    /// More than a payload.
    #[error("{0} bytes are left over")]
    LeftOver(usize),
}

/// The bytes of a payload.
///
/// # Errors
///
/// [`Error::TooLarge`] beyond [`ENTRY_BYTES_MAX`].
pub fn encode(payload: &Payload) -> Result<Vec<u8>, Error> {
    let bytes = match payload {
        Payload::Batch(Batch { sender, trace: Some(trace), .. }) => {
            postcard::to_stdvec(&(TRACED, sender, trace, payload))
        }
        Payload::Batch(Batch { sender: Some(sender), .. }) => {
            postcard::to_stdvec(&(SENT, sender, payload))
        }
        Payload::Batch(_)
        | Payload::PolicyAdopted(_)
        | Payload::PolicyRevised { .. }
        | Payload::Tick { .. } => postcard::to_stdvec(&(PLAIN, payload)),
    };
    let bytes = bytes.expect("every sequence in a payload knows its length");
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(Error::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// The payload of bytes that [`encode`] made, in this version or an earlier one.
///
/// # Errors
///
/// Anything else is a [`DecodeError`].
pub fn decode(bytes: &[u8]) -> Result<Payload, DecodeError> {
    match bytes.split_first() {
        None => Err(DecodeError::Empty),
        Some((&PLAIN, rest)) => whole(rest),
        Some((&SENT, rest)) => {
            let (sender, rest) = postcard::take_from_bytes(rest).map_err(DecodeError::Payload)?;
            Ok(Payload::Batch(Batch { sender: Some(sender), ..batch(rest)? }))
        }
        Some((&TRACED, rest)) => {
            let ((sender, trace), rest) =
                postcard::take_from_bytes(rest).map_err(DecodeError::Payload)?;
            Ok(Payload::Batch(Batch { sender, trace: Some(trace), ..batch(rest)? }))
        }
        Some((&format, _)) => Err(DecodeError::Format(format)),
    }
}

/// The batch that somebody has sent: nobody sends anything else.
fn batch(bytes: &[u8]) -> Result<Batch, DecodeError> {
    match whole(bytes)? {
        Payload::Batch(batch) => Ok(batch),
        Payload::PolicyAdopted(_) | Payload::PolicyRevised { .. } | Payload::Tick { .. } => {
            Err(DecodeError::Payload(postcard::Error::SerdeDeCustom))
        }
    }
}

fn whole(bytes: &[u8]) -> Result<Payload, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((payload, [])) => Ok(payload),
        Ok((_, rest)) => Err(DecodeError::LeftOver(rest.len())),
        Err(error) => Err(DecodeError::Payload(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_of_format_1_are_read_for_ever() {
        for (name, text, payload) in [
            ("batch", include_str!("fixtures/v1-batch.hex"), samples::batch()),
            ("policy", include_str!("fixtures/v1-policy.hex"), samples::policy()),
            ("tick", include_str!("fixtures/v1-tick.hex"), samples::tick()),
        ] {
            let written = hex(&encode(&payload).unwrap());
            let bytes = unhex(text);
            assert_eq!(written, hex(&bytes), "{name}: other bytes need another format");
            assert_eq!(decode(&bytes), Ok(payload), "{name}: format 1 must stay readable");
        }
    }

    #[test]
    fn a_batch_with_what_is_kept_beside_it_is_read_for_ever() {
        for (format, text, payload) in [
            (2, include_str!("fixtures/v2-batch.hex"), samples::sent()),
            (3, include_str!("fixtures/v3-batch.hex"), samples::traced()),
        ] {
            let written = hex(&encode(&payload).unwrap());
            let bytes = unhex(text);
            assert_eq!(written, hex(&bytes), "other bytes need another format");
            assert_eq!(decode(&bytes), Ok(payload), "format {format} must stay readable");
        }
    }

    #[test]
    fn bytes_that_no_version_wrote_are_refused() {
        let mut longer = encode(&samples::tick()).unwrap();
        longer.push(0);
        for (bytes, error) in [
            (&[][..], DecodeError::Empty),
            (&[4, 2, 0], DecodeError::Format(4)),
            (&[1, 9], DecodeError::Payload(postcard::Error::SerdeDeCustom)),
            (&longer, DecodeError::LeftOver(1)),
        ] {
            assert_eq!(decode(bytes), Err(error));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(payload in samples::payloads()) {
            prop_assert_eq!(decode(&encode(&payload).unwrap()), Ok(payload));
        }

        #[test]
        fn no_bytes_make_it_fall_over(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digits = text.split_whitespace().collect::<String>();
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    }
}
