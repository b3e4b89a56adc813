//! What a message of the stream holds. Persisted: whatever was written once must be read for ever.
//!
//! ```text
//! byte 0        format, 1
//! bytes 1 … 8   xxh3 of what follows, little-endian
//! bytes 9 …     postcard: the first message is the journal's epoch, every other a group of entries
//! ```
//!
//! Positions count entries, not messages, and nobody who appends knows what others append at the same moment. So a group
//! does not say where its entries stand: that follows from the groups before it. It says how far its appender had read,
//! so that a reader can begin anywhere.

use super::super::Testimony;
use crate::domain::{Epoch, Seq, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The format that is written.
const FORMAT: u8 = 1;

/// Bytes before the content.
const HEADER_BYTES: usize = 9;

/// A place between two messages of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The message before it, as the stream counts.
    pub(super) message: u64,
    /// The last entry of that message, or of one before it.
    pub(super) entry: Seq,
    /// That entry's time.
    pub(super) at: Timestamp,
}

impl Mark {
    /// After the message that begins every journal.
    pub(super) const BEGIN: Self = Self { message: 1, entry: Seq::ZERO, at: Timestamp::MIN };
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// The first: which journal this is.
    Genesis(Epoch),
    /// Entries.
    Group(Group),
}

/// Entries of one appender, in the order in which it accepted them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Who appended it: drawn at random by every process.
    pub(super) appender: u64,
    /// Which of its groups this is; 0 for an entry that several append under one name.
    pub(super) number: u64,
    /// How far the appender had read.
    pub(super) seen: Mark,
    /// What it had made of the journal by then.
    pub(super) testimony: Option<Testimony>,
    /// The time as the appender saw it, and the entry's bytes in the journal's codec. At least one.
    pub(super) entries: Vec<(Timestamp, Bytes)>,
}

/// The content, as it is written.
#[derive(Serialize, Deserialize)]
enum Content<'a> {
    Genesis(Epoch),
    Group {
        appender: u64,
        number: u64,
        seen: Mark,
        testimony: Option<Testimony>,
        #[serde(borrow)]
        entries: Vec<(Timestamp, &'a [u8])>,
    },
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Not what was written.
    #[error("its checksum does not fit")]
    Checksum,
    /// Of a later version, or of another program.
    #[error("message {0}")]
    Undecodable(String),
}

impl Message {
    /// The bytes to send.
    pub(super) fn encode(&self) -> Bytes {
        let content = match self {
            Self::Genesis(epoch) => Content::Genesis(*epoch),
            Self::Group(group) => Content::Group {
                appender: group.appender,
                number: group.number,
                seen: group.seen,
                testimony: group.testimony,
                entries: group.entries.iter().map(|(at, bytes)| (*at, &**bytes)).collect(),
            },
        };
        let bytes = postcard::to_extend(&content, vec![0; HEADER_BYTES]);
        let mut bytes = bytes.expect("every sequence in a message knows its length");
        let (header, content) = bytes.split_at_mut(HEADER_BYTES);
        header.copy_from_slice(&self::header(content));
        bytes.into()
    }

    /// Reads bytes that [`Message::encode`] made, in this version or an earlier one; entries share them.
    pub(super) fn decode(bytes: &Bytes) -> Result<Self, Fault> {
        let Some((header, content)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(Fault::Undecodable("is no part of a journal".to_owned()));
        };
        match header.first() {
            Some(&FORMAT) if header != self::header(content) => return Err(Fault::Checksum),
            Some(&FORMAT) => {}
            other => {
                let format = other.copied().unwrap_or_default();
                let why = format!("has format {format}; this version reads format {FORMAT}");
                return Err(Fault::Undecodable(why));
            }
        }
        let content = postcard::from_bytes(content)
            .map_err(|error| Fault::Undecodable(format!("cannot be decoded: {error}")))?;
        Ok(match content {
            Content::Genesis(epoch) => Self::Genesis(epoch),
            Content::Group { appender, number, seen, testimony, entries } => {
                let entries = entries.into_iter().map(|(at, part)| (at, bytes.slice_ref(part)));
                Self::Group(Group { appender, number, seen, testimony, entries: entries.collect() })
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
        Message::Group(Group {
            appender: 7,
            number: 3,
            seen: Mark { message: 12, entry: Seq(40), at: Timestamp::from_millis(5) },
            testimony: Some(Testimony { entry: Seq(39), digest: 0xfeed }),
            entries: vec![
                (Timestamp::from_millis(9), Bytes::from_static(&[1, 2, 3])),
                (Timestamp::from_millis(-9), Bytes::from_static(&[1])),
            ],
        })
    }

    #[test]
    fn messages_of_format_1_are_read_for_ever() {
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
    fn bytes_of_others_are_refused() {
        for bytes in [&b""[..], b"hello", b"\x02hello, this is no journal"] {
            assert!(Message::decode(&Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
    }
}
