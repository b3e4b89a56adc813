//! The tables, and how the file is opened. Persisted; a file of another format is replaced, not
//! converted.

use super::error::{Error, is_damage};
use crate::sqlite;
use lodewatch_core::domain::{Epoch, Seq};
use rusqlite::{Connection, params};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// The version of the tables and of the bytes in them, stored in `user_version`. 0 is an empty
/// file.
const FORMAT: i64 = 1;

const PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = 67108864;";

/// `bytes` is the last column, so that a search reads rows without it.
const SCHEMA: &str = "
    CREATE TABLE meta (
        epoch INTEGER NOT NULL,
        applied INTEGER NOT NULL,
        oldest INTEGER NOT NULL,
        checksum INTEGER NOT NULL
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
        checksum INTEGER NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE INDEX alerts_by_entry ON alerts (entry);
    CREATE INDEX alerts_by_episode ON alerts (episode);
    CREATE INDEX alerts_by_mineral ON alerts (mineral);
    CREATE INDEX alerts_by_rule ON alerts (rule);
    CREATE TABLE snapshots (
        seq INTEGER PRIMARY KEY,
        digest INTEGER NOT NULL,
        pieces INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE snapshot_pieces (
        seq INTEGER NOT NULL,
        piece INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (seq, piece)
    ) STRICT;";

/// An open archive file.
pub(super) struct OpenedArchive {
    pub(super) connection: Connection,
    pub(super) meta: ArchiveMeta,
}

/// The row `meta`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArchiveMeta {
    /// The journal whose alerts the file has.
    pub(super) epoch: Epoch,
    /// The last entry whose alerts are in the file.
    pub(super) applied: Seq,
    /// Alerts of entries up to this one may have been deleted.
    pub(super) oldest: Seq,
}

impl ArchiveMeta {
    /// Replaces the row.
    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<usize> {
        let update = "UPDATE meta SET epoch = ?1, applied = ?2, oldest = ?3, checksum = ?4";
        let [epoch, applied, oldest] = self.numbers().map(u64::cast_signed);
        let mut update = connection.prepare_cached(update)?;
        update.execute(params![epoch, applied, oldest, self.checksum()])
    }

    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let select = "SELECT epoch, applied, oldest, checksum FROM meta";
        connection.query_row(select, [], |row| {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let (epoch, applied, oldest) = (Epoch(number(0)?), Seq(number(1)?), Seq(number(2)?));
            let meta = Self { epoch, applied, oldest };
            let stored = row.get(3)?;
            let is_intact = meta.checksum() == stored;
            if is_intact {
                Ok(meta)
            } else {
                Err(rusqlite::Error::IntegralValueOutOfRange(3, stored))
            }
        })
    }

    fn numbers(self) -> [u64; 3] {
        [self.epoch.0, self.applied.0, self.oldest.0]
    }

    fn checksum(self) -> i64 {
        let mut hash = Xxh3::new();
        for number in self.numbers() {
            hash.update(&number.to_le_bytes());
        }
        hash.digest().cast_signed()
    }
}

/// Opens the file, or creates an empty one where it cannot be used.
///
/// An intact archive that does not fit the journal stays: it is evidence that the journal has
/// changed.
pub(super) fn open(path: &Arc<Path>, epoch: Epoch, head: Seq) -> Result<OpenedArchive, Error> {
    let cause = match connect(path, epoch) {
        Ok(Some(opened)) if opened.meta.epoch != epoch => {
            let archived = opened.meta.epoch;
            return Err(Error::OtherJournal { file: Arc::clone(path), archived, journal: epoch });
        }
        Ok(Some(opened)) if opened.meta.applied > head => {
            let applied = opened.meta.applied;
            return Err(Error::JournalTooShort { file: Arc::clone(path), applied, head });
        }
        Ok(Some(opened)) => return Ok(opened),
        Ok(None) => "another version wrote it".to_owned(),
        Err(error) if is_damage(&error) => error.to_string(),
        Err(error) => return Err(Error::sqlite("open", path, error)),
    };
    tracing::warn!(
        file = %path.display(),
        cause,
        "cannot use the archive; rebuilding it from the journal"
    );
    remove(path)?;
    connect(path, epoch)
        .and_then(|opened| opened.ok_or(rusqlite::Error::QueryReturnedNoRows))
        .map_err(|error| Error::sqlite("create", path, error))
}

/// `None` where the file is not of this format.
fn connect(path: &Path, epoch: Epoch) -> rusqlite::Result<Option<OpenedArchive>> {
    let mut connection = sqlite::open_writer(path, PRAGMAS)?;
    let transaction = connection.transaction()?;
    let format: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if format == 0 && tables == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.execute("INSERT INTO meta VALUES (0, 0, 0, 0)", [])?;
        ArchiveMeta { epoch, applied: Seq::ZERO, oldest: Seq::ZERO }.write(&transaction)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    } else if format != FORMAT {
        return Ok(None);
    }
    let meta = ArchiveMeta::read(&transaction)?;
    transaction.commit()?;
    Ok(Some(OpenedArchive { connection, meta }))
}

/// Opens the file for checkpoints, which are synced as the writer's are.
pub(super) fn open_checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    sqlite::open_writer(path, PRAGMAS)
}

/// Deletes the file, so that the next start rebuilds it.
pub(super) fn remove(path: &Arc<Path>) -> Result<(), Error> {
    remove_files(path).map_err(|error| Error::io("delete", path, error))
}

/// Deletes the log last: SQLite would read an old log beside a new file as the new file's.
fn remove_files(path: &Path) -> io::Result<()> {
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
