//! What is on disk, and how it is opened. Persisted.
//!
//! ```text
//! DIR/lock         held by the process that has the journal open
//! DIR/journal.db   meta(epoch, format, head, checksum), one row; entries(seq, at, payload, checksum), one row an entry
//! ```
//!
//! Every byte that can change an answer is covered: an entry and the row `meta` by their checksums; pages that are gone or
//! mixed up by positions without gaps up to `head`, which every commit writes with its entries; the write-ahead log by
//! SQLite's sums and by `log`; the file's header by the few values that it may have here.

use super::super::{Damage, Error};
use super::log::{self, Log};
use crate::domain::{Epoch, Seq, Timestamp};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};
use std::error::Error as StdError;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// The version of the tables.
const FORMAT: i64 = 1;

/// `synchronous = FULL`: a commit returns once the write-ahead log is synced. Checkpoints are not the commit's business,
/// see `checkpoint`.
const WRITER_PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 0;";

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

/// SQLite's code for a file that ends before its last page.
const IOERR_SHORT_READ: i32 = rusqlite::ffi::SQLITE_IOERR_SHORT_READ;

/// SQLite's code for a shared file that cannot grow.
const IOERR_SHMSIZE: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// An open journal file.
pub(super) struct Opened {
    /// The only connection that appends.
    pub(super) connection: Connection,
    pub(super) epoch: Epoch,
    /// The last entry's position and time.
    pub(super) head: Seq,
    pub(super) at: Timestamp,
}

/// Takes the directory for this process, until the file is dropped or the process ends in whatever way.
pub(super) fn lock(dir: &Path) -> Result<File, Error> {
    let path: Arc<Path> = dir.join("lock").into();
    create_dir(dir).map_err(|error| io("creating", dir, error))?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| io("opening", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { file: path }),
        Err(TryLockError::Error(error)) => Err(io("locking", &path, error)),
    }
}

/// Creates the directory, and makes its name durable with the directory above.
fn create_dir(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    File::open(dir.canonicalize()?.parent().unwrap_or(dir))?.sync_all()
}

/// Opens the file for writing, and creates it where there is none. Takes as long for ten million entries as for one,
/// but for the write-ahead log of a crash, which it reads.
pub(super) fn open(path: &Arc<Path>) -> Result<Opened, Error> {
    if let Log::Torn { frames } = log::inspect(path)? {
        tracing::warn!(
            file = %path.display(),
            whole_frames = frames,
            "a write that was never finished or acknowledged is cut off the journal's log"
        );
    }
    let connection = connect(path).map_err(|error| sqlite("opening", path, Seq::ZERO, error))?;
    create(&connection, new_epoch()).map_err(|error| sqlite("creating", path, Seq::ZERO, error))?;
    let (epoch, head) = identity(path, &connection)?;
    let at = last_time(path, &connection, head)?;
    Ok(Opened { connection, epoch, head, at })
}

/// An epoch that no journal had before.
pub(super) fn new_epoch() -> Epoch {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    // Each half has a few fixed bits, at different places.
    Epoch(high ^ low)
}

/// Opens a file as the writer does; makes an empty one where there is none.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(WRITER_PRAGMAS)?;
    // A process that was killed between a write and its fsync leaves entries that can be read but are not durable.
    // Moving them into the file, which syncs both, makes them so before anyone reads them.
    checkpoint(&connection, "TRUNCATE")?;
    Ok(connection)
}

/// Makes the tables where the file is empty.
pub(super) fn create(connection: &Connection, epoch: Epoch) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    if transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?
        == 0
    {
        transaction.execute_batch(SCHEMA)?;
        let meta = Meta { epoch, format: FORMAT, head: Seq::ZERO };
        transaction.execute(
            "INSERT INTO meta VALUES (?1, ?2, 0, ?3)",
            params![epoch.0.cast_signed(), FORMAT, meta.checksum()],
        )?;
    }
    transaction.commit()
}

/// The row `meta`.
struct Meta {
    epoch: Epoch,
    format: i64,
    /// The last entry there is.
    head: Seq,
}

impl Meta {
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

/// Writes one entry.
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

/// Writes down the last entry; part of the transaction that appends it.
pub(super) fn advance(connection: &Connection, epoch: Epoch, head: Seq) -> rusqlite::Result<()> {
    let checksum = Meta { epoch, format: FORMAT, head }.checksum();
    let mut update = connection.prepare_cached("UPDATE meta SET head = ?1, checksum = ?2")?;
    update.execute(params![head.0.cast_signed(), checksum]).map(|_| ())
}

/// The journal's epoch and its last entry, as its row `meta` says.
pub(super) fn identity(path: &Arc<Path>, connection: &Connection) -> Result<(Epoch, Seq), Error> {
    let Meta { epoch, head, .. } = meta(path, connection)?;
    check_header(path, connection)?;
    Ok((epoch, head))
}

/// Makes the file one of another format.
#[cfg(test)]
pub(super) fn set_format(connection: &Connection, format: i64) {
    let meta = Meta { epoch: Epoch(7), format, head: Seq::ZERO };
    let update = "UPDATE meta SET epoch = 7, format = ?1, head = 0, checksum = ?2";
    connection.execute(update, params![format, meta.checksum()]).expect("meta can be written");
}

fn meta(path: &Arc<Path>, connection: &Connection) -> Result<Meta, Error> {
    let select = "SELECT epoch, format, head, checksum FROM meta";
    let read = |row: &Row<'_>| {
        let (epoch, head) = (row.get::<_, i64>(0)?, row.get::<_, i64>(2)?);
        let (epoch, head) = (Epoch(epoch.cast_unsigned()), Seq(head.cast_unsigned()));
        Ok((Meta { epoch, format: row.get(1)?, head }, row.get::<_, i64>(3)?))
    };
    let rows = connection
        .prepare(select)
        .and_then(|mut select| select.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>());
    match rows.map_err(|error| sqlite("reading", path, Seq::ZERO, error))?.pop() {
        Some((meta, checksum)) if meta.checksum() == checksum => match meta.format {
            FORMAT => Ok(meta),
            found => Err(Error::Format { file: Arc::clone(path), found, known: FORMAT }),
        },
        Some(_) | None => Err(damaged(path, Seq::ZERO, Damage::Checksum)),
    }
}

