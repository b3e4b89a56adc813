//! The bytes of an entry. Persisted: every later version must read them.
//!
//! ```text
//! byte 0    format, 1
//! byte 1 …  the payload in postcard's encoding, nothing after it
//! ```
//!
//! Enums are written by position, so variants are only ever appended. A new kind of entry or a new
//! field gets a new format number, as does any other change of the layout; this module then reads
//! the old formats too. The tests compare with the bytes in `fixtures/`.

use super::contract::ENTRY_BYTES_MAX;
use super::error::Error;
use lodewatch_core::domain::Payload;

const FORMAT: u8 = 1;

/// Why bytes are not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("it has no bytes")]
    Empty,
    #[error("its format is {0}; this version reads format {FORMAT}")]
    Format(u8),
    #[error("its payload is invalid: {0}")]
    Payload(postcard::Error),
    #[error("{0} bytes follow its payload")]
    TrailingBytes(usize),
}

/// The bytes of a payload.
///
/// # Errors
///
/// [`Error::TooLarge`] above [`ENTRY_BYTES_MAX`].
pub fn encode(payload: &Payload) -> Result<Vec<u8>, Error> {
    let bytes = postcard::to_stdvec(&(FORMAT, payload))
        .expect("every sequence in a payload knows its length");
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(Error::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// The payload of bytes that [`encode`] made, in this version or an earlier one.
///
/// # Errors
///
/// [`DecodeError`] for all other bytes.
pub fn decode(bytes: &[u8]) -> Result<Payload, DecodeError> {
    match bytes.split_first() {
        None => Err(DecodeError::Empty),
        Some((&FORMAT, rest)) => match postcard::take_from_bytes(rest) {
            Ok((payload, [])) => Ok(payload),
            Ok((_, rest)) => Err(DecodeError::TrailingBytes(rest.len())),
            Err(error) => Err(DecodeError::Payload(error)),
        },
        Some((&format, _)) => Err(DecodeError::Format(format)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_version_reads_entries_of_format_1() {
        for (name, text, payload) in [
            ("batch", include_str!("fixtures/v1-batch.hex"), samples::batch()),
            (
                "batch of report removals",
                include_str!("fixtures/v1-batch-report-removals.hex"),
                samples::report_removals(),
            ),
            ("sent batch", include_str!("fixtures/v1-batch-sent.hex"), samples::sent()),
            ("traced batch", include_str!("fixtures/v1-batch-traced.hex"), samples::traced()),
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
    fn bytes_that_no_version_wrote_are_rejected() {
        let mut longer = encode(&samples::tick()).unwrap();
        longer.push(0);
        for (bytes, error) in [
            (&[][..], DecodeError::Empty),
            (&[2, 2, 0], DecodeError::Format(2)),
            (&[1, 9], DecodeError::Payload(postcard::Error::SerdeDeCustom)),
            (&longer, DecodeError::TrailingBytes(1)),
        ] {
            assert_eq!(decode(bytes), Err(error));
        }
    }

    proptest! {
        #[test]
        fn a_decoded_payload_is_the_one_that_was_encoded(payload in samples::payloads()) {
            prop_assert_eq!(decode(&encode(&payload).unwrap()), Ok(payload));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
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
