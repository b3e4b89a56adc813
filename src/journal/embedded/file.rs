//! The files of a journal, and how they are opened.
//!
//! ```text
//! DIR/journal.db       the tables
//! DIR/journal.db-wal   SQLite's write-ahead log: what is durable and not in the file yet
//! ```

use super::super::{Error, new_epoch};
use super::failure::sqlite as failed;
use super::log::{self, Log};
use super::tables;
use crate::domain::{Epoch, Seq, Timestamp};
use crate::sqlite::{self, checkpoint};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;

/// `synchronous = FULL`: a commit returns once the write-ahead log is synced. Checkpoints are not the commit's business,
/// see [`crate::sqlite`].
const WRITER_PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 0;";

/// An open journal file.
pub(super) struct Opened {
    /// The only connection that appends.
    pub(super) connection: Connection,
    pub(super) epoch: Epoch,
    /// The last entry's position and time.
    pub(super) head: Seq,
    pub(super) at: Timestamp,
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
    let connection = connect(path).map_err(|error| failed("opening", path, Seq::ZERO, error))?;
    tables::create(&connection, new_epoch())
        .map_err(|error| failed("creating", path, Seq::ZERO, error))?;
    let (epoch, head) = tables::identity(path, &connection)?;
    let at = tables::last_time(path, &connection, head)?;
    Ok(Opened { connection, epoch, head, at })
}

/// Opens a file as the writer does; makes an empty one where there is none.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = sqlite::open_writer(path, WRITER_PRAGMAS)?;
    // A process that was killed between a write and its fsync leaves entries that can be read but are not durable.
    // Moving them into the file, which syncs both, makes them so before anyone reads them.
    checkpoint(&connection, "TRUNCATE")?;
    Ok(connection)
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Arc<Path>) -> Result<Connection, Error> {
    sqlite::open_reader(path).map_err(|error| failed("opening", path, Seq::ZERO, error))
}

/// Opens the file for checkpoints, which are synced as the writer's commits are.
pub(super) fn open_checkpointer(path: &Arc<Path>) -> Result<Connection, Error> {
    sqlite::open_writer(path, WRITER_PRAGMAS)
        .map_err(|error| failed("opening", path, Seq::ZERO, error))
}
