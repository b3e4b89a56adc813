//! What can go wrong with a journal.

use super::ENTRY_BYTES_MAX;
use crate::domain::Seq;
use std::path::Path;
use std::sync::Arc;

/// Why the journal did not do as asked. Cheap to clone: one failed commit answers many.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// It has stopped: it was dropped, or a write failed earlier. A restart reads what is durable.
    #[error("the journal has stopped")]
    Closed,
    /// No space is left. Nothing was appended; the next append tries again.
    #[error("no space is left on the disk for {}", file.display())]
    Full {
        /// Which file could not grow.
        file: Arc<Path>,
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
    #[error("{}{} is damaged: {what}", of_entry(*seq), file.display())]
    Damaged {
        /// In which file.
        file: Arc<Path>,
        /// Which entry; everything before it is whole. 0 where the file as a whole cannot be read.
        seq: Seq,
        /// How it is damaged.
        what: Damage,
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

fn of_entry(seq: Seq) -> String {
    if seq == Seq::ZERO { String::new() } else { format!("entry {seq} of ") }
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
}
