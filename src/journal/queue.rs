//! Appends that wait for the one who writes them: bounded in number and in bytes.

use super::{ENTRY_BYTES_MAX, Error, codec};
use crate::domain::{Payload, Seq, Timestamp};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

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
}

impl Queue {
    /// An empty one, and its end for the one who writes.
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, waiting) = mpsc::channel(WAITING_ENTRIES_MAX);
        (Self { requests, bytes: Arc::new(Semaphore::new(WAITING_BYTES_MAX)) }, waiting)
    }

    /// Waits until an entry is accepted, then until it is answered.
    pub(super) async fn append(&self, at: Timestamp, payload: &Payload) -> Result<Seq, Error> {
        let payload = codec::encode(payload)?;
        let bytes = u32::try_from(payload.len()).expect("an entry is at most 8 MiB");
        let permit = Arc::clone(&self.bytes).acquire_many_owned(bytes).await;
        let (answer, answered) = oneshot::channel();
        let permit = permit.expect("the semaphore is never closed");
        let request = Request { at, payload, answer, _permit: permit };
        self.requests.send(request).await.map_err(|_| Error::Closed)?;
        answered.await.unwrap_or(Err(Error::Closed))
    }
}

/// Answers everyone with an error.
pub(super) fn refuse(error: &Error, group: &mut Vec<Request>) {
    for request in group.drain(..) {
        // Whoever no longer waits for the answer does not need it.
        let _ = request.answer.send(Err(error.clone()));
    }
}
