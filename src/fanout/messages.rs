//! Alerts as messages ready for the wire, one behind the other, so that a reader takes many with one slice.

use crate::archive::Record;
use crate::domain::update::Position;
use crate::domain::{Filter, Seq};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Writes a message behind what is there already: alerts of one entry, at least one, and the place after them. More of
/// the entry follow where that place is inside it. Given by the edge, which alone knows how messages look on the wire.
pub type Write = Arc<dyn Fn(&mut BytesMut, &[&Record], Position) + Send + Sync>;

/// All alerts of one entry.
#[derive(Debug)]
pub struct Frame {
    /// The entry.
    pub entry: Seq,
    /// Its alerts, in order; at least one.
    pub records: Vec<Record>,
}

impl Frame {
    pub(super) fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.bytes.len()).fold(0, usize::saturating_add)
    }
}

/// Messages in order, and the place after each.
#[derive(Debug, Clone, Default)]
pub(super) struct Messages {
    bytes: Bytes,
    /// The place after a message, and where the message ends in `bytes`.
    ends: Vec<(Position, usize)>,
}

impl Messages {
    /// The largest message of alerts, in bytes, so that clients with the usual limit of 4 MiB can read it.
    const MESSAGE_BYTES: usize = 1024 * 1024;

    /// These messages, and behind them those of further entries with the alerts that the filter wants.
    pub(super) fn with<'a>(
        &self,
        frames: impl Iterator<Item = &'a Frame> + Clone,
        filter: &Filter,
        write: &Write,
    ) -> Self {
        let added = frames.clone().map(Frame::bytes).fold(0, usize::saturating_add);
        let mut bytes = BytesMut::with_capacity(self.bytes.len().saturating_add(added));
        bytes.extend_from_slice(&self.bytes);
        let mut ends = self.ends.clone();
        for frame in frames {
            let wanted = (0..).zip(&frame.records);
            let wanted = wanted.filter(|(_, record)| filter.wants(&record.facets));
            add(&mut bytes, &mut ends, wanted, frame.entry, write);
        }
        Self { bytes: bytes.freeze(), ends }
    }

    /// All messages that end after a place; `None` where there are none.
    pub(super) fn after(&self, position: Position) -> Option<Bytes> {
        let behind = self.ends.partition_point(|(end, _)| *end <= position);
        if behind == self.ends.len() {
            return None;
        }
        let last_behind = behind.checked_sub(1).and_then(|last| self.ends.get(last));
        Some(self.bytes.slice(last_behind.map_or(0, |(_, end)| *end)..))
    }

    /// How much memory they take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
            .len()
            .saturating_add(self.ends.len().saturating_mul(size_of::<(Position, usize)>()))
    }
}

/// Messages of what was read from the archive, which got as far as `reached`; empty where nothing was found.
pub(super) fn of_page(records: &[Record], reached: Position, write: &Write) -> Bytes {
    let mut bytes = BytesMut::new();
    for alerts in records.chunk_by(|one, next| one.entry == next.entry) {
        let Some(first) = alerts.first() else { continue };
        // A page ends inside an entry only where that entry alone is more than a page.
        let split = reached.entry < first.entry;
        let end = if split { reached } else { Position::at(first.entry) };
        write(&mut bytes, &alerts.iter().collect::<Vec<_>>(), end);
    }
    bytes.freeze()
}

/// Writes the alerts of one entry as messages of bounded size. Each comes with how many alerts of the entry are before it.
fn add<'a>(
    bytes: &mut BytesMut,
    ends: &mut Vec<(Position, usize)>,
    alerts: impl Iterator<Item = (u32, &'a Record)>,
    entry: Seq,
    write: &Write,
) {
    let mut message: Vec<&Record> = Vec::new();
    let mut size = 0_usize;
    for (before, record) in alerts {
        if size.saturating_add(record.bytes.len()) > Messages::MESSAGE_BYTES && !message.is_empty()
        {
            let inside = Position { entry: Seq(entry.0.saturating_sub(1)), alerts: before };
            write(bytes, &message, inside);
            ends.push((inside, bytes.len()));
            message.clear();
            size = 0;
        }
        size = size.saturating_add(record.bytes.len());
        message.push(record);
    }
    if !message.is_empty() {
        write(bytes, &message, Position::at(entry));
        ends.push((Position::at(entry), bytes.len()));
    }
}
