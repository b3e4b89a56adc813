//! The history of alerts, by sequence, and snapshots of the engine's state.
//!
//! ```text
//! pipeline ─→ Archive { commit, save_snapshot, prune } ─→ archive.db
//!                                                            │
//!                     gRPC, fanout ←─ ArchiveReader { read, list, get }
//! ```
//!
//! Everything here is derived from the journal: the file may be deleted at any time, and a replay
//! restores it. A start replaces a missing or damaged file, or one of another version, by an empty
//! one. When a read finds damage ([`ArchiveReader::damaged`]), the process deletes the file and
//! ends; the next start rebuilds it. An intact file that does not fit the journal is evidence that
//! the journal has changed. Commits need no fsync of their own (`synchronous = NORMAL`): a power
//! failure may lose the last ones, which are then replayed.
//!
//! - [`Archive`] (`writer`): the only writer
//! - [`ArchiveReader`] (`reader`): a cheap handle for everyone else; also verifies a whole archive
//! - [`AlertRecord`], [`Snapshot`], [`AlertQuery`], [`AlertList`], [`AlertPage`]: what is stored,
//!   asked and returned
//! - `snapshots`: snapshots, in pieces
//! - [`IncomingArchive`] (`transfer`): the copy of another replica's archive, while it arrives
//! - [`Error`]: what can go wrong
//! - `file`: the tables, and how the file is opened
//! - `row`: a record as a row
//! - `conditions`: a filter as SQL
//! - `pool`: the readers' connections

mod conditions;
mod error;
#[cfg(test)]
mod faults;
mod file;
#[cfg(test)]
mod list_tests;
mod pool;
mod reader;
mod record;
mod row;
mod snapshots;
#[cfg(test)]
mod tests;
mod transfer;
mod writer;

pub use error::Error;
pub use reader::{ArchiveReader, READ_ALERTS_MAX};
pub use record::{AlertList, AlertPage, AlertQuery, AlertRecord, Snapshot};
pub use transfer::{IncomingArchive, format_digest};
pub use writer::Archive;
