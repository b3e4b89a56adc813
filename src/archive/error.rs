//! What can go wrong with the archive.

use crate::sqlite::{self, is_full};
use lodewatch_core::domain::{Epoch, Seq};
use rusqlite::ErrorCode;
use std::path::Path;
use std::sync::Arc;

/// Why an operation of the archive failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Alerts after the requested position are no longer kept.
    #[error(
        "cannot read the alerts after entry {after}: alerts up to entry {oldest} are no longer kept"
    )]
    Pruned {
        after: Seq,
        /// No alert after this entry is missing.
        oldest: Seq,
    },
    /// Nothing was written; the same operation can be tried again.
    #[error("cannot write to {}: no space is left on the disk; free disk space", file.display())]
    Full { file: Arc<Path> },
    /// The file is damaged. Nothing is lost: a replay of the journal restores it.
    #[error(
        "cannot read {}: it is damaged; restart the server to rebuild it from the journal",
        file.display()
    )]
    Damaged { file: Arc<Path>, source: Arc<rusqlite::Error> },
    /// The journal has lost acknowledged entries, or was replaced by an older copy.
    #[error(
        "cannot use {} with this journal: it has alerts up to entry {applied}, but the journal \
         ends with entry {head}, so the journal has lost entries; restore the whole journal, or \
         copy the entries that are left with: lodewatch journal salvage",
        file.display()
    )]
    JournalTooShort {
        file: Arc<Path>,
        /// The last entry whose alerts the archive has.
        applied: Seq,
        /// The journal's last entry.
        head: Seq,
    },
    /// The journal beside the archive is another one: the old one was lost or replaced.
    #[error(
        "cannot use {} with journal {journal}: it belongs to journal {archived}; restore that \
         journal, or delete the archive to continue with the new one",
        file.display()
    )]
    OtherJournal {
        file: Arc<Path>,
        /// The journal whose alerts the archive has.
        archived: Epoch,
        /// The journal beside it.
        journal: Epoch,
    },
    /// The caller is gone.
    #[error("cannot read {}: cancelled", file.display())]
    Cancelled { file: Arc<Path> },
    /// The file system or SQLite failed.
    #[error("cannot {action} {}", file.display())]
    Io {
        /// The failed operation, as an infinitive: `write`, `read`.
        action: &'static str,
        file: Arc<Path>,
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    pub(super) fn io(
        action: &'static str,
        file: &Arc<Path>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Io { action, file: Arc::clone(file), source: Arc::new(source) }
    }

    pub(super) fn sqlite(action: &'static str, file: &Arc<Path>, error: rusqlite::Error) -> Self {
        let file = Arc::clone(file);
        if is_damage(&error) {
            return Self::Damaged { file, source: Arc::new(error) };
        }
        if is_full(&error) {
            return Self::Full { file };
        }
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return Self::Cancelled { file };
        }
        Self::Io { action, file, source: Arc::new(error) }
    }
}

/// Whether the file is not what was written; also where a row that must exist is missing.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    sqlite::is_damage(error) || matches!(error, rusqlite::Error::QueryReturnedNoRows)
}
