//! Cursors: a place in one journal's result, as text.

use super::opaque;
use crate::domain::update::{Cursor, Position};
use crate::domain::{Epoch, Seq};

/// The layout: version, epoch, entry, alerts; big-endian. Handed out, so never changed: another layout is a new version.
const VERSION: u8 = 1;
const BYTES: usize = 1 + 8 + 8 + 4;

/// Why a text is no cursor of this journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// Not a cursor that was ever handed out.
    #[error("is not a cursor; use one that this service handed out, unchanged")]
    Malformed,
    /// Of another journal.
    #[error(
        "is a cursor of another journal ({0}); this one's cursors begin anew: take a snapshot or start from the oldest"
    )]
    OtherJournal(Epoch),
}

/// The text of a cursor.
pub(super) fn render(cursor: &Cursor) -> String {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.push(VERSION);
    bytes.extend(cursor.epoch.0.to_be_bytes());
    bytes.extend(cursor.position.entry.0.to_be_bytes());
    bytes.extend(cursor.position.alerts.to_be_bytes());
    opaque::seal(bytes)
}

/// The place that a cursor of this journal names.
pub(super) fn parse(text: &str, epoch: Epoch) -> Result<Position, Error> {
    let bytes: [u8; BYTES] = opaque::open(text).ok_or(Error::Malformed)?;
    let (version, rest) = bytes.split_first().ok_or(Error::Malformed)?;
    let (of, rest) = rest.split_first_chunk().ok_or(Error::Malformed)?;
    let (entry, rest) = rest.split_first_chunk().ok_or(Error::Malformed)?;
    let alerts = rest.try_into().map_err(|_| Error::Malformed)?;
    if *version != VERSION {
        return Err(Error::Malformed);
    }
    let of = Epoch(u64::from_be_bytes(*of));
    if of != epoch {
        return Err(Error::OtherJournal(of));
    }
    Ok(Position { entry: Seq(u64::from_be_bytes(*entry)), alerts: u32::from_be_bytes(alerts) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_reads_as_it_was_written(epoch: u64, entry: u64, alerts: u32) {
            let position = Position { entry: Seq(entry), alerts };
            let text = render(&Cursor { epoch: Epoch(epoch), position });
            prop_assert_eq!(parse(&text, Epoch(epoch)), Ok(position));
            prop_assert_eq!(parse(&text, Epoch(!epoch)), Err(Error::OtherJournal(Epoch(epoch))));
        }

        #[test]
        fn made_up_text_is_no_cursor(text in "\\PC{0,60}") {
            prop_assert_eq!(parse(&text, Epoch(1)), Err(Error::Malformed));
        }
    }

    #[test]
    fn a_changed_letter_is_noticed() {
        let text = render(&Cursor { epoch: Epoch(7), position: Position::at(Seq(9)) });
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_ne!(
                parse(std::str::from_utf8(&changed).unwrap(), Epoch(7)),
                Ok(Position::at(Seq(9)))
            );
        }
    }
}
