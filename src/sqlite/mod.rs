//! What the two stores have in common: how a file is opened, and how its write-ahead log is kept short off the commit path.
//!
//! - [`open`]: a connection that makes no plan twice
//! - [`Checkpointer`]: the thread that does it
//! - [`Thread`]: a thread that is waited for
//! - [`is_full`], [`is_passing`]: errors that pass by themselves

mod checkpoint;
mod thread;

pub use checkpoint::{Checkpointer, Failed, checkpoint};
pub use thread::Thread;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;

/// SQLite's code for a shared file that cannot grow.
const IOERR_SHMSIZE: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// Opens a file. The values that a statement is given do not change how it is run, so that it is made ready only once.
///
/// # Errors
///
/// Where the file cannot be opened so.
pub fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Whether there was no space, for the file, its log or the small file that readers share.
pub fn is_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || code == Some(IOERR_SHMSIZE)
}

/// Whether a checkpoint that failed so may succeed later with nothing lost: no space, or somebody else is at it.
pub fn is_passing(error: &rusqlite::Error) -> bool {
    is_full(error) || error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}
