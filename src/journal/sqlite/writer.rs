//! The only thread that writes: many waiting entries, one transaction, one fsync.

use super::super::error::Error;
use super::super::queue::{AppendGroup, AppendRequest, GroupLimits, QueueReceiver};
use super::file::FileIds;
use super::tables;
use crate::sqlite::Checkpointer;
use lodewatch_core::domain::{Epoch, Seq, Timestamp};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// The limits of one transaction: 4,096 entries, and no further entry from 8 MiB on. A hundred
/// yields are some tens of microseconds on an idle machine.
pub(super) const GROUP_LIMITS: GroupLimits =
    GroupLimits { entries_max: 4096, bytes_max: 8 << 20, yields_max: 100 };

/// The least that a commit writes: two pages of the log, for the last entries and for the row
/// `meta`.
const COMMIT_BYTES: usize = 2 * 4096;

/// The state of the thread "journal", the only one that moves the head.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) file: Arc<Path>,
    pub(super) queue_rx: QueueReceiver,
    pub(super) head_tx: watch::Sender<Seq>,
    pub(super) epoch: Epoch,
    /// The last entry's time.
    pub(super) at: Timestamp,
    pub(super) checkpointer: Checkpointer,
    pub(super) file_ids: FileIds,
}

impl Writer {
    /// Runs until every handle is gone and every accepted entry is durable, or until a write fails.
    ///
    /// It does not retry a failed write: once an fsync has failed, the kernel may have dropped the
    /// pages, and the next fsync would succeed without them. A full disk is different: nothing was
    /// committed. Once the files are gone it rejects every append but keeps running, so that
    /// readers can go on.
    pub(super) fn run(mut self) {
        while let Some(group) = self.queue_rx.next_blocking() {
            let bytes = group.bytes;
            let started = Instant::now();
            match self.commit(&group.requests) {
                Ok((head, at)) => {
                    self.at = at;
                    self.queue_rx.metrics.observe_commit(group.requests.len(), started.elapsed());
                    self.advance(head, group);
                }
                Err(error @ Error::Full { .. }) => group.fail(&error),
                Err(error @ Error::Gone { .. }) => {
                    tracing::error!(%error, "the journal accepts no more entries");
                    group.fail(&error);
                    return self.fail_all(&error);
                }
                Err(error) => {
                    tracing::error!(%error, "the journal stops after a failed write");
                    return group.fail(&error);
                }
            }
            if let Err(error) = self.checkpointer.help(&self.connection) {
                tracing::error!(%error, "the journal stops after a failed checkpoint");
                return;
            }
            if self.checkpointer.count_written(bytes.saturating_add(COMMIT_BYTES)).is_err() {
                return;
            }
        }
    }

    /// Makes a group durable; returns the last entry's position and time.
    fn commit(&mut self, group: &[AppendRequest]) -> Result<(Seq, Timestamp), Error> {
        let (head, at, epoch) = (*self.head_tx.borrow(), self.at, self.epoch);
        let insert = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let last = insert(&transaction, group, head, at)?;
            tables::advance(&transaction, epoch, last.0)?;
            transaction.commit()?;
            Ok(last)
        };
        let result = insert(&mut self.connection)
            .map_err(|error| Error::sqlite("append to", &self.file, head.next(), error));
        assert!(self.connection.is_autocommit(), "a transaction that failed is rolled back");
        let last = result?;
        self.file_ids.check()?;
        Ok(last)
    }

    /// Answers every append with an error until every handle is gone.
    fn fail_all(mut self, error: &Error) {
        while let Some(group) = self.queue_rx.next_blocking() {
            group.fail(error);
        }
    }

    fn advance(&self, to: Seq, group: AppendGroup) {
        let mut seq = *self.head_tx.borrow();
        self.head_tx.send_modify(|head| {
            assert!(*head < to, "the head cannot go back");
            *head = to;
        });
        for request in group.requests {
            seq = seq.next();
            // A caller that no longer waits needs no answer.
            let _ = request.answer_tx.send(Ok(seq));
        }
        assert!(seq == to, "every entry of a group has its answer");
    }
}

fn insert(
    connection: &Connection,
    group: &[AppendRequest],
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
