//! Appends that wait for the writer, bounded in number and in bytes, and gathered into groups.

use super::codec;
use super::contract::ENTRY_BYTES_MAX;
use super::error::Error;
use crate::metrics;
use lodewatch_core::domain::{Payload, Seq, Timestamp};
use std::sync::Arc;
use std::thread;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// The limit of the entries that wait; further appends wait to be accepted.
const WAITING_ENTRIES_MAX: usize = 8192;

/// The limit of the encoded bytes that wait: 64 MiB; further appends wait to be accepted.
const WAITING_BYTES_MAX: usize = 64 << 20;

const _: () = assert!(ENTRY_BYTES_MAX <= WAITING_BYTES_MAX, "the largest entry can be accepted");

/// An entry that waits to be appended.
pub(super) struct AppendRequest {
    pub(super) at: Timestamp,
    pub(super) payload: Vec<u8>,
    pub(super) answer_tx: oneshot::Sender<Result<Seq, Error>>,
    /// The entry's part of [`WAITING_BYTES_MAX`].
    _permit: OwnedSemaphorePermit,
}

/// The senders' end of the queue.
pub(super) struct AppendQueue {
    request_tx: mpsc::Sender<AppendRequest>,
    bytes: Arc<Semaphore>,
    metrics: metrics::JournalMetrics,
}

impl AppendQueue {
    /// An empty queue, and its end for the writer.
    pub(super) fn new(
        limits: GroupLimits,
        metrics: metrics::JournalMetrics,
    ) -> (Self, QueueReceiver) {
        let (request_tx, request_rx) = mpsc::channel(WAITING_ENTRIES_MAX);
        let bytes = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
        let receiver =
            QueueReceiver { request_rx, limits, metrics: metrics.clone(), last_group_len: 0 };
        (Self { request_tx, bytes, metrics }, receiver)
    }

    /// Waits until an entry is accepted, then until the writer answers.
    pub(super) async fn append(&self, at: Timestamp, payload: &Payload) -> Result<Seq, Error> {
        let started = Instant::now();
        let payload = codec::encode(payload)?;
        let bytes = u32::try_from(payload.len()).expect("an entry is at most 8 MiB");
        let permit = Arc::clone(&self.bytes).acquire_many_owned(bytes).await;
        let (answer_tx, answer_rx) = oneshot::channel();
        let permit = permit.expect("the semaphore is never closed");
        let request = AppendRequest { at, payload, answer_tx, _permit: permit };
        self.request_tx.send(request).await.map_err(|_| Error::Closed)?;
        let seq = answer_rx.await.unwrap_or(Err(Error::Closed))?;
        self.metrics.observe_append(started.elapsed());
        Ok(seq)
    }
}

/// How much is gathered into one group.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "a limit is named `…_max`")]
pub(super) struct GroupLimits {
    pub(super) entries_max: usize,
    /// A group accepts no further entry once it has this many encoded bytes.
    pub(super) bytes_max: usize,
    /// How often in a row the writer yields to other threads or tasks without a new entry.
    pub(super) yields_max: u32,
}

/// The writer's end of the queue.
pub(super) struct QueueReceiver {
    request_rx: mpsc::Receiver<AppendRequest>,
    limits: GroupLimits,
    /// For the writer, which knows when a group is durable.
    pub(super) metrics: metrics::JournalMetrics,
    last_group_len: usize,
}

/// Appends that are written together; at least one.
pub(super) struct AppendGroup {
    pub(super) requests: Vec<AppendRequest>,
    /// Their encoded bytes.
    pub(super) bytes: usize,
    /// Yields in a row without a new entry.
    yields: u32,
}

impl QueueReceiver {
    /// Waits for an entry and gathers all others that wait with it; `None` when every handle is
    /// gone. Blocks the thread.
    ///
    /// Callers whose appends were answered together come back one by one. Without a little patience
    /// the first of them would get an fsync of its own, and the others would wait for it. So while
    /// fewer entries wait than the last group had, the writer yields a few times. A single caller
    /// never waits.
    pub(super) fn next_blocking(&mut self) -> Option<AppendGroup> {
        let mut group = AppendGroup::of(self.request_rx.blocking_recv()?);
        while self.gather(&mut group) {
            thread::yield_now();
        }
        Some(group)
    }

    /// The same, for a task.
    pub(super) async fn next(&mut self) -> Option<AppendGroup> {
        let mut group = AppendGroup::of(self.request_rx.recv().await?);
        while self.gather(&mut group) {
            tokio::task::yield_now().await;
        }
        Some(group)
    }

    /// Adds all entries that wait; returns whether to yield and gather again.
    fn gather(&mut self, group: &mut AppendGroup) -> bool {
        let GroupLimits { entries_max, bytes_max, yields_max } = self.limits;
        while group.requests.len() < entries_max && group.bytes < bytes_max {
            if let Ok(request) = self.request_rx.try_recv() {
                group.push(request);
            } else if group.requests.len() < self.last_group_len && group.yields < yields_max {
                group.yields = group.yields.saturating_add(1);
                return true;
            } else {
                break;
            }
        }
        self.last_group_len = group.requests.len();
        false
    }
}

impl AppendGroup {
    fn of(first: AppendRequest) -> Self {
        let mut group = Self { requests: Vec::new(), bytes: 0, yields: 0 };
        group.push(first);
        group
    }

    fn push(&mut self, request: AppendRequest) {
        self.bytes = self.bytes.saturating_add(request.payload.len());
        self.requests.push(request);
        self.yields = 0;
    }

    /// Answers every append of the group with an error.
    pub(super) fn fail(self, error: &Error) {
        for request in self.requests {
            // A caller that no longer waits needs no answer.
            let _ = request.answer_tx.send(Err(error.clone()));
        }
    }
}
