//! Appends that wait for the one who writes them, bounded in number and in bytes, and are gathered into groups.

use super::{ENTRY_BYTES_MAX, Error, codec};
use crate::domain::{Payload, Seq, Timestamp};
use crate::metrics;
use std::sync::Arc;
use std::thread;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// The most entries that wait; further appends wait to be accepted.
const WAITING_ENTRIES_MAX: usize = 8192;

/// The most encoded bytes that wait: 64 MiB; further appends wait to be accepted.
const WAITING_BYTES_MAX: usize = 64 << 20;

const _: () = assert!(ENTRY_BYTES_MAX <= WAITING_BYTES_MAX, "the largest entry can be accepted");

/// An entry that waits to be appended.
pub(super) struct Request {
    pub(super) at: Timestamp,
    pub(super) payload: Vec<u8>,
    pub(super) answer: oneshot::Sender<Result<Seq, Error>>,
    /// Its part of the memory that waiting entries may take.
    _permit: OwnedSemaphorePermit,
}

/// Where appends wait.
pub(super) struct Queue {
    requests: mpsc::Sender<Request>,
    bytes: Arc<Semaphore>,
    metrics: metrics::JournalMetrics,
}

impl Queue {
    /// An empty one, and its end for the one who writes, in groups of so much at most. Both count what they do.
    pub(super) fn new(most: Most, metrics: metrics::JournalMetrics) -> (Self, Waiting) {
        let (sender, requests) = mpsc::channel(WAITING_ENTRIES_MAX);
        let bytes = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
        let waiting = Waiting { requests, most, metrics: metrics.clone(), answered: 0 };
        (Self { requests: sender, bytes, metrics }, waiting)
    }

    /// Waits until an entry is accepted, then until it is answered.
    pub(super) async fn append(&self, at: Timestamp, payload: &Payload) -> Result<Seq, Error> {
        let begun = Instant::now();
        let payload = codec::encode(payload)?;
        let bytes = u32::try_from(payload.len()).expect("an entry is at most 8 MiB");
        let permit = Arc::clone(&self.bytes).acquire_many_owned(bytes).await;
        let (answer, answered) = oneshot::channel();
        let permit = permit.expect("the semaphore is never closed");
        let request = Request { at, payload, answer, _permit: permit };
        self.requests.send(request).await.map_err(|_| Error::Closed)?;
        let seq = answered.await.unwrap_or(Err(Error::Closed))?;
        self.metrics.observe_append(begun.elapsed());
        Ok(seq)
    }
}

/// How much is gathered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// The most entries of a group.
    pub(super) entries: usize,
    /// A group takes no further entry from this size on, in encoded bytes.
    pub(super) bytes: usize,
    /// How many turns others get in a row without anyone coming back.
    pub(super) turns: u32,
}

/// The end of the queue, for the one who writes.
pub(super) struct Waiting {
    requests: mpsc::Receiver<Request>,
    most: Most,
    /// For the one who writes, who knows when a group is durable.
    pub(super) metrics: metrics::JournalMetrics,
    /// The size of the last group.
    answered: usize,
}

/// Appends that are written together; at least one.
pub(super) struct Group {
    pub(super) requests: Vec<Request>,
    /// Their encoded bytes.
    pub(super) bytes: usize,
    /// Turns in a row in which nobody came.
    turns: u32,
}

impl Waiting {
    /// Waits for an entry and takes all others that wait with it; `None` when every handle is gone. Blocks the thread.
    ///
    /// Those who were just answered together come back one by one. Without a little patience the first of them would
    /// get an fsync of its own, and the others would wait for it. So while fewer are here than were answered before,
    /// they get some turns. One who appends alone never waits.
    pub(super) fn next_blocking(&mut self) -> Option<Group> {
        let mut group = Group::of(self.requests.blocking_recv()?);
        while self.gather(&mut group) {
            thread::yield_now();
        }
        Some(group)
    }

    /// The same, for a task.
    pub(super) async fn next(&mut self) -> Option<Group> {
        let mut group = Group::of(self.requests.recv().await?);
        while self.gather(&mut group) {
            tokio::task::yield_now().await;
        }
        Some(group)
    }

    /// Takes all that wait; whether others should get another turn.
    fn gather(&mut self, group: &mut Group) -> bool {
        let Most { entries, bytes, turns } = self.most;
        while group.requests.len() < entries && group.bytes < bytes {
            if let Ok(request) = self.requests.try_recv() {
                group.take(request);
            } else if group.requests.len() < self.answered && group.turns < turns {
                group.turns = group.turns.saturating_add(1);
                return true;
            } else {
                break;
            }
        }
        self.answered = group.requests.len();
        false
    }
}

impl Group {
    fn of(first: Request) -> Self {
        let mut group = Self { requests: Vec::new(), bytes: 0, turns: 0 };
        group.take(first);
        group
    }

    fn take(&mut self, request: Request) {
        self.bytes = self.bytes.saturating_add(request.payload.len());
        self.requests.push(request);
        self.turns = 0;
    }
}

/// Answers everyone with an error.
pub(super) fn refuse(error: &Error, group: Group) {
    for request in group.requests {
        // Whoever no longer waits for the answer does not need it.
        let _ = request.answer.send(Err(error.clone()));
    }
}
