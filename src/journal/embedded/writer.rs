//! The only one that writes: many waiting entries, one transaction, one fsync.

use super::super::Error;
use super::super::queue::{Request, refuse};
use super::failure;
use super::place::Place;
use super::tables;
use crate::domain::{Epoch, Seq, Timestamp};
use crate::sqlite::Checkpointer;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use tokio::sync::{mpsc, watch};

/// The most entries of one transaction.
const GROUP_ENTRIES_MAX: usize = 4096;

/// A transaction takes no further entry from this size on, in encoded bytes: 8 MiB.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// What a commit writes at least: two pages of the log, the last of the entries and that of the row `meta`.
const COMMIT_BYTES: usize = 2 * 4096;

/// How many turns others get in a row without anyone coming back; some tens of microseconds on an idle machine.
const TURNS_MAX: u32 = 100;

/// What the thread "journal" owns. The only one that ever moves the head.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) file: Arc<Path>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) head: watch::Sender<Seq>,
    pub(super) epoch: Epoch,
    /// The last entry's time.
    pub(super) at: Timestamp,
    pub(super) checkpointer: Checkpointer,
    pub(super) place: Place,
    /// The size of the last group.
    pub(super) answered: usize,
}

impl Writer {
    /// Runs until every handle is gone and everything accepted is durable, or until a write fails.
    ///
    /// After a failed write it does not try again: once an fsync has failed, the kernel may have dropped the pages,
    /// and the next fsync would succeed without them. A full disk is no such failure: nothing was committed. Once the
    /// files are gone it takes nothing more, but lives on, so that what is there can still be read.
    pub(super) fn run(mut self) {
        let mut group = Vec::new();
        while let Some(bytes) = self.collect(&mut group) {
            match self.commit(&group) {
                Ok((head, at)) => {
                    self.at = at;
                    self.advance(head, &mut group);
                }
                Err(error @ Error::Full { .. }) => refuse(&error, &mut group),
                Err(error @ Error::Gone { .. }) => {
                    tracing::error!(%error, "the journal takes nothing more");
                    refuse(&error, &mut group);
                    return self.refuse_all(&error);
                }
                Err(error) => {
                    tracing::error!(%error, "the journal stops after a failed write");
                    return refuse(&error, &mut group);
                }
            }
            if let Err(error) = self.checkpointer.help(&self.connection) {
                tracing::error!(%error, "the journal stops after a failed checkpoint");
                return;
            }
            if self.checkpointer.committed(bytes.saturating_add(COMMIT_BYTES)).is_err() {
                return;
            }
        }
    }

    /// Waits for an entry and takes all others that wait with it; their size, or `None` at the end.
    ///
    /// Those who were just answered together come back one by one. Without a little patience the first of them would
    /// get an fsync of its own, and the others would wait for it. So while fewer are here than were answered before,
    /// their threads get some turns. One who appends alone never waits.
    fn collect(&mut self, group: &mut Vec<Request>) -> Option<usize> {
        let first = self.requests.blocking_recv()?;
        let mut bytes = first.payload.len();
        group.push(first);
        let mut turns = 0_u32;
        while group.len() < GROUP_ENTRIES_MAX && bytes < GROUP_BYTES_MAX {
            if let Ok(request) = self.requests.try_recv() {
                bytes = bytes.saturating_add(request.payload.len());
                group.push(request);
                turns = 0;
            } else if group.len() < self.answered && turns < TURNS_MAX {
                turns = turns.saturating_add(1);
                thread::yield_now();
            } else {
                break;
            }
        }
        self.answered = group.len();
        Some(bytes)
    }

    /// Makes a group durable; the last entry's position and time.
    fn commit(&mut self, group: &[Request]) -> Result<(Seq, Timestamp), Error> {
        let (head, at, epoch) = (*self.head.borrow(), self.at, self.epoch);
        let insert = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let last = insert(&transaction, group, head, at)?;
            tables::advance(&transaction, epoch, last.0)?;
            transaction.commit()?;
            Ok(last)
        };
        let result = insert(&mut self.connection)
            .map_err(|error| failure::sqlite("appending to", &self.file, head.next(), error));
        assert!(self.connection.is_autocommit(), "a transaction that failed is rolled back");
        let last = result?;
        self.place.check()?;
        Ok(last)
    }

    /// Answers everyone with an error until every handle is gone.
    fn refuse_all(mut self, error: &Error) {
        while let Some(request) = self.requests.blocking_recv() {
            refuse(error, &mut vec![request]);
        }
    }

    fn advance(&self, to: Seq, group: &mut Vec<Request>) {
        let mut seq = *self.head.borrow();
        self.head.send_modify(|head| {
            assert!(*head < to, "the head cannot go back");
            *head = to;
        });
        for request in group.drain(..) {
            seq = seq.next();
            // Whoever no longer waits for the answer does not need it.
            let _ = request.answer.send(Ok(seq));
        }
        assert!(seq == to, "every entry of a group has its answer");
    }
}

fn insert(
    connection: &Connection,
    group: &[Request],
    mut seq: Seq,
    mut at: Timestamp,
) -> rusqlite::Result<(Seq, Timestamp)> {
    for request in group {
        seq = seq.next();
        at = at.max(request.at);
        tables::insert(connection, seq, at, &request.payload)?;
    }
    Ok((seq, at))
}
