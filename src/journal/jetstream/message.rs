//! The bytes of a message of the stream. Persisted: every later version must read them.
//!
//! ```text
//! byte 0        format, 1
//! bytes 1 … 8   xxh3 of what follows, little-endian
//! bytes 9 …     postcard: the first message is the journal's epoch, every other a group of entries
//! ```
//!
//! Positions count entries, not messages, and an appender does not know what others append at the
//! same moment. So a group does not contain the positions of its entries: they follow from the
//! groups before it. It contains how far its appender had read, so that a reader can begin
//! anywhere.

use super::super::contract::StateDigest;
use bytes::Bytes;
use lodewatch_core::domain::{Epoch, Seq, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

const FORMAT: u8 = 1;

/// Bytes before the content.
const HEADER_BYTES: usize = 9;

/// A position between two messages of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamPosition {
    /// The message before it, in the stream's numbers.
    pub(super) message: u64,
    /// The last entry of that message, or of one before it.
    pub(super) entry: Seq,
    /// That entry's time.
    pub(super) at: Timestamp,
}

impl StreamPosition {
    /// After the message that begins every journal.
    pub(super) const START: Self = Self { message: 1, entry: Seq::ZERO, at: Timestamp::MIN };
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// The first message: the identity of the journal.
    Genesis(Epoch),
    Entries(EntryGroup),
}

/// Entries of one appender, in the order in which it accepted them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryGroup {
    /// The process that appended it: a random number.
    pub(super) appender: u64,
    /// The number of the group among those of its appender, from 1; 0 for an entry that several
    /// replicas append under one name.
    pub(super) number: u64,
    /// How far the appender had read.
    pub(super) read_to: StreamPosition,
    /// The appender's state by then.
    pub(super) digest: Option<StateDigest>,
    /// The appender's time, and the entry's bytes in the journal's codec. At least one.
    pub(super) entries: Vec<(Timestamp, Bytes)>,
}

/// The content as postcard writes it.
#[derive(Serialize, Deserialize)]
enum StoredMessage<'a> {
    Genesis(Epoch),
    Entries {
        appender: u64,
        number: u64,
        read_to: StreamPosition,
        digest: Option<StateDigest>,
        #[serde(borrow)]
        entries: Vec<(Timestamp, &'a [u8])>,
    },
}

/// Why bytes are not a message of a journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    #[error("its checksum does not match")]
    Checksum,
    #[error("it is shorter than the header of a journal's message")]
    TooShort,
    #[error("its format is {0}; this version reads format {FORMAT}")]
    Format(u8),
    #[error(transparent)]
    Content(postcard::Error),
}

impl Message {
    pub(super) fn encode(&self) -> Bytes {
        let content = match self {
            Self::Genesis(epoch) => StoredMessage::Genesis(*epoch),
            Self::Entries(group) => StoredMessage::Entries {
                appender: group.appender,
                number: group.number,
                read_to: group.read_to,
                digest: group.digest,
                entries: group.entries.iter().map(|(at, bytes)| (*at, &**bytes)).collect(),
            },
        };
        let bytes = postcard::to_extend(&content, vec![0; HEADER_BYTES]);
        let mut bytes = bytes.expect("every sequence in a message knows its length");
        let (header, content) = bytes.split_at_mut(HEADER_BYTES);
        header.copy_from_slice(&self::header(content));
        bytes.into()
    }

    /// Reads bytes that [`Message::encode`] made, in this version or an earlier one; entries share
    /// them.
    pub(super) fn decode(bytes: &Bytes) -> Result<Self, MessageError> {
        let Some((header, content)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(MessageError::TooShort);
        };
        match header.first() {
            Some(&FORMAT) if header != self::header(content) => return Err(MessageError::Checksum),
            Some(&FORMAT) => {}
            other => return Err(MessageError::Format(other.copied().unwrap_or_default())),
        }
        Ok(match postcard::from_bytes(content).map_err(MessageError::Content)? {
            StoredMessage::Genesis(epoch) => Self::Genesis(epoch),
            StoredMessage::Entries { appender, number, read_to, digest, entries } => {
                let entries = entries.into_iter().map(|(at, part)| (at, bytes.slice_ref(part)));
                Self::Entries(EntryGroup {
                    appender,
                    number,
                    read_to,
                    digest,
                    entries: entries.collect(),
                })
            }
        })
    }
}

fn header(content: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [FORMAT; HEADER_BYTES];
    header[1..].copy_from_slice(&xxh3_64(content).to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Message {
        Message::Entries(EntryGroup {
            appender: 7,
            number: 3,
            read_to: StreamPosition { message: 12, entry: Seq(40), at: Timestamp::from_millis(5) },
            digest: Some(StateDigest { entry: Seq(39), digest: 0xfeed }),
            entries: vec![
                (Timestamp::from_millis(9), Bytes::from_static(&[1, 2, 3])),
                (Timestamp::from_millis(-9), Bytes::from_static(&[1])),
            ],
        })
    }

    #[test]
    fn every_version_reads_messages_of_format_1() {
        for (text, message) in [
            (include_str!("../fixtures/v1-genesis.hex"), Message::Genesis(Epoch(0x1234))),
            (include_str!("../fixtures/v1-group.hex"), group()),
        ] {
            let digits = |bytes: &[u8]| {
                bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
            };
            assert_eq!(digits(&message.encode()), text.trim(), "other bytes need another format");
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let bytes = group().encode();
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 << (at % 8);
            assert!(Message::decode(&changed.into()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn bytes_of_other_programs_are_rejected() {
        for bytes in [&b""[..], b"hello", b"\x02hello, this is not a journal"] {
            assert!(Message::decode(&Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
    }
}
