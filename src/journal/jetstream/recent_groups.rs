//! The latest groups of the stream in memory, for the readers at the head.

use super::super::contract::StateDigest;
use super::super::error::Error;
use super::message::StreamPosition;
use bytes::Bytes;
use lodewatch_core::domain::{Seq, Timestamp};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Above this many bytes, 32 MiB, the oldest groups are dropped. A reader that lags further reads
/// the stream.
const BYTES_MAX: usize = 32 << 20;

/// A group that was read, with the positions of its entries.
#[derive(Debug)]
pub(super) struct PositionedGroup {
    pub(super) appender: u64,
    pub(super) number: u64,
    pub(super) digest: Option<StateDigest>,
    /// The position before the group.
    pub(super) before: StreamPosition,
    /// The position after the group.
    pub(super) after: StreamPosition,
    /// The timestamp of each entry, never before that of the entry before it, and its bytes.
    pub(super) entries: Vec<(Timestamp, Bytes)>,
}

impl PositionedGroup {
    pub(super) fn bytes(&self) -> usize {
        self.entries.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

/// The end of the stream. One task writes it, many read it.
pub(super) struct RecentGroups {
    groups: Mutex<Groups>,
    head_tx: watch::Sender<Seq>,
    position_tx: watch::Sender<StreamPosition>,
    /// The error after which no group follows.
    end_tx: watch::Sender<Option<Error>>,
}

#[derive(Default)]
struct Groups {
    groups: VecDeque<Arc<PositionedGroup>>,
    bytes: usize,
}

impl RecentGroups {
    pub(super) fn new(position: StreamPosition) -> Self {
        Self {
            groups: Mutex::default(),
            head_tx: watch::Sender::new(position.entry),
            position_tx: watch::Sender::new(position),
            end_tx: watch::Sender::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the next group.
    pub(super) fn push(&self, group: PositionedGroup) {
        let after = group.after;
        {
            let mut kept = self.lock();
            kept.bytes = kept.bytes.saturating_add(group.bytes());
            kept.groups.push_back(Arc::new(group));
            while kept.bytes > BYTES_MAX && kept.groups.len() > 1 {
                let oldest = kept.groups.pop_front().expect("there are more than one");
                kept.bytes = kept.bytes.saturating_sub(oldest.bytes());
            }
        }
        self.head_tx.send_replace(after.entry);
        self.position_tx.send_replace(after);
    }

    /// Ends the stream with an error; only the first call has an effect.
    pub(super) fn end(&self, error: Error) {
        self.end_tx.send_if_modified(|end| {
            let is_first = end.is_none();
            if is_first {
                *end = Some(error);
            }
            is_first
        });
    }

    /// The error after which no group follows.
    pub(super) fn ended(&self) -> watch::Receiver<Option<Error>> {
        self.end_tx.subscribe()
    }

    /// The last entry that was read.
    pub(super) fn head(&self) -> watch::Receiver<Seq> {
        self.head_tx.subscribe()
    }

    /// The position up to which the stream was read; changes after the head.
    pub(super) fn position(&self) -> watch::Receiver<StreamPosition> {
        self.position_tx.subscribe()
    }

    /// The group that contains the entry after this one; `None` where it is not in memory, or not
    /// read yet.
    pub(super) fn after(&self, entry: Seq) -> Option<Arc<PositionedGroup>> {
        let kept = self.lock();
        let at = kept.groups.partition_point(|group| group.after.entry <= entry);
        kept.groups.get(at).filter(|group| group.before.entry <= entry).cloned()
    }

    /// The group of a message, while it is in memory.
    pub(super) fn of_message(&self, message: u64) -> Option<Arc<PositionedGroup>> {
        let kept = self.lock();
        let at = kept.groups.partition_point(|group| group.after.message < message);
        kept.groups.get(at).filter(|group| group.after.message == message).cloned()
    }
}
