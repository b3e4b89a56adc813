//! What can go wrong with the archive.

use crate::domain::Seq;
use rusqlite::ErrorCode;
use std::path::Path;
use std::sync::Arc;

/// Why the archive did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Alerts after the position asked for are no longer kept.
    #[error(
        "alerts up to entry {oldest} are no longer kept; reading after entry {after} would leave a gap"
    )]
    Pruned {
        /// As asked.
        after: Seq,
        /// From here on nothing is missing.
        oldest: Seq,
    },
    /// No space is left. Nothing was written; the same can be tried again.
    #[error("no space is left on the disk for {}", file.display())]
    Full {
        /// Which file could not grow.
        file: Arc<Path>,
    },
    /// The file is damaged. Nothing is lost: delete it and start again, and it is derived from the journal once more.
    #[error("{} is damaged; delete it and start again, the journal has everything", file.display())]
    Damaged {
        /// Which file.
        file: Arc<Path>,
        /// How.
        source: Arc<rusqlite::Error>,
    },
    /// The store failed.
    #[error("{doing} {} failed", file.display())]
    Io {
        /// What was tried: `writing`, `reading`.
        doing: &'static str,
        /// On which file.
        file: Arc<Path>,
        /// Why it failed.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    pub(super) fn sqlite(doing: &'static str, file: &Arc<Path>, error: rusqlite::Error) -> Self {
        let file = Arc::clone(file);
        if is_damage(&error) {
            return Self::Damaged { file, source: Arc::new(error) };
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { file },
            _ => Self::Io { doing, file, source: Arc::new(error) },
        }
    }
}

/// Whether an error says that the file is not what was written.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    let is_unreadable = matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::QueryReturnedNoRows
    );
    // `Unknown` is SQLite's generic error: a table or a column that is not there.
    let code = error.sqlite_error_code();
    is_unreadable
        || matches!(
            code,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
        )
}
