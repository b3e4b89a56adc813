//! The contract of a journal.

use super::error::Error;
use lodewatch_core::domain::{Entry, Epoch, Payload, Seq, Timestamp};
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use tokio::sync::watch;

/// A future on the heap, so that the traits here can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The largest entry, in encoded bytes: 8 MiB. A batch of 1,000 reports of all countries is
/// smaller.
pub const ENTRY_BYTES_MAX: usize = 8 << 20;

/// The limit of the entries that one read of a tail yields.
pub const TAIL_ENTRIES_MAX: usize = 4096;

/// One read of a tail yields no further entry once it has this many encoded bytes: 4 MiB.
pub const TAIL_BYTES_MAX: usize = 4 << 20;

/// A durable, totally ordered record of entries.
///
/// ```text
///            tail(after = 2) yields from here                  appended, not durable yet
///                    │                                         │
///  0 ··· 1 ─── 2 ─── 3 ─── 4 ─── 5 ─── 6                       7 ··· 8
///  │                                   │
///  before the first                    head: the last durable entry, never goes back
/// ```
///
/// - **Gapless**: positions count from 1; no reader sees n + 1 without n.
/// - **Durable first**: an entry that a power failure could still remove shows neither in the
///   answer of [`Journal::append`], nor in [`Journal::head`], nor in a [`Tail`].
/// - **Ordered**: positions follow the order in which appends were accepted, and timestamps never
///   go back.
/// - **One truth**: every tail yields the same entries, at any time.
pub trait Journal: Send + Sync + 'static {
    /// The identity of this journal; the same for as long as it exists.
    fn epoch(&self) -> Epoch;

    /// Appends one entry and resolves to its position once it is durable.
    ///
    /// The entry's timestamp is `at`, or that of the entry before it where that is later. Appends
    /// are accepted in the order in which their futures are first polled, however many of them one
    /// task polls.
    ///
    /// Not cancel safe: an append whose future is dropped after its first poll may still happen.
    ///
    /// # Errors
    ///
    /// After [`Error::TooLarge`] and [`Error::Full`] the entry is not in the journal. After
    /// [`Error::Closed`], [`Error::Gone`], [`Error::Unreachable`] and [`Error::Io`] it may be: read
    /// the journal again to find out.
    fn append(&self, at: Timestamp, payload: Payload) -> BoxFuture<'_, Result<Seq, Error>>;

    /// A reader of everything after a position.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] for a position past the head; [`Error::Io`] where the store cannot be
    /// opened for reading.
    fn tail(&self, after: Seq) -> Result<Box<dyn Tail>, Error>;

    /// The position of the last durable entry, as a watch that only rises. It closes when the
    /// journal stops.
    fn head(&self) -> watch::Receiver<Seq>;

    /// Asks the store itself for the position of the last durable entry: at least that of every
    /// append that was answered before the call, here or on another replica. Resolves once
    /// [`Journal::head`] has reached it.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] where the store does not answer.
    fn fetch_head(&self) -> BoxFuture<'_, Result<Seq, Error>> {
        Box::pin(std::future::ready(Ok(*self.head().borrow())))
    }

    /// Appends an entry that every replica appends in the same situation, so that the journal has
    /// it once: an entry with the name of another of the last two minutes is not appended again.
    /// Resolves to the position of the entry, or to a later one.
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

    /// Sends a digest of this replica's state to the other replicas with the next append.
    fn share_digest(&self, _digest: StateDigest) {}

    /// Whether the store answers, as a watch. It closes where that never changes.
    fn reachable(&self) -> watch::Receiver<bool> {
        watch::channel(true).1
    }

    /// Whether it is verified that acknowledged entries survive a power failure, as a watch. It
    /// closes where that never changes.
    fn durability_verified(&self) -> watch::Receiver<bool> {
        watch::channel(true).1
    }

    /// Whether other processes append to it too.
    fn is_shared(&self) -> bool {
        false
    }
}

/// A digest of everything that a replica derived from the journal up to an entry. The same journal
/// gives the same digests on every replica; two that differ show that one of two replicas is
/// wrong. Persisted in the messages of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDigest {
    /// The last entry that the digest covers.
    pub entry: Seq,
    pub digest: u64,
}

/// A reader of a journal: every entry after its start, in order, each once.
pub trait Tail: Send {
    /// The next entries, at least one and at most [`TAIL_ENTRIES_MAX`]; waits at the head.
    ///
    /// Cancel safe: a dropped future loses no entry. May read the disk on the thread that polls it:
    /// poll it from a dedicated thread.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] at the head of a journal that has stopped. [`Error::Damaged`] for the
    /// first entry that is not what was written: everything before it is yielded, nothing after it
    /// ever is.
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, Error>>;

    /// The digests of other replicas for entries before those that were yielded last, each once.
    fn peer_digests(&mut self) -> Vec<StateDigest> {
        Vec::new()
    }
}
