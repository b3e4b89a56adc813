//! What can go wrong with a journal.

use super::contract::ENTRY_BYTES_MAX;
use crate::sqlite::{is_damage, is_full};
use lodewatch_core::domain::Seq;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalLocation {
    File(Arc<Path>),
    /// A NATS stream, by its name.
    Stream(Arc<str>),
}

impl fmt::Display for JournalLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stream(name) => write!(f, "NATS stream {name}"),
        }
    }
}

/// Why a journal operation failed. Cheap to clone: one failed commit answers many appends.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The journal was dropped, or a write failed earlier. A restart reads what is durable.
    #[error(
        "cannot use the journal: it is closed after a shutdown or a failed write; restart the \
         server"
    )]
    Closed,
    /// Nothing was appended; the next append tries again.
    #[error("cannot write to {location}: no space is left on the disk; free disk space")]
    Full { location: JournalLocation },
    /// The file, its log or its directory was removed or replaced while it was open. Every entry up
    /// to the head was durable before; nothing is appended any more.
    #[error(
        "cannot append to {}: it was removed or replaced while it was open; restore it, then \
         restart the server",
        file.display()
    )]
    Gone { file: Arc<Path> },
    /// The file system or SQLite failed.
    #[error("cannot {action} {}", file.display())]
    Io {
        /// The failed operation, as an infinitive: `append to`, `read`.
        action: &'static str,
        file: Arc<Path>,
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// An entry is not what was written.
    #[error("cannot read {}{location}: {damage}", entry_of(*seq))]
    Damaged {
        location: JournalLocation,
        /// The damaged entry; all entries before it are intact. 0 where the journal as a whole
        /// cannot be read.
        seq: Seq,
        damage: Damage,
    },
    /// The servers do not answer, or not in time. The journal keeps trying to reach them. An append
    /// that ends so may still be in the journal.
    #[error("cannot reach {location}: {cause}")]
    Unreachable { location: JournalLocation, cause: Arc<str> },
    /// The store does not guarantee what the journal promises. Found at the start.
    #[error("cannot use {location} as the journal:\n{}", bullets(faults))]
    Unsuitable {
        location: JournalLocation,
        /// Everything that is wrong, each with what is needed.
        faults: Arc<[String]>,
    },
    /// A position that the journal has not reached.
    #[error("cannot read after entry {after}: the last entry of the journal is {head}")]
    OutOfRange { after: Seq, head: Seq },
    /// Another process has the data directory open.
    #[error(
        "cannot lock {}: another process uses this data directory; stop that process, or choose \
         another directory",
        file.display()
    )]
    Locked { file: Arc<Path> },
    /// A journal is never overwritten.
    #[error(
        "cannot create {}: it already exists; choose a directory without a journal",
        file.display()
    )]
    Exists { file: Arc<Path> },
    /// The entry is larger than [`ENTRY_BYTES_MAX`].
    #[error(
        "cannot append an entry of {bytes} bytes: the limit is {ENTRY_BYTES_MAX} bytes; publish \
         smaller batches"
    )]
    TooLarge {
        /// The entry's encoded size.
        bytes: usize,
    },
    /// Another version of this program wrote the file, or another program did.
    #[error(
        "cannot read {}: its format is {found}, and this version reads format {known}; use the \
         version that wrote it",
        file.display()
    )]
    Format { file: Arc<Path>, found: i64, known: i64 },
}

impl Error {
    pub(super) fn io(
        action: &'static str,
        file: &Path,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Io { action, file: file.into(), source: Arc::new(error) }
    }

    /// An error of SQLite, sorted into damage, a full disk, and the rest; `seq` is the entry to
    /// name where the file is damaged.
    pub(super) fn sqlite(
        action: &'static str,
        file: &Arc<Path>,
        seq: Seq,
        error: rusqlite::Error,
    ) -> Self {
        if is_damage(&error) {
            return Self::damaged_file(file, seq, Damage::Pages(error.to_string()));
        }
        if is_full(&error) {
            return Self::Full { location: JournalLocation::File(Arc::clone(file)) };
        }
        Self::io(action, file, error)
    }

    pub(super) fn damaged_file(file: &Arc<Path>, seq: Seq, damage: Damage) -> Self {
        Self::Damaged { location: JournalLocation::File(Arc::clone(file)), seq, damage }
    }
}

fn entry_of(seq: Seq) -> String {
    if seq == Seq::ZERO { String::new() } else { format!("entry {seq} of ") }
}

fn bullets(faults: &[String]) -> String {
    faults.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n")
}

/// How an entry is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The entry's bytes are not those that were written.
    #[error("its checksum does not match")]
    Checksum,
    /// The journal has later entries, but not this one.
    #[error("it is missing")]
    Missing,
    /// The entry's bytes are those that were written, but this version does not know what they
    /// mean.
    #[error("it cannot be decoded: {0}")]
    Undecodable(String),
    /// SQLite finds its own pages damaged.
    #[error("the file is damaged: {0}")]
    Pages(String),
    /// The store is not the one that was read before, or it has lost messages.
    #[error("the stream was replaced or has lost messages: {0}")]
    Replaced(String),
}
