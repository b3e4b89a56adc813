//! The only writer of the archive: the pipeline, which applies entries.

use super::error::Error;
use super::file::{self, ArchiveMeta, OpenedArchive};
use super::pool::ConnectionPool;
use super::reader::ArchiveReader;
use super::record::AlertRecord;
use super::row::{insert, signed};
use crate::sqlite::{Checkpointer, CheckpointerStopped};
use lodewatch_core::domain::{Epoch, Seq, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The limit of the alerts that one [`Archive::prune`] newly finds too old, so that it ends soon;
/// the next call continues.
const PRUNE_ALERTS_MAX: i64 = 65_536;

/// The least that a commit writes: pages of the log for the rows, their indexes and the row `meta`.
const COMMIT_BYTES: usize = 6 * 4096;

/// About how many bytes a row and its index entries use beside the alert's bytes.
const ROW_BYTES: usize = 256;

/// The archive, for its only writer.
pub struct Archive {
    pub(super) connection: Connection,
    meta: ArchiveMeta,
    reader: ArchiveReader,
    checkpointer: Checkpointer,
    /// Bytes of the alerts that are staged.
    staged_bytes: usize,
}

impl Archive {
    /// Opens the archive of a directory that exists.
    ///
    /// Creates an empty one where the file is missing; also, with a warning, where it is damaged or
    /// of another version.
    ///
    /// # Errors
    ///
    /// [`Error::OtherJournal`] and [`Error::JournalTooShort`] where it is intact but does not fit
    /// the journal; [`Error::Full`] and [`Error::Io`] where not even an empty one can be created.
    pub fn open(dir: &Path, epoch: Epoch, head: Seq) -> Result<Self, Error> {
        let path: Arc<Path> = dir.join("archive.db").into();
        let OpenedArchive { connection, meta } = file::open(&path, epoch, head)?;
        let checkpointer = file::open_checkpointer(&path)
            .map_err(|error| Error::sqlite("open", &path, error))
            .and_then(|connection| start(connection, &path))?;
        let pool = Arc::new(ConnectionPool::new(path));
        let reader = ArchiveReader { pool, oldest: Arc::new(AtomicU64::new(meta.oldest.0)) };
        Ok(Self { connection, meta, reader, checkpointer, staged_bytes: 0 })
    }

    /// Deletes the archive of a directory after its journal was replaced.
    pub fn remove(dir: &Path) -> Result<(), Error> {
        file::remove(&dir.join("archive.db").into())
    }

    /// The last entry whose alerts are in the archive.
    pub fn applied(&self) -> Seq {
        self.meta.applied
    }

    /// The error to end with after a read found the file damaged.
    pub fn damage_error(&self) -> Error {
        let source = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        let source = Arc::new(rusqlite::Error::SqliteFailure(source, None));
        Error::Damaged { file: Arc::clone(&self.reader.pool.path), source }
    }

    /// Deletes a damaged file: the next start rebuilds it from the journal.
    pub fn discard(self) -> Result<(), Error> {
        file::remove(&self.reader.pool.path)
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.reader.pool.path
    }

    pub fn reader(&self) -> ArchiveReader {
        self.reader.clone()
    }

    /// Writes alerts ahead of the [`Self::commit`] that makes them visible, so that they need not
    /// wait in memory.
    ///
    /// # Errors
    ///
    /// Nothing is staged any more then.
    pub fn stage<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a AlertRecord>,
    ) -> Result<(), Error> {
        self.in_commit(|archive| archive.insert(records, Seq(u64::MAX)))
    }

    /// Drops the alerts that are staged.
    pub fn unstage(&mut self) {
        self.staged_bytes = 0;
        if !self.connection.is_autocommit() {
            // Where it fails, SQLite has rolled back already.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Stores the alerts of all entries up to `applied` that it does not have yet, with those that
    /// are staged; all or none.
    ///
    /// Alerts that it has already are ignored, as a replay from a snapshot repeats them; deleted
    /// alerts do not come back.
    ///
    /// # Errors
    ///
    /// Nothing is staged any more then.
    pub fn commit<'a>(
        &mut self,
        applied: Seq,
        records: impl IntoIterator<Item = &'a AlertRecord>,
    ) -> Result<(), Error> {
        let applied = applied.max(self.meta.applied);
        let meta = ArchiveMeta { applied, ..self.meta };
        self.in_commit(|archive| {
            archive.insert(records, applied)?;
            meta.write(&archive.connection)?;
            archive.connection.execute_batch("COMMIT")
        })?;
        self.meta = meta;
        let bytes = std::mem::take(&mut self.staged_bytes);
        self.count_written(bytes)
    }

    /// Runs a part of the transaction of a commit, which the first part begins.
    fn in_commit(
        &mut self,
        run: impl FnOnce(&mut Self) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let begun = if self.connection.is_autocommit() {
            self.connection.execute_batch("BEGIN IMMEDIATE")
        } else {
            Ok(())
        };
        begun.and_then(|()| run(self)).map_err(|error| {
            self.unstage();
            Error::sqlite("write", &self.reader.pool.path, error)
        })
    }

    /// Inserts alerts of entries up to `applied`.
    fn insert<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a AlertRecord>,
        applied: Seq,
    ) -> rusqlite::Result<()> {
        let oldest = self.reader.oldest();
        for record in records {
            self.staged_bytes =
                self.staged_bytes.saturating_add(record.bytes.len()).saturating_add(ROW_BYTES);
            if record.entry <= oldest {
                continue;
            }
            assert!(record.entry <= applied, "alerts are those of applied entries");
            let is_new = insert(&self.connection, record)?;
            debug_assert!(
                is_new || is_same(&self.connection, record)?,
                "a replay gives alert {} the same bytes",
                record.sequence
            );
        }
        Ok(())
    }

    /// Deletes the alerts of entries before an instant, except the sequences in `keep`, the latest
    /// alerts of open episodes. Moves [`ArchiveReader::oldest`]. Deletes at most 65,536 at a time;
    /// call it again.
    pub fn prune(&mut self, before: Timestamp, keep: &BTreeSet<u64>) -> Result<(), Error> {
        self.delete_up_to(keep, |connection, oldest| last_before(connection, before, oldest))
    }

    /// Deletes the oldest alerts in the same way while the file uses more bytes than `bytes`. The
    /// file itself does not shrink: new alerts reuse the space.
    pub fn prune_to(&mut self, bytes: u64, keep: &BTreeSet<u64>) -> Result<(), Error> {
        self.delete_up_to(keep, |connection, oldest| last_of_surplus(connection, bytes, oldest))
    }

    /// Deletes alerts up to the entry that `last` returns.
    fn delete_up_to(
        &mut self,
        keep: &BTreeSet<u64>,
        last: impl FnOnce(&Connection, Seq) -> rusqlite::Result<Seq>,
    ) -> Result<(), Error> {
        let mut meta = self.meta;
        let keep = serde_json::to_string(keep).expect("a set of numbers is valid JSON");
        self.write(|transaction| {
            meta.oldest = last(transaction, meta.oldest)?;
            transaction.execute(
                "DELETE FROM alerts WHERE entry <= ?1
                 AND sequence NOT IN (SELECT value FROM json_each(?2))",
                params![signed(meta.oldest.0), keep],
            )?;
            meta.write(transaction)
        })?;
        self.meta = meta;
        self.reader.oldest.store(meta.oldest.0, Ordering::Release);
        Ok(())
    }

    pub(super) fn write(
        &mut self,
        run: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<usize>,
    ) -> Result<(), Error> {
        let write = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            run(&transaction)?;
            transaction.commit()
        };
        write(&mut self.connection)
            .map_err(|error| Error::sqlite("write", &self.reader.pool.path, error))
    }

    /// Counts written bytes, so that checkpoints keep the log short.
    pub(super) fn count_written(&mut self, bytes: usize) -> Result<(), Error> {
        let failed = |error| Error::sqlite("write", &self.reader.pool.path, error);
        self.checkpointer.help(&self.connection).map_err(failed)?;
        self.checkpointer.count_written(bytes.saturating_add(COMMIT_BYTES)).map_err(
            |CheckpointerStopped| {
                let source = io::Error::other("an earlier checkpoint failed");
                Error::io("sync", &self.reader.pool.path, source)
            },
        )
    }
}

