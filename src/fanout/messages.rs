//! Alerts encoded as messages, one after the other in one buffer, so that a reader that is behind
//! gets many messages as one slice of it.

use crate::archive::AlertRecord;
use crate::traces::EntryTrace;
use bytes::{Bytes, BytesMut};
use lodewatch_core::domain::update::Position;
use lodewatch_core::domain::{Filter, Seq};
use std::sync::Arc;
use tokio::time::Instant;

/// Appends one message to the buffer: alerts of one entry, at least one, and the position after
/// them. If the position is inside the entry, the next message continues that entry. The gRPC edge
/// provides this function, because only the edge knows the wire format.
pub type WriteMessage = Arc<dyn Fn(&mut BytesMut, &[&AlertRecord], Position) + Send + Sync>;

/// All alerts of one entry.
#[derive(Debug)]
pub struct EntryAlerts {
    pub entry: Seq,
    /// When the durable entry was read from the journal.
    pub since: Instant,
    /// In order; at least one.
    pub records: Vec<AlertRecord>,
    /// `None` if the entry is not traced.
    pub trace: Option<Arc<EntryTrace>>,
}

impl EntryAlerts {
    pub(super) fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.bytes.len()).fold(0, usize::saturating_add)
    }
}

/// Encoded messages that a reader gets at once.
#[derive(Debug)]
pub struct EncodedRun {
    /// The messages, ready for the wire.
    pub bytes: Bytes,
    /// Number of messages.
    pub messages: u64,
    /// Number of alerts in the messages.
    pub alerts: u64,
    /// When the oldest entry was read from the journal; `None` for messages from the archive.
    pub since: Option<Instant>,
    /// The traces of those entries that are traced.
    pub traces: Vec<Arc<EntryTrace>>,
}

/// Messages in order, with the position after each.
#[derive(Debug, Clone, Default)]
pub(super) struct EncodedMessages {
    bytes: Bytes,
    ends: Vec<MessageEnd>,
    /// Of the entries that are traced: few or none.
    traces: Vec<(Seq, Arc<EntryTrace>)>,
}

/// Where a message ends.
#[derive(Debug, Clone, Copy)]
struct MessageEnd {
    /// The position after the message.
    position: Position,
    /// The offset in the buffer.
    bytes: usize,
    /// Number of alerts up to here.
    alerts: u64,
    /// When the entry was read from the journal.
    since: Instant,
}

impl EncodedMessages {
    /// The largest message of alerts, in bytes.
    const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

    /// More than the other fields of a message need: its cursor and its frame.
    const MESSAGE_FIELDS_BYTES: usize = 1024;

    /// The most that the tag and the length of an alert add to it.
    const ALERT_FIELD_BYTES: usize = 8;

    /// These messages, followed by those of further entries with the alerts that match the filter.
    pub(super) fn extended<'a>(
        &self,
        entries: impl Iterator<Item = &'a EntryAlerts> + Clone,
        filter: &Filter,
        write: &WriteMessage,
    ) -> Self {
        let added = entries.clone().map(EntryAlerts::bytes).fold(0, usize::saturating_add);
        let mut bytes = BytesMut::with_capacity(self.bytes.len().saturating_add(added));
        bytes.extend_from_slice(&self.bytes);
        let (mut ends, mut traces) = (self.ends.clone(), self.traces.clone());
        for entry in entries {
            let wanted = (0..).zip(&entry.records);
            let wanted = wanted.filter(|(_, record)| filter.wants(&record.facets));
            let before = ends.len();
            encode_entry(&mut bytes, &mut ends, wanted, entry, write);
            if ends.len() > before {
                traces.extend(entry.trace.clone().map(|trace| (entry.entry, trace)));
            }
        }
        Self { bytes: bytes.freeze(), ends, traces }
    }

    /// All messages that end after a position; `None` if there are none.
    pub(super) fn run_after(&self, position: Position) -> Option<EncodedRun> {
        let behind = self.ends.partition_point(|end| end.position <= position);
        let (first, last) = (self.ends.get(behind)?, self.ends.last()?);
        let before = behind.checked_sub(1).and_then(|before| self.ends.get(before));
        let (bytes, alerts) = before.map_or((0, 0), |end| (end.bytes, end.alerts));
        Some(EncodedRun {
            bytes: self.bytes.slice(bytes..),
            messages: as_u64(self.ends.len().saturating_sub(behind)),
            alerts: last.alerts.saturating_sub(alerts),
            since: Some(first.since),
            traces: self.traces_after(position),
        })
    }

    fn traces_after(&self, position: Position) -> Vec<Arc<EntryTrace>> {
        let behind = self.traces.partition_point(|(entry, _)| Position::at(*entry) <= position);
        self.traces.iter().skip(behind).map(|(_, trace)| Arc::clone(trace)).collect()
    }

    /// Memory in use, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len().saturating_add(self.ends.len().saturating_mul(size_of::<MessageEnd>()))
    }
}

/// Encodes a page of the archive that was read up to `reached`; the run is empty if no alert
/// matched.
pub(super) fn encode_page(
    records: &[AlertRecord],
    reached: Position,
    write: &WriteMessage,
) -> EncodedRun {
    let (mut bytes, mut messages) = (BytesMut::new(), 0);
    for alerts in records.chunk_by(|one, next| one.entry == next.entry) {
        let Some(first) = alerts.first() else { continue };
        // A page ends inside an entry only if that entry alone is more than a page.
        let is_split = reached.entry < first.entry;
        let end = if is_split { reached } else { Position::at(first.entry) };
        write(&mut bytes, &alerts.iter().collect::<Vec<_>>(), end);
        messages += 1;
    }
    EncodedRun {
        bytes: bytes.freeze(),
        messages,
        alerts: as_u64(records.len()),
        since: None,
        traces: Vec::new(),
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Writes the alerts of one entry as messages of limited size. Each alert comes with the number of
/// alerts of the entry before it.
fn encode_entry<'a>(
    bytes: &mut BytesMut,
    ends: &mut Vec<MessageEnd>,
    alerts: impl Iterator<Item = (u32, &'a AlertRecord)>,
    entry: &EntryAlerts,
    write: &WriteMessage,
) {
    let mut message: Vec<&AlertRecord> = Vec::new();
    let mut size = EncodedMessages::MESSAGE_FIELDS_BYTES;
    let mut total = ends.last().map_or(0, |end| end.alerts);
    let mut end_message = |message: &[&AlertRecord], position| {
        write(bytes, message, position);
        total = total.saturating_add(as_u64(message.len()));
        let since = entry.since;
        ends.push(MessageEnd { position, bytes: bytes.len(), alerts: total, since });
    };
    for (before, record) in alerts {
        let bytes = record.bytes.len().saturating_add(EncodedMessages::ALERT_FIELD_BYTES);
        let is_full = size.saturating_add(bytes) > EncodedMessages::MESSAGE_BYTES_MAX;
        if is_full && !message.is_empty() {
            let inside = Position { entry: Seq(entry.entry.0.saturating_sub(1)), alerts: before };
            end_message(&message, inside);
            message.clear();
            size = EncodedMessages::MESSAGE_FIELDS_BYTES;
        }
        size = size.saturating_add(bytes);
        message.push(record);
    }
    if !message.is_empty() {
        end_message(&message, Position::at(entry.entry));
    }
}
