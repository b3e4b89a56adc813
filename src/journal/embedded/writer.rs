//! The only one that writes: many waiting entries, one transaction, one fsync.

use super::super::Error;
use super::super::queue::{Group, Most, Request, Waiting, refuse};
use super::failure;
use super::place::Place;
use super::tables;
use crate::domain::{Epoch, Seq, Timestamp};
use crate::sqlite::Checkpointer;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// The groups of one transaction each: at most 4,096 entries, and no further one from 8 MiB on. A hundred turns are some tens of
/// microseconds on an idle machine.
pub(super) const GROUPS: Most = Most { entries: 4096, bytes: 8 << 20, turns: 100 };

/// What a commit writes at least: two pages of the log, the last of the entries and that of the row `meta`.
const COMMIT_BYTES: usize = 2 * 4096;

/// What the thread "journal" owns. The only one that ever moves the head.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) file: Arc<Path>,
    pub(super) waiting: Waiting,
    pub(super) head: watch::Sender<Seq>,
    pub(super) epoch: Epoch,
    /// The last entry's time.
    pub(super) at: Timestamp,
    pub(super) checkpointer: Checkpointer,
    pub(super) place: Place,
}

impl Writer {
    /// Runs until every handle is gone and everything accepted is durable, or until a write fails.
    ///
    /// After a failed write it does not try again: once an fsync has failed, the kernel may have dropped the pages,
    /// and the next fsync would succeed without them. A full disk is no such failure: nothing was committed. Once the
    /// files are gone it takes nothing more, but lives on, so that what is there can still be read.
    pub(super) fn run(mut self) {
        while let Some(group) = self.waiting.next_blocking() {
            let bytes = group.bytes;
            let begun = Instant::now();
            match self.commit(&group.requests) {
                Ok((head, at)) => {
                    self.at = at;
                    self.waiting.metrics.observe_commit(group.requests.len(), begun.elapsed());
                    self.advance(head, group);
                }
                Err(error @ Error::Full { .. }) => refuse(&error, group),
                Err(error @ Error::Gone { .. }) => {
                    tracing::error!(%error, "the journal takes nothing more");
                    refuse(&error, group);
                    return self.refuse_all(&error);
                }
                Err(error) => {
                    tracing::error!(%error, "the journal stops after a failed write");
                    return refuse(&error, group);
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
        while let Some(group) = self.waiting.next_blocking() {
            refuse(error, group);
        }
    }

    fn advance(&self, to: Seq, group: Group) {
        let mut seq = *self.head.borrow();
        self.head.send_modify(|head| {
            assert!(*head < to, "the head cannot go back");
            *head = to;
        });
        for request in group.requests {
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
