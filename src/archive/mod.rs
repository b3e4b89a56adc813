//! What was said: alerts by sequence, and snapshots of the state.
//!
//! ```text
//! the one loop ─→ Archive { commit, save_snapshot, prune } ─→ archive.db ─→ ArchiveReader { read, list, get } ─→ many threads
//! ```
//!
//! Everything here follows from the journal: the file may be deleted at any time and comes back by replay. A file that
//! is missing, damaged or of another version is replaced by an empty one; one that is found damaged while it is read
//! ([`ArchiveReader::damaged`]) is discarded, and the process ends to start anew. A whole one that does not fit the journal
//! bears witness that the journal is not what it was. Commits need no fsync of their own (`synchronous = NORMAL`): a
//! power cut may take the last ones, which are then replayed.
//!
//! - [`Archive`]: the one that writes
//! - [`ArchiveReader`]: a cheap handle for everyone else
//! - [`AlertRecord`], [`Snapshot`], [`AlertQuery`], [`AlertPage`]: what goes in, what is asked, what comes out
//! - [`IncomingArchive`]: a copy of another replica's, on its way
//! - `check`: proves a whole archive
//! - `file`: the tables, and how the file is opened
//! - `row`: a record as a row · `select`: a filter as SQL · `pool`: the readers' connections

mod check;
mod transfer;
mod error;
#[cfg(test)]
mod faults;
mod file;
mod pool;
mod reader;
mod record;
mod row;
mod conditions;
#[cfg(test)]
mod tests;
mod writer;

pub use transfer::{IncomingArchive, format_digest};
pub use error::Error;
pub use reader::{READ_ALERTS_MAX, ArchiveReader};
pub use record::{AlertPage, AlertQuery, AlertRecord, Snapshot};
pub use writer::Archive;
