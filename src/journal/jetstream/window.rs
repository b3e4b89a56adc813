//! The latest groups of the stream in memory: what everyone at the head reads.

use super::super::{Error, Testimony};
use super::message::Mark;
use crate::domain::{Seq, Timestamp};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Groups are forgotten, the oldest first, when together they have more bytes than this: 32 MiB. Who is further behind reads
/// the stream.
const BYTES_MAX: usize = 32 << 20;

/// A group that was read, with the place of its entries.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) appender: u64,
    pub(super) number: u64,
    pub(super) testimony: Option<Testimony>,
    /// The place before it.
    pub(super) before: Mark,
    /// The place after it.
    pub(super) after: Mark,
    /// When each entry was appended, never before the one before it, and its bytes.
    pub(super) entries: Vec<(Timestamp, Bytes)>,
}

impl Placed {
    pub(super) fn bytes(&self) -> usize {
        self.entries.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

/// What is known of the end of the stream. Filled by one, read by many.
pub(super) struct Window {
    groups: Mutex<Groups>,
    head: watch::Sender<Seq>,
    mark: watch::Sender<Mark>,
    /// Why nothing follows any more.
    end: watch::Sender<Option<Error>>,
}

#[derive(Default)]
struct Groups {
    groups: VecDeque<Arc<Placed>>,
    bytes: usize,
}

impl Window {
    /// An empty one, at a place of the stream.
    pub(super) fn new(mark: Mark) -> Self {
        Self {
            groups: Mutex::default(),
            head: watch::Sender::new(mark.entry),
            mark: watch::Sender::new(mark),
            end: watch::Sender::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next group.
    pub(super) fn push(&self, group: Placed) {
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
        self.head.send_replace(after.entry);
        self.mark.send_replace(after);
    }

    /// Nothing follows any more.
    pub(super) fn end(&self, why: Error) {
        self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            if is_first {
                *end = Some(why);
            }
            is_first
        });
    }

    /// Why nothing follows any more.
    pub(super) fn ended(&self) -> watch::Receiver<Option<Error>> {
        self.end.subscribe()
    }

    /// The last entry that was read.
    pub(super) fn head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    /// The place up to which the stream was read; told after the head.
    pub(super) fn mark(&self) -> watch::Receiver<Mark> {
        self.mark.subscribe()
    }

    /// The group that has the entry after this one; `None` where it is not in memory, or not there yet.
    pub(super) fn after(&self, entry: Seq) -> Option<Arc<Placed>> {
        let kept = self.lock();
        let at = kept.groups.partition_point(|group| group.after.entry <= entry);
        kept.groups.get(at).filter(|group| group.before.entry <= entry).cloned()
    }

    /// The group that a message holds, while it is in memory.
    pub(super) fn of_message(&self, message: u64) -> Option<Arc<Placed>> {
        let kept = self.lock();
        let at = kept.groups.partition_point(|group| group.after.message < message);
        kept.groups.get(at).filter(|group| group.after.message == message).cloned()
    }
}
