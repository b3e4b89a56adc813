//! The journal in a SQLite file of its own, `journal.db`; the default store.
//!
//! ```text
//! append ─encode─→ bounded channel ─→ thread "journal": all that wait in one transaction, one fsync ─→ head, answers
//!                                       │ every so many pages
//!                                       ▼
//!                                     thread "checkpoint": moves the write-ahead log into the file
//! tail ──── a read-only connection of its own, up to the head
//! ```
//!
//! - [`Embedded`]: the handle
//! - `file`: what is on disk, and how it is opened · `tables`: what is in it, and how it is proved
//! - `failure`: what went wrong
//! - `writer`: the only one that writes
//! - `place`: whether the open files are still in their place
//! - `log`: what a crash left in the write-ahead log
//! - `checkpoint`: keeps the write-ahead log short, off the commit path
//! - `tail`: the readers
//! - [`Reading`], [`write_new`]: for tools, a file that is only read, and one that is made out of entries
//! - `thread`: threads that are waited for

mod copy;
mod failure;
mod file;
mod handle;
mod log;
mod place;
mod reading;
mod tables;
mod tail;
mod writer;

pub use copy::write_new;
pub use handle::Embedded;
pub use reading::Reading;
