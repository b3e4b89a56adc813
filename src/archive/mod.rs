//! What was said: alerts by sequence, and snapshots of the state.
//!
//! ```text
//! the one loop ─→ Archive { commit, save_snapshot, prune } ─→ archive.db ─→ Reader { read, list, get } ─→ many threads
//! ```
//!
//! Everything here follows from the journal: the file may be deleted at any time and comes back by replay. A file that
//! is missing, damaged or of another version is replaced by an empty one; one that is found damaged while it is read
//! ([`Reader::damaged`]) is discarded, and the process ends to start anew. A whole one that does not fit the journal
//! bears witness that the journal is not what it was. Commits need no fsync of their own (`synchronous = NORMAL`): a
//! power cut may take the last ones, which are then replayed.
//!
//! - [`Archive`]: the one that writes
//! - [`Reader`]: a cheap handle for everyone else
//! - [`Record`], [`Snapshot`], [`Query`], [`Page`]: what goes in, what is asked, what comes out
//! - [`Arriving`]: a copy of another replica's, on its way
//! - `check`: proves a whole archive
//! - `file`: the tables, and how the file is opened
//! - `row`: a record as a row · `select`: a filter as SQL · `pool`: the readers' connections

mod check;
mod copy;
mod error;
#[cfg(test)]
mod faults;
mod file;
mod pool;
mod reader;
mod record;
mod row;
mod select;
#[cfg(test)]
mod tests;
mod writer;

pub use copy::{Arriving, hexadecimal};
pub use error::Error;
pub use reader::{READ_ALERTS_MAX, Reader};
pub use record::{Page, Query, Record, Snapshot};
pub use writer::Archive;
