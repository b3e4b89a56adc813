//! Connections to a file, and what their errors mean.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;

/// SQLite's code for a file that ends before its last page.
const IOERR_SHORT_READ: i32 = rusqlite::ffi::SQLITE_IOERR_SHORT_READ;

/// SQLite's code for a shared file that cannot grow.
const IOERR_SHMSIZE: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// Opens a file for writing or for checkpoints; creates an empty one where there is none. `pragmas`
/// are executed first.
///
/// # Errors
///
/// Where the file cannot be opened, or a pragma fails.
pub fn open_writer(path: &Path, pragmas: &str) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::default())?;
    connection.execute_batch(pragmas)?;
    Ok(connection)
}

/// Opens a file for reading.
///
/// # Errors
///
/// Where the file is missing or cannot be opened.
pub fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Query plans do not depend on the bound values, so that SQLite prepares each statement once.
fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Whether the file is not what was written: its pages, its tables, the type of a value, its
/// length.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    let is_unreadable = matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::SqlInputError { .. }
    );
    // `Unknown` is SQLite's generic error. Our own SQL fits the tables that we created.
    let is_corrupt = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
    );
    let is_short =
        error.sqlite_error().is_some_and(|error| error.extended_code == IOERR_SHORT_READ);
    is_unreadable || is_corrupt || is_short
}

/// Whether the disk was full, for the file, its log or the small file that readers share.
pub fn is_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || code == Some(IOERR_SHMSIZE)
}

/// Whether a failed checkpoint may succeed later without loss: the disk was full, or another
/// connection was busy.
pub fn is_transient(error: &rusqlite::Error) -> bool {
    is_full(error) || error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}
