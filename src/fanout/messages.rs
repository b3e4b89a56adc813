//! Alerts as messages ready for the wire, one behind the other, so that a reader takes many with one slice.

use crate::archive::AlertRecord;
use crate::domain::update::Position;
use crate::domain::{Filter, Seq};
use crate::traces::Trail;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use tokio::time::Instant;

/// Writes a message behind what is there already: alerts of one entry, at least one, and the place after them. More of
/// the entry follow where that place is inside it. Given by the edge, which alone knows how messages look on the wire.
pub type Write = Arc<dyn Fn(&mut BytesMut, &[&AlertRecord], Position) + Send + Sync>;

/// All alerts of one entry.
#[derive(Debug)]
pub struct Frame {
    /// The entry.
    pub entry: Seq,
    /// When it was read from the journal, durable.
    pub since: Instant,
    /// Its alerts, in order; at least one.
    pub records: Vec<AlertRecord>,
    /// Where its trace goes on, if it has one.
    pub trail: Option<Arc<Trail>>,
}

impl Frame {
    pub(super) fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.bytes.len()).fold(0, usize::saturating_add)
    }
}

/// Messages that are handed to a reader at once.
#[derive(Debug)]
pub struct Slice {
    /// The messages, ready for the wire.
    pub bytes: Bytes,
    /// How many they are.
    pub messages: u64,
    /// How many alerts are in them.
    pub alerts: u64,
    /// When the oldest of them was read from the journal; `None` for what the archive has.
    pub since: Option<Instant>,
    /// Those of their entries that are traced.
    pub trails: Vec<Arc<Trail>>,
}

/// Messages in order, and how each ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Messages {
    bytes: Bytes,
    ends: Vec<End>,
    /// Of the entries that are traced: few, or none.
    trails: Vec<(Seq, Arc<Trail>)>,
}

/// How a message ends.
#[derive(Debug, Clone, Copy)]
struct End {
    /// The place after it.
    at: Position,
    /// Where it ends in the bytes.
    bytes: usize,
    /// Alerts up to here.
    alerts: u64,
    /// When it was read from the journal.
    since: Instant,
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
        let (mut ends, mut trails) = (self.ends.clone(), self.trails.clone());
        for frame in frames {
            let wanted = (0..).zip(&frame.records);
            let wanted = wanted.filter(|(_, record)| filter.wants(&record.facets));
            let before = ends.len();
            add(&mut bytes, &mut ends, wanted, frame, write);
            if ends.len() > before {
                trails.extend(frame.trail.clone().map(|trail| (frame.entry, trail)));
            }
        }
        Self { bytes: bytes.freeze(), ends, trails }
    }

    /// All messages that end after a place; `None` where there are none.
    pub(super) fn after(&self, position: Position) -> Option<Slice> {
        let behind = self.ends.partition_point(|end| end.at <= position);
        let (first, last) = (self.ends.get(behind)?, self.ends.last()?);
        let before = behind.checked_sub(1).and_then(|before| self.ends.get(before));
        let (bytes, alerts) = before.map_or((0, 0), |end| (end.bytes, end.alerts));
        Some(Slice {
            bytes: self.bytes.slice(bytes..),
            messages: number(self.ends.len().saturating_sub(behind)),
            alerts: last.alerts.saturating_sub(alerts),
            since: Some(first.since),
            trails: self.trails(position),
        })
    }

    fn trails(&self, after: Position) -> Vec<Arc<Trail>> {
        let behind = self.trails.partition_point(|(entry, _)| Position::at(*entry) <= after);
        self.trails.iter().skip(behind).map(|(_, trail)| Arc::clone(trail)).collect()
    }

    /// How much memory they take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len().saturating_add(self.ends.len().saturating_mul(size_of::<End>()))
    }
}

/// Messages of what was read from the archive, which got as far as `reached`; empty where nothing was found.
pub(super) fn of_page(records: &[AlertRecord], reached: Position, write: &Write) -> Slice {
    let (mut bytes, mut messages) = (BytesMut::new(), 0);
    for alerts in records.chunk_by(|one, next| one.entry == next.entry) {
        let Some(first) = alerts.first() else { continue };
        // A page ends inside an entry only where that entry alone is more than a page.
        let split = reached.entry < first.entry;
        let end = if split { reached } else { Position::at(first.entry) };
        write(&mut bytes, &alerts.iter().collect::<Vec<_>>(), end);
        messages += 1;
    }
    Slice {
        bytes: bytes.freeze(),
        messages,
        alerts: number(records.len()),
        since: None,
        trails: Vec::new(),
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Writes the alerts of one entry as messages of bounded size. Each comes with how many alerts of the entry are before it.
fn add<'a>(
    bytes: &mut BytesMut,
    ends: &mut Vec<End>,
    alerts: impl Iterator<Item = (u32, &'a AlertRecord)>,
    frame: &Frame,
    write: &Write,
) {
    let mut message: Vec<&AlertRecord> = Vec::new();
    let mut size = 0_usize;
    let mut total = ends.last().map_or(0, |end| end.alerts);
    let mut end = |message: &[&AlertRecord], at| {
        write(bytes, message, at);
        total = total.saturating_add(number(message.len()));
        ends.push(End { at, bytes: bytes.len(), alerts: total, since: frame.since });
    };
    for (before, record) in alerts {
        if size.saturating_add(record.bytes.len()) > Messages::MESSAGE_BYTES && !message.is_empty()
        {
            end(&message, Position { entry: Seq(frame.entry.0.saturating_sub(1)), alerts: before });
            message.clear();
            size = 0;
        }
        size = size.saturating_add(record.bytes.len());
        message.push(record);
    }
    if !message.is_empty() {
        end(&message, Position::at(frame.entry));
    }
}
