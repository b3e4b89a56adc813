//! The one that writes the archive: the loop that applies entries.

use super::error::{Error, is_damage};
use super::file::{self, Opened};
use super::pool::Pool;
use super::reader::Reader;
use super::record::Record;
use super::row::{insert, signed};
use crate::domain::{Epoch, Seq, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many snapshots are kept, so that a damaged one has another behind it.
const SNAPSHOTS_KEPT: i64 = 2;

/// The most alerts that one [`Archive::prune`] newly finds too old, so that it ends soon; the next goes on.
const PRUNE_ALERTS_MAX: i64 = 65_536;

/// The archive, for its only writer.
pub struct Archive {
    connection: Connection,
    applied: Seq,
    reader: Reader,
}

impl Archive {
    /// Opens the archive of a directory that exists.
    ///
    /// Starts an empty one, with a warning, where the file is missing, damaged, of another version, of another
    /// journal, or ahead of the journal's head (the journal was put back from a backup).
    ///
    /// # Errors
    ///
    /// [`Error::Full`] and [`Error::Io`], where not even an empty one can be had.
    pub fn open(dir: &Path, epoch: Epoch, head: Seq) -> Result<Self, Error> {
        let path: Arc<Path> = dir.join("archive.db").into();
        let Opened { connection, applied, oldest } = file::open(&path, epoch, head)?;
        let pool = Arc::new(Pool::new(path));
        let reader = Reader { pool, oldest: Arc::new(AtomicU64::new(oldest.0)) };
        Ok(Self { connection, applied, reader })
    }

    /// The last entry whose alerts are in.
    pub fn applied(&self) -> Seq {
        self.applied
    }

    /// A handle for those who read.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Takes the alerts of all entries up to `applied` that it does not have yet; all or none.
    ///
    /// Repeating what it has is harmless, as a replay from a snapshot does; what was pruned does not come back.
    pub fn commit(&mut self, applied: Seq, records: &[Record]) -> Result<(), Error> {
        let oldest = self.reader.oldest();
        let applied = applied.max(self.applied);
        self.write(|transaction| {
            for record in records.iter().filter(|record| record.entry > oldest) {
                assert!(record.entry <= applied, "alerts are those of applied entries");
                let is_new = insert(transaction, record)?;
                debug_assert!(
                    is_new || is_same(transaction, record)?,
                    "a replay gives alert {} the same bytes",
                    record.sequence
                );
            }
            transaction.prepare_cached("UPDATE meta SET applied = ?1")?.execute([signed(applied.0)])
        })?;
        self.applied = applied;
        Ok(())
    }

    /// Keeps the state as it is after entry `seq`, which is not past [`Archive::applied`]; forgets all but the last two.
    pub fn save_snapshot(&mut self, seq: Seq, bytes: &[u8]) -> Result<(), Error> {
        assert!(seq <= self.applied, "a snapshot is of what is in the archive");
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?1, ?2, ?3)",
                params![signed(seq.0), checksum(seq, bytes), bytes],
            )?;
            transaction.execute(
                "DELETE FROM snapshots WHERE seq NOT IN
                 (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?1)",
                [SNAPSHOTS_KEPT],
            )
        })
    }

    /// The newest snapshot that is whole and not past [`Archive::applied`]; damaged ones are passed over with a warning.
    pub fn latest_snapshot(&self) -> Result<Option<(Seq, Vec<u8>)>, Error> {
        let failed = |error| Error::sqlite("reading", &self.reader.pool.path, error);
        for seq in self.snapshots().map_err(failed)? {
            match self.snapshot(seq) {
                Ok((sum, bytes)) if sum == checksum(seq, &bytes) => return Ok(Some((seq, bytes))),
                Ok(_) => tracing::warn!(%seq, "a damaged snapshot is passed over"),
                Err(error) if is_damage(&error) => {
                    tracing::warn!(%seq, %error, "a damaged snapshot is passed over");
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(None)
    }

    /// Forgets the alerts of entries that the journal took before an instant, but for the sequences in `keep`, the
    /// latest alerts of open episodes. Moves [`Reader::oldest`]. At most 65,536 at a time; call it again.
    pub fn prune(&mut self, before: Timestamp, keep: &BTreeSet<u64>) -> Result<(), Error> {
        let oldest = self.reader.oldest();
        let keep = serde_json::to_string(keep).expect("a set of numbers is valid JSON");
        let mut pruned = oldest;
        self.write(|transaction| {
            pruned = last_before(transaction, before, oldest)?;
            transaction.execute(
                "DELETE FROM alerts WHERE entry <= ?1
                 AND sequence NOT IN (SELECT value FROM json_each(?2))",
                params![signed(pruned.0), keep],
            )?;
            transaction.execute("UPDATE meta SET oldest = ?1", [signed(pruned.0)])
        })?;
        self.reader.oldest.store(pruned.0, Ordering::Release);
        Ok(())
    }

    fn write(
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
            .map_err(|error| Error::sqlite("writing", &self.reader.pool.path, error))
    }

    /// Newest first.
    fn snapshots(&self) -> rusqlite::Result<Vec<Seq>> {
        let mut select = self
            .connection
            .prepare("SELECT seq FROM snapshots WHERE seq <= ?1 ORDER BY seq DESC")?;
        let seqs = select.query_map([signed(self.applied.0)], |row| row.get::<_, i64>(0))?;
        seqs.map(|seq| seq.map(|seq| Seq(seq.cast_unsigned()))).collect()
    }

    fn snapshot(&self, seq: Seq) -> rusqlite::Result<(i64, Vec<u8>)> {
        let select = "SELECT checksum, bytes FROM snapshots WHERE seq = ?1";
        self.connection.query_row(select, [signed(seq.0)], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

/// What a snapshot is checked by: xxh3 of its bytes, with its position as seed.
fn checksum(seq: Seq, bytes: &[u8]) -> i64 {
    xxh3_64_with_seed(bytes, seq.0).cast_signed()
}

fn is_same(connection: &Connection, record: &Record) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT bytes = ?2 FROM alerts WHERE sequence = ?1",
        params![signed(record.sequence), &*record.bytes],
        |row| row.get(0),
    )
}

/// The last entry after `oldest` whose alerts the journal took before an instant; `oldest` where there is none.
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
