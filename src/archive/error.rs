//! What can go wrong with the archive.

use crate::domain::{Epoch, Seq};
use crate::sqlite::{self, is_full};
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
    /// The file is damaged. Nothing is lost: it is derived from the journal once more.
    #[error("{} is damaged; the next start makes it anew out of the journal", file.display())]
    Damaged {
        /// Which file.
        file: Arc<Path>,
        /// How.
        source: Arc<rusqlite::Error>,
    },
    /// The journal is shorter than what was made of it: it has lost entries that were acknowledged, or was put back by hand.
    #[error(
        "{} has the alerts of entries up to {applied}, but the journal ends with entry {head}: it has lost entries; \
         put the whole journal back, or make a new one of what is left with: lodewatch journal salvage",
        file.display()
    )]
    Ahead {
        /// The archive.
        file: Arc<Path>,
        /// The last entry whose alerts it has.
        applied: Seq,
        /// The journal's last entry.
        head: Seq,
    },
    /// The journal beside it is another one: the old one was lost or replaced.
    #[error(
        "{} is of journal {of}, but the journal beside it is {journal}; put the old journal back, or, where another one \
         is meant, delete the archive",
        file.display()
    )]
    OtherJournal {
        /// The archive.
        file: Arc<Path>,
        /// Whose alerts it has.
        of: Epoch,
        /// The journal that is there.
        journal: Epoch,
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
    /// The system failed at doing something with the file.
    pub(super) fn io(
        doing: &'static str,
        file: &Arc<Path>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Io { doing, file: Arc::clone(file), source: Arc::new(source) }
    }

    pub(super) fn sqlite(doing: &'static str, file: &Arc<Path>, error: rusqlite::Error) -> Self {
        let file = Arc::clone(file);
        if is_damage(&error) {
            return Self::Damaged { file, source: Arc::new(error) };
        }
        if is_full(&error) {
            return Self::Full { file };
        }
        Self::Io { doing, file, source: Arc::new(error) }
    }
}

/// Whether an error says that the file is not what was written; a row that must be there too.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    sqlite::is_damage(error) || matches!(error, rusqlite::Error::QueryReturnedNoRows)
}
