//! The tables of a journal file, and how they are verified. Persisted.
//!
//! ```text
//! meta(epoch, format, head, checksum)      one row, replaced by every commit
//! entries(seq, at, payload, checksum)      one row for each entry, never changed
//! ```
//!
//! Every byte that can change an answer is verified: an entry and the row `meta` by their
//! checksums, missing or swapped pages by positions without gaps up to `head`, the write-ahead log
//! by SQLite's checksums and by `wal`, and the file's header by the few values that it may have
//! here.

use super::super::error::{Damage, Error};
use lodewatch_core::domain::{Epoch, Seq, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// The version of the tables.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE meta (
        epoch INTEGER NOT NULL,
        format INTEGER NOT NULL,
        head INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE entries (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        payload BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;";

/// Creates the tables where the file is empty.
pub(super) fn create(connection: &Connection, epoch: Epoch) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    if transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?
        == 0
    {
        transaction.execute_batch(SCHEMA)?;
        let meta = JournalMeta { epoch, format: FORMAT, head: Seq::ZERO };
        transaction.execute(
            "INSERT INTO meta VALUES (?1, ?2, 0, ?3)",
            params![epoch.0.cast_signed(), FORMAT, meta.checksum()],
        )?;
    }
    transaction.commit()
}

/// The row `meta`.
struct JournalMeta {
    epoch: Epoch,
    format: i64,
    head: Seq,
}

impl JournalMeta {
    fn checksum(&self) -> i64 {
        let numbers = [self.epoch.0, self.format.cast_unsigned(), self.head.0];
        let mut hash = Xxh3::new();
        for number in numbers {
            hash.update(&number.to_le_bytes());
        }
        hash.digest().cast_signed()
    }
}

const INSERT: &str = "INSERT INTO entries (seq, at, payload, checksum) VALUES (?1, ?2, ?3, ?4)";

pub(super) fn insert(
    connection: &Connection,
    seq: Seq,
    at: Timestamp,
    payload: &[u8],
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(INSERT)?;
    let checksum = checksum(seq, at, payload);
    insert.execute(params![seq.0.cast_signed(), at.millis(), payload, checksum]).map(|_| ())
}

/// Stores the last entry's position; part of the transaction that appends it.
pub(super) fn advance(connection: &Connection, epoch: Epoch, head: Seq) -> rusqlite::Result<()> {
    let checksum = JournalMeta { epoch, format: FORMAT, head }.checksum();
    let mut update = connection.prepare_cached("UPDATE meta SET head = ?1, checksum = ?2")?;
    update.execute(params![head.0.cast_signed(), checksum]).map(|_| ())
}

/// The journal's epoch and its last entry, from the row `meta`.
pub(super) fn read_identity(
    path: &Arc<Path>,
    connection: &Connection,
) -> Result<(Epoch, Seq), Error> {
    let JournalMeta { epoch, head, .. } = read_meta(path, connection)?;
    check_header(path, connection)?;
    Ok((epoch, head))
}

/// Gives the file another format.
#[cfg(test)]
pub(super) fn set_format(connection: &Connection, format: i64) {
    let meta = JournalMeta { epoch: Epoch(7), format, head: Seq::ZERO };
    let update = "UPDATE meta SET epoch = 7, format = ?1, head = 0, checksum = ?2";
    connection.execute(update, params![format, meta.checksum()]).expect("meta can be written");
}

fn read_meta(path: &Arc<Path>, connection: &Connection) -> Result<JournalMeta, Error> {
    let select = "SELECT epoch, format, head, checksum FROM meta";
    let read = |row: &Row<'_>| {
        let (epoch, head) = (row.get::<_, i64>(0)?, row.get::<_, i64>(2)?);
        let (epoch, head) = (Epoch(epoch.cast_unsigned()), Seq(head.cast_unsigned()));
        Ok((JournalMeta { epoch, format: row.get(1)?, head }, row.get::<_, i64>(3)?))
    };
    let rows = connection
        .prepare(select)
        .and_then(|mut select| select.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>());
    match rows.map_err(|error| Error::sqlite("read", path, Seq::ZERO, error))?.pop() {
        Some((meta, checksum)) if meta.checksum() == checksum => match meta.format {
            FORMAT => Ok(meta),
            found => Err(Error::Format { file: Arc::clone(path), found, known: FORMAT }),
        },
        Some(_) | None => Err(Error::damaged_file(path, Seq::ZERO, Damage::Checksum)),
    }
}

/// The time of the last entry; checks that the file ends with the entry that `meta` names.
pub(super) fn last_time(
    path: &Arc<Path>,
    connection: &Connection,
    head: Seq,
) -> Result<Timestamp, Error> {
    let failed = |error| Error::sqlite("read", path, head, error);
    let last = connection
        .query_row("SELECT seq, at FROM entries ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?))
        })
        .optional()
        .map_err(failed)?;
    let (last, at) = last.map_or((Seq::ZERO, Timestamp::MIN), |(seq, at)| {
        (Seq(seq.cast_unsigned()), Timestamp::from_millis(at))
    });
    if last == head { Ok(at) } else { Err(Error::damaged_file(path, head, Damage::Missing)) }
}

/// Checks what SQLite relies on without a checksum: the text of the tables, and values for writers.
/// A journal never frees a page.
fn check_header(path: &Arc<Path>, connection: &Connection) -> Result<(), Error> {
    for (name, expected) in [("freelist_count", 0), ("auto_vacuum", 0), ("page_size", 4096)] {
        let found: i64 = connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|error| Error::sqlite("read", path, Seq::ZERO, error))?;
        if found != expected {
            let what = Damage::Pages(format!("{name} is {found}, not {expected}"));
            return Err(Error::damaged_file(path, Seq::ZERO, what));
        }
    }
    let tables = |row: &Row<'_>| row.get::<_, String>(0);
    let tables = connection
        .query_row("SELECT group_concat(sql, '; ') FROM sqlite_schema", [], tables)
        .map_err(|error| Error::sqlite("read", path, Seq::ZERO, error))?;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if words(&tables) == words(SCHEMA.trim_end_matches(';')) {
        return Ok(());
    }
    let what = Damage::Pages("its tables are not the tables of a journal".to_owned());
    Err(Error::damaged_file(path, Seq::ZERO, what))
}

/// The checksum of an entry's row: xxh3 of its position, its time and its payload, numbers in
/// little-endian.
pub(super) fn checksum(seq: Seq, at: Timestamp, payload: &[u8]) -> i64 {
    let mut hash = Xxh3::new();
    hash.update(&seq.0.to_le_bytes());
    hash.update(&at.millis().to_le_bytes());
    hash.update(payload);
    hash.digest().cast_signed()
}
