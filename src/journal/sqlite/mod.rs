//! The journal in a SQLite file of its own, `journal.db`: the default store.
//!
//! ```text
//! append ─encode─→ bounded queue ─→ thread "journal": one fsync for a group ─→ head, answers
//!                                     │ every 4 MiB
//!                                     ▼
//!                                   thread "journal checkpoint": moves the log into the file
//! tail ──── a read-only connection of its own, up to the head
//! ```
//!
//! - [`SqliteJournal`] (`handle`): the store
//! - `file`: the files on disk, how they are opened, and whether they are still in place
//! - `tables`: the content of the file, and how it is verified
//! - `wal`: what a crash left in the write-ahead log
//! - `writer`: the only thread that writes
//! - `tail`: the readers
//! - [`JournalReader`] (`reader`), [`write_journal`] (`write`): for tools, without a server

mod file;
mod handle;
mod reader;
mod tables;
mod tail;
mod wal;
mod write;
mod writer;

pub use handle::SqliteJournal;
pub use reader::JournalReader;
pub use write::write_journal;