/// The time of the last entry, which proves that the file ends where it says.
fn last_time(path: &Arc<Path>, connection: &Connection, head: Seq) -> Result<Timestamp, Error> {
    let failed = |error| sqlite("reading", path, head, error);
    let last = connection
        .query_row("SELECT seq, at FROM entries ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?))
        })
        .optional()
        .map_err(failed)?;
    let (last, at) = last.map_or((Seq::ZERO, Timestamp::MIN), |(seq, at)| {
        (Seq(seq.cast_unsigned()), Timestamp::from_millis(at))
    });
    if last == head { Ok(at) } else { Err(damaged(path, head, Damage::Missing)) }
}

/// What SQLite goes by and does not check: the text of the tables, and values for writers. A journal never frees a page.
fn check_header(path: &Arc<Path>, connection: &Connection) -> Result<(), Error> {
    for (name, expected) in [("freelist_count", 0), ("auto_vacuum", 0), ("page_size", 4096)] {
        let found: i64 = connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|error| sqlite("reading", path, Seq::ZERO, error))?;
        if found != expected {
            let what = Damage::Pages(format!("{name} is {found}, not {expected}"));
            return Err(damaged(path, Seq::ZERO, what));
        }
    }
    let tables = |row: &Row<'_>| row.get::<_, String>(0);
    let tables = connection
        .query_row("SELECT group_concat(sql, '; ') FROM sqlite_schema", [], tables)
        .map_err(|error| sqlite("reading", path, Seq::ZERO, error))?;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if words(&tables) == words(SCHEMA.trim_end_matches(';')) {
        return Ok(());
    }
    let what = Damage::Pages("its tables are not those of a journal".to_owned());
    Err(damaged(path, Seq::ZERO, what))
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Arc<Path>) -> Result<Connection, Error> {
    Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|error| sqlite("opening", path, Seq::ZERO, error))
}

/// Opens the file for checkpoints, which are synced as the writer's commits are.
pub(super) fn open_checkpointer(path: &Arc<Path>) -> Result<Connection, Error> {
    let connect = || {
        let connection = Connection::open(path)?;
        connection.execute_batch(WRITER_PRAGMAS)?;
        Ok(connection)
    };
    connect().map_err(|error| sqlite("opening", path, Seq::ZERO, error))
}

/// Moves what can be moved of the write-ahead log into the file; the log's length in pages.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}

/// What an entry's row is checked by: xxh3 of its position, its time and its payload, numbers in little-endian.
pub(super) fn checksum(seq: Seq, at: Timestamp, payload: &[u8]) -> i64 {
    let mut hash = Xxh3::new();
    hash.update(&seq.0.to_le_bytes());
    hash.update(&at.millis().to_le_bytes());
    hash.update(payload);
    hash.digest().cast_signed()
}

pub(super) fn io(
    doing: &'static str,
    file: &Path,
    error: impl StdError + Send + Sync + 'static,
) -> Error {
    Error::Io { doing, file: file.into(), source: Arc::new(error) }
}

pub(super) fn damaged(file: &Arc<Path>, seq: Seq, what: Damage) -> Error {
    Error::Damaged { file: Arc::clone(file), seq, what }
}

/// The error of SQLite as ours; `seq` is the entry to name where the file is damaged.
pub(super) fn sqlite(
    doing: &'static str,
    file: &Arc<Path>,
    seq: Seq,
    error: rusqlite::Error,
) -> Error {
    if is_damage(&error) {
        return damaged(file, seq, Damage::Pages(error.to_string()));
    }
    if is_full(&error) {
        return Error::Full { file: Arc::clone(file) };
    }
    io(doing, file, error)
}

/// Whether there was no space, for the file, its log or the small file that readers share.
fn is_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || code == Some(IOERR_SHMSIZE)
}

/// Whether an error says that the file is not what was written: its pages, its tables, the type of a value, its length.
fn is_damage(error: &rusqlite::Error) -> bool {
    let is_unreadable = matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::SqlInputError { .. }
    );
    // `Unknown` is SQLite's generic error. Our own SQL fits the tables as we made them.
    let code = error.sqlite_error().map(|error| error.code);
    let is_corrupt = matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
    );
    let is_short =
        error.sqlite_error().is_some_and(|error| error.extended_code == IOERR_SHORT_READ);
    is_unreadable || is_corrupt || is_short
}

/// Whether a checkpoint that failed so may succeed later with nothing lost: no space, or somebody else is at it.
pub(super) fn is_passing(error: &rusqlite::Error) -> bool {
    is_full(error) || error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}
