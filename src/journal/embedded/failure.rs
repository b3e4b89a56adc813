//! What went wrong, as errors of the journal: SQLite's codes, sorted into damage, no space, and the rest.

use super::super::{Damage, Error};
use crate::domain::Seq;
use crate::sqlite::is_full;
use rusqlite::ErrorCode;
use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

/// SQLite's code for a file that ends before its last page.
const IOERR_SHORT_READ: i32 = rusqlite::ffi::SQLITE_IOERR_SHORT_READ;

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