fn start(connection: Connection, path: &Arc<Path>) -> Result<Checkpointer, Error> {
    Checkpointer::start("archive checkpoint", connection)
        .map_err(|error| Error::io("start a thread for", path, error))
}

fn is_same(connection: &Connection, record: &AlertRecord) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT bytes = ?2 FROM alerts WHERE sequence = ?1",
        params![signed(record.sequence), &*record.bytes],
        |row| row.get(0),
    )
}

/// The last entry after `oldest` whose time is before an instant; `oldest` where there is none.
fn last_before(connection: &Connection, before: Timestamp, oldest: Seq) -> rusqlite::Result<Seq> {
    let mut select = connection.prepare_cached(
        "SELECT entry, journal_time FROM alerts WHERE entry > ?1 ORDER BY entry LIMIT ?2",
    )?;
    let mut rows = select.query(params![signed(oldest.0), PRUNE_ALERTS_MAX])?;
    let mut last = oldest;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= before.millis() {
            break;
        }
        last = Seq(row.get::<_, i64>(0)?.cast_unsigned());
    }
    Ok(last)
}

/// The last entry to delete, so that about the surplus of bytes is freed; `oldest` where there is
/// none.
fn last_of_surplus(connection: &Connection, bytes: u64, oldest: Seq) -> rusqlite::Result<Seq> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    let used = pages.saturating_mul(pragma("page_size")?);
    let surplus = used.saturating_sub(signed(bytes));
    if surplus <= 0 {
        return Ok(oldest);
    }
    let bounds = "SELECT min(sequence), max(sequence) FROM alerts WHERE entry > ?1";
    let (first, last): (Option<i64>, Option<i64>) =
        connection.query_row(bounds, [signed(oldest.0)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((first, last)) = first.zip(last) else { return Ok(oldest) };
    let alerts = i128::from(last.saturating_sub(first).saturating_add(1));
    let share = (alerts * i128::from(surplus)).div_euclid(i128::from(used));
    let share = i64::try_from(share).unwrap_or(i64::MAX).clamp(1, PRUNE_ALERTS_MAX);
    let sequence = first.saturating_add(share).saturating_sub(1);
    let entry = "SELECT entry FROM alerts WHERE sequence = ?1";
    connection
        .query_row(entry, [sequence], |row| row.get::<_, i64>(0))
        .map(|entry| Seq(entry.cast_unsigned()))
}
