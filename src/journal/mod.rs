//! What is true: the durable, ordered record of inputs.
//!
//! ```text
//! append ─→ codec ─→ one thread, many entries, one fsync ─→ head ─→ tail ─→ whoever applies them
//! ```
//!
//! - [`Journal`], [`Tail`]: the contract, kept by every store and proved by one suite of tests
//! - [`codec`]: the bytes of an entry, kept for ever
//! - [`Ahead`]: a tail that a start reads on a thread of its own
//! - [`Memory`]: for tests
//! - [`Embedded`]: a file on this machine, the default
//! - [`JetStream`]: a stream of NATS that many replicas share
//! - [`Reading`], [`write_new`]: such a file for tools: read only, or made out of entries

mod ahead;
pub mod codec;
#[cfg(test)]
mod contract;
mod embedded;
mod error;
#[cfg(test)]
mod faults;
mod jetstream;
mod lock;
mod memory;
mod queue;
#[cfg(test)]
pub(crate) mod samples;

pub use ahead::Ahead;
pub use embedded::{Embedded, Reading, write_new};
pub use error::{Damage, Error, Place};
pub use jetstream::JetStream;
pub use memory::Memory;

use crate::domain::{Entry, Epoch, Payload, Seq, Timestamp};
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use tokio::sync::watch;

/// A future on the heap, so that the traits here can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The largest entry, in encoded bytes: 8 MiB. A batch of 1,000 reports of all countries is below it.
pub const ENTRY_BYTES_MAX: usize = 8 << 20;

/// The most entries that a tail yields at once.
pub const TAIL_ENTRIES_MAX: usize = 4096;

/// A tail yields no more than this at once, in encoded bytes, but for the entry that passes it.
pub const TAIL_BYTES_MAX: usize = 4 << 20;

/// A durable, totally ordered record of entries.
///
/// ```text
///            tail(after = 2) yields from here                  appended, not durable yet
///                    │                                         │
///  0 ··· 1 ─── 2 ─── 3 ─── 4 ─── 5 ─── 6                       7 ··· 8
///  │                                   │
///  before the first                    head: the last durable one, never goes back
/// ```
///
/// - **Gapless**: positions count from 1; nobody ever sees n + 1 without n.
/// - **Durable before it is told**: neither the answer of [`Journal::append`], nor [`Journal::head`], nor a [`Tail`]
///   speaks of an entry that a power cut could still take.
/// - **Ordered**: positions are in the order in which appends were accepted, and timestamps never go back.
/// - **One truth**: a tail yields the same entries to everyone, at any time.
pub trait Journal: Send + Sync + 'static {
    /// The identity of this journal; the same for as long as it exists.
    fn epoch(&self) -> Epoch;

    /// Appends one entry and resolves to its position once it is durable.
    ///
    /// Its timestamp is `at`, or that of the entry before it where that is later. Appends are accepted in the order in
    /// which their futures are first polled, however many of them one task polls.
    ///
    /// Not cancel safe: an append whose future is dropped after it was first polled may still happen.
    ///
    /// # Errors
    ///
    /// After [`Error::TooLarge`] and [`Error::Full`] the entry is not in the journal. After [`Error::Closed`],
    /// [`Error::Gone`] and [`Error::Io`] it may be: only reading the journal again tells.
    fn append(&self, at: Timestamp, payload: Payload) -> BoxFuture<'_, Result<Seq, Error>>;

    /// A reader of everything after a position.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] for a position past the head; [`Error::Io`] where the store cannot be opened for reading.
    fn tail(&self, after: Seq) -> Result<Box<dyn Tail>, Error>;

    /// The position of the last durable entry, as a watch that only ever rises. It closes when the journal stops.
    fn head(&self) -> watch::Receiver<Seq>;

    /// The position of the last durable entry, asked of the store itself: at least that of every append that was answered
    /// before the call, here or on another replica. Resolves once [`Journal::head`] has come so far.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] where the store does not answer.
    fn latest(&self) -> BoxFuture<'_, Result<Seq, Error>> {
        Box::pin(std::future::ready(Ok(*self.head().borrow())))
    }

    /// Appends an entry that every replica appends in the same situation, so that it is in the journal once: what has the
    /// name of an entry of the last two minutes is not appended again. Resolves to the position of the entry, or one after
    /// it.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`].
    fn append_once<'a>(
        &'a self,
        _name: &'a str,
        at: Timestamp,
        payload: Payload,
    ) -> BoxFuture<'a, Result<Seq, Error>> {
        self.append(at, payload)
    }

    /// Takes down what was made of the journal here, to tell it to the other replicas with the next append.
    fn testify(&self, _testimony: Testimony) {}

    /// Whether the store can be reached, as a watch. It closes where that never changes.
    fn reach(&self) -> watch::Receiver<bool> {
        watch::channel(true).1
    }

    /// Whether it is proved that what is acknowledged survives a power cut, as a watch. It closes where that never changes.
    fn durability(&self) -> watch::Receiver<bool> {
        watch::channel(true).1
    }

    /// Whether other processes append to it too.
    fn is_shared(&self) -> bool {
        false
    }
}

/// What a replica has made of the journal up to an entry. The same journal gives everyone the same digests; two that
/// differ prove that one of two replicas is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// Everything up to and including this entry was applied.
    pub entry: Seq,
    /// The digest of all that came of it.
    pub digest: u64,
}

/// A reader of a journal: every entry after where it began, in order, each once.
pub trait Tail: Send {
    /// The next entries, at least one and at most [`TAIL_ENTRIES_MAX`]; waits at the head.
    ///
    /// Cancel safe: a dropped future has taken nothing. May read the disk on the thread that polls it: poll it from a
    /// thread of your own.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] at the head of a journal that has stopped. [`Error::Damaged`] for the first entry that is not
    /// what was written: everything before it is yielded, nothing after it ever is.
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, Error>>;

    /// What other replicas said of entries before those that were yielded last, each told once.
    fn testimonies(&mut self) -> Vec<Testimony> {
        Vec::new()
    }
}

/// An epoch that no journal had before.
fn new_epoch() -> Epoch {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    // Each half has a few fixed bits, at different places.
    Epoch(high ^ low)
}
