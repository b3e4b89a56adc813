//! What can go wrong with a journal.

use super::ENTRY_BYTES_MAX;
use crate::domain::Seq;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file of this machine.
    File(Arc<Path>),
    /// In a stream of NATS, by its name.
    Stream(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stream(name) => write!(f, "the NATS stream {name}"),
        }
    }
}

/// Why the journal did not do as asked. Cheap to clone: one failed commit answers many.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// It has stopped: it was dropped, or a write failed earlier. A restart reads what is durable.
    #[error("the journal has stopped")]
    Closed,
    /// No space is left. Nothing was appended; the next append tries again.
    #[error("no space is left on the disk for {place}")]
    Full {
        /// What could not grow.
        place: Place,
    },
    /// The file, its log or its directory was removed or replaced while it was open. What is told as durable was so before;
    /// nothing is appended any more.
    #[error("{} was removed or replaced while it was open; restore it, then start again", file.display())]
    Gone {
        /// Which file.
        file: Arc<Path>,
    },
    /// The store failed.
    #[error("{doing} {} failed", file.display())]
    Io {
        /// What was tried: `appending to`, `reading`.
        doing: &'static str,
        /// On which file.
        file: Arc<Path>,
        /// Why it failed.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// An entry is not what was written.
    #[error("{}{place} is damaged: {what}", of_entry(*seq))]
    Damaged {
        /// Of which journal.
        place: Place,
        /// Which entry; everything before it is whole. 0 where the journal as a whole cannot be read.
        seq: Seq,
        /// How it is damaged.
        what: Damage,
    },
    /// The store cannot be reached, or does not answer in time. It is tried again all the while.
    #[error("{place} is out of reach: {why}")]
    Unreachable {
        /// What.
        place: Place,
        /// What happened.
        why: Arc<str>,
    },
    /// The store does not promise what the journal promises. Found at the start.
    #[error("{place} cannot be the journal:\n{}", bullets(faults))]
    Unfit {
        /// What.
        place: Place,
        /// Everything that is wrong, each with what is needed.
        faults: Arc<[String]>,
    },
    /// A position that the journal has not reached.
    #[error("position {after} is past the journal's head {head}")]
    OutOfRange {
        /// As asked.
        after: Seq,
        /// The last durable entry.
        head: Seq,
    },
    /// Another process has it open.
    #[error("{} is held by another process; a data directory serves one process at a time", file.display())]
    Locked {
        /// The lock.
        file: Arc<Path>,
    },
    /// There is a journal already; nothing is written over one.
    #[error("{} is there already; choose a directory without a journal", file.display())]
    Exists {
        /// The journal.
        file: Arc<Path>,
    },
    /// The entry is larger than any entry may be.
    #[error("an entry of {bytes} bytes is too large; at most {ENTRY_BYTES_MAX} are allowed")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
    },
    /// The file is of another version of this program, or of another program.
    #[error("{} has format {found}; this version reads format {known}", file.display())]
    Format {
        /// Which file.
        file: Arc<Path>,
        /// Its format.
        found: i64,
        /// The format of this version.
        known: i64,
    },
}

impl Error {
    /// The system failed at doing something with a file.
    pub(super) fn io(
        doing: &'static str,
        file: &Path,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Io { doing, file: file.into(), source: Arc::new(error) }
    }
}

fn of_entry(seq: Seq) -> String {
    if seq == Seq::ZERO { String::new() } else { format!("entry {seq} of ") }
}

fn bullets(faults: &[String]) -> String {
    faults.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n")
}

/// How an entry is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its bytes are not those that were written.
    #[error("its checksum does not fit")]
    Checksum,
    /// Later entries are there, this one is not.
    #[error("it is missing")]
    Missing,
    /// Its bytes are those that were written, but no entry that this version knows.
    #[error("it cannot be decoded: {0}")]
    Undecodable(String),
    /// The store finds its own pages damaged.
    #[error("the file's pages are damaged: {0}")]
    Pages(String),
    /// The store is not the one that was read before, or has lost what was in it.
    #[error("it is not what it was: {0}")]
    Replaced(String),
}
