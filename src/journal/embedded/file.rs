//! What is on disk, and how it is opened. Persisted.
//!
//! ```text
//! DIR/lock         held by the process that has the journal open
//! DIR/journal.db   meta(epoch, format), one row; entries(seq, at, payload, checksum), one row an entry
//! ```

use super::super::{Damage, Error};
use crate::domain::{Epoch, Seq, Timestamp};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
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
        format INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE entries (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        payload BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;";

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

/// Opens the file for writing, and creates it where there is none. Takes as long for ten million entries as for one.
pub(super) fn open(path: &Arc<Path>) -> Result<Opened, Error> {
    let opened = connect(path).map_err(|error| sqlite("opening", path, Seq::ZERO, error))?;
    let (connection, epoch, format) = opened;
    if format != FORMAT {
        return Err(Error::Format { file: Arc::clone(path), found: format, known: FORMAT });
    }
    let last = connection
        .query_row("SELECT seq, at FROM entries ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?))
        })
        .optional()
        .map_err(|error| sqlite("reading", path, Seq::ZERO, error))?;
    let (head, at) = last.map_or((Seq::ZERO, Timestamp::MIN), |(seq, at)| {
        (Seq(seq.cast_unsigned()), Timestamp::from_millis(at))
    });
    Ok(Opened { connection, epoch, head, at })
}

fn connect(path: &Path) -> rusqlite::Result<(Connection, Epoch, i64)> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(WRITER_PRAGMAS)?;
    // A process that was killed between a write and its fsync leaves entries that can be read but are not durable.
    // Moving them into the file, which syncs both, makes them so before anyone reads them.
    checkpoint(&connection, "TRUNCATE")?;
    let transaction = connection.transaction()?;
    let is_new = !transaction.table_exists(None, "meta")?;
    if is_new {
        transaction.execute_batch(SCHEMA)?;
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        // Each half has a few fixed bits, at different places.
        transaction.execute(
            "INSERT INTO meta VALUES (?1, ?2)",
            params![(high ^ low).cast_signed(), FORMAT],
        )?;
    }
    let (epoch, format) = transaction.query_row("SELECT epoch, format FROM meta", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get(1)?))
    })?;
    transaction.commit()?;
    Ok((connection, Epoch(epoch.cast_unsigned()), format))
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

/// The error of SQLite as ours; `seq` is the entry to name where the file is damaged.
pub(super) fn sqlite(
    doing: &'static str,
    file: &Arc<Path>,
    seq: Seq,
    error: rusqlite::Error,
) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full { file: Arc::clone(file) },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            let what = Damage::Pages(error.to_string());
            Error::Damaged { file: Arc::clone(file), seq, what }
        }
        _ => io(doing, file, error),
    }
}

/// Whether a checkpoint that failed so may succeed later with nothing lost: no space, or somebody else is at it.
pub(super) fn is_passing(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy))
}
