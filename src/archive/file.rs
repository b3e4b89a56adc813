//! The tables, and how the file is opened. Persisted, but replaced rather than converted when the format changes.

use super::error::{Error, is_damage};
use crate::domain::{Epoch, Seq};
use rusqlite::{Connection, OpenFlags, params};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the tables and of the bytes in them; kept in `user_version`. 0 is an empty file.
const FORMAT: i64 = 1;

const PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA journal_size_limit = 67108864;";

/// `bytes` stands last, so that what is searched is read without it.
const SCHEMA: &str = "
    CREATE TABLE meta (
        epoch INTEGER NOT NULL,
        applied INTEGER NOT NULL,
        oldest INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE alerts (
        sequence INTEGER PRIMARY KEY,
        entry INTEGER NOT NULL,
        episode INTEGER NOT NULL,
        at INTEGER NOT NULL,
        journal_time INTEGER NOT NULL,
        kind TEXT NOT NULL,
        level INTEGER,
        rule TEXT NOT NULL,
        mineral TEXT NOT NULL,
        stage TEXT NOT NULL,
        destination TEXT,
        countries TEXT NOT NULL,
        exercise INTEGER NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE INDEX alerts_by_entry ON alerts (entry);
    CREATE INDEX alerts_by_episode ON alerts (episode);
    CREATE INDEX alerts_by_mineral ON alerts (mineral);
    CREATE INDEX alerts_by_rule ON alerts (rule);
    CREATE TABLE snapshots (
        seq INTEGER PRIMARY KEY,
        checksum INTEGER NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;";

/// An open archive file.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) applied: Seq,
    pub(super) oldest: Seq,
}

/// Opens the file, or starts an empty one where it does not fit the journal.
pub(super) fn open(path: &Arc<Path>, epoch: Epoch, head: Seq) -> Result<Opened, Error> {
    let why = match connect(path, epoch) {
        Ok(Some(opened)) if opened.applied <= head => return Ok(opened),
        Ok(Some(_)) => "it is ahead of the journal".to_owned(),
        Ok(None) => "it is of another journal or another version".to_owned(),
        Err(error) if is_damage(&error) => error.to_string(),
        Err(error) => return Err(Error::sqlite("opening", path, error)),
    };
    tracing::warn!(file = %path.display(), why, "the archive is started anew");
    remove(path).map_err(|error| Error::Io {
        doing: "deleting",
        file: Arc::clone(path),
        source: Arc::new(error),
    })?;
    connect(path, epoch)
        .and_then(|opened| opened.ok_or(rusqlite::Error::QueryReturnedNoRows))
        .map_err(|error| Error::sqlite("creating", path, error))
}

/// `None` where the file is not this journal's, or not of this format.
fn connect(path: &Path, epoch: Epoch) -> rusqlite::Result<Option<Opened>> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(PRAGMAS)?;
    let transaction = connection.transaction()?;
    let format: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if format == 0 && tables == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction
            .execute("INSERT INTO meta VALUES (?1, 0, 0)", params![epoch.0.cast_signed()])?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    } else if format != FORMAT {
        return Ok(None);
    }
    let (of, applied, oldest) =
        transaction.query_row("SELECT epoch, applied, oldest FROM meta", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
    transaction.commit()?;
    if of.cast_unsigned() != epoch.0 {
        return Ok(None);
    }
    let (applied, oldest) = (Seq(applied.cast_unsigned()), Seq(oldest.cast_unsigned()));
    Ok(Some(Opened { connection, applied, oldest }))
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

/// The log goes last: an old log beside a new file would be taken for the new file's.
fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-shm", "-wal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
