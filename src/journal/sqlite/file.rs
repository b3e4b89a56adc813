//! The files of a journal: how they are opened, and whether they are still in place.
//!
//! ```text
//! DIR/journal.db       the tables
//! DIR/journal.db-wal   SQLite's write-ahead log: what is durable and not in the file yet
//! ```

use super::super::data_dir::new_epoch;
use super::super::error::Error;
use super::tables;
use super::wal::{self, WalState};
use crate::sqlite::{self, checkpoint};
use lodewatch_core::domain::{Epoch, Seq, Timestamp};
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// `synchronous = FULL`: a commit returns once the write-ahead log is synced. Checkpoints run apart
/// from commits, see [`crate::sqlite`].
const WRITER_PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 0;";

/// An open journal file.
pub(super) struct OpenedJournal {
    /// The only connection that appends.
    pub(super) connection: Connection,
    pub(super) epoch: Epoch,
    /// The last entry's position and time.
    pub(super) head: Seq,
    pub(super) at: Timestamp,
}

/// Opens the file for writing, and creates it where there is none. The time it takes does not grow
/// with the journal, only with the write-ahead log that a crash left.
pub(super) fn open(path: &Arc<Path>) -> Result<OpenedJournal, Error> {
    if let WalState::Torn { frames } = wal::inspect(path)? {
        tracing::warn!(
            file = %path.display(),
            intact_frames = frames,
            "removing an unfinished write from the journal's write-ahead log; it was never \
             acknowledged"
        );
    }
    let connection =
        connect(path).map_err(|error| Error::sqlite("open", path, Seq::ZERO, error))?;
    tables::create(&connection, new_epoch())
        .map_err(|error| Error::sqlite("create", path, Seq::ZERO, error))?;
    let (epoch, head) = tables::read_identity(path, &connection)?;
    let at = tables::last_time(path, &connection, head)?;
    Ok(OpenedJournal { connection, epoch, head, at })
}

/// Opens a file as the writer does; creates an empty one where there is none.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = sqlite::open_writer(path, WRITER_PRAGMAS)?;
    // A process that was killed between a write and its fsync leaves entries that can be read but
    // are not durable. A checkpoint syncs the log and the file, so they are durable before anyone
    // reads them.
    checkpoint(&connection, "TRUNCATE")?;
    Ok(connection)
}

pub(super) fn open_reader(path: &Arc<Path>) -> Result<Connection, Error> {
    sqlite::open_reader(path).map_err(|error| Error::sqlite("open", path, Seq::ZERO, error))
}

/// Opens the file for checkpoints, which are synced as the writer's commits are.
pub(super) fn open_checkpointer(path: &Arc<Path>) -> Result<Connection, Error> {
    sqlite::open_writer(path, WRITER_PRAGMAS)
        .map_err(|error| Error::sqlite("open", path, Seq::ZERO, error))
}

/// The journal's file and its log, as they were when they were opened.
///
/// A file that was removed can still be written and synced for as long as it is open; afterwards it
/// is gone with every acknowledged entry.
pub(super) struct FileIds {
    files: [(Arc<Path>, FileId); 2],
}

/// A device, and the file's number on it.
type FileId = (u64, u64);

impl FileIds {
    /// Of a journal that has been written since it was opened, so that both files exist.
    pub(super) fn of(journal: &Arc<Path>) -> Result<Self, Error> {
        let read = |path: Arc<Path>| match file_id(&path) {
            Ok(id) => Ok((path, id)),
            Err(error) => Err(Error::io("read the metadata of", &path, error)),
        };
        Ok(Self { files: [read(Arc::clone(journal))?, read(wal::path(journal).into())?] })
    }

    /// # Errors
    ///
    /// [`Error::Gone`] for the first file that was removed or replaced.
    pub(super) fn check(&self) -> Result<(), Error> {
        let is_gone = |(path, opened): &&(Arc<Path>, FileId)| {
            file_id(path).map_or(true, |found| found != *opened)
        };
        match self.files.iter().find(is_gone) {
            None => Ok(()),
            Some((file, _)) => Err(Error::Gone { file: Arc::clone(file) }),
        }
    }
}

fn file_id(path: &Path) -> std::io::Result<FileId> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
