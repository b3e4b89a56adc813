//! The durable, totally ordered record of inputs, and the only truth that Lodewatch keeps.
//!
//! ```text
//! append ─→ codec ─→ one writer: many entries, one fsync ─→ head ─→ tail ─→ pipeline
//! ```
//!
//! - [`Journal`], [`Tail`]: the contract that every store keeps; one suite of tests checks them all
//! - [`Error`], [`Damage`]: what can go wrong
//! - [`codec`]: the bytes of an entry
//! - `queue`: appends that wait, gathered into groups
//! - [`SqliteJournal`]: the store in a file of this machine, the default
//! - [`JournalReader`], [`write_journal`]: read such a file without a server, or make one
//! - [`JetStreamJournal`]: the store in a NATS stream that many replicas share
//! - [`MemoryJournal`]: the store for tests
//! - [`ReadAhead`]: a tail that a thread reads ahead, for recovery at the start

pub mod codec;
mod contract;
#[cfg(test)]
mod contract_tests;
mod data_dir;
mod error;
#[cfg(test)]
mod faults;
mod jetstream;
mod memory;
mod queue;
mod read_ahead;
#[cfg(test)]
pub(crate) mod samples;
mod sqlite;

pub use contract::{
    BoxFuture, ENTRY_BYTES_MAX, Journal, StateDigest, TAIL_BYTES_MAX, TAIL_ENTRIES_MAX, Tail,
};
pub use error::{Damage, Error, JournalLocation};
pub use jetstream::JetStreamJournal;
pub use memory::MemoryJournal;
pub use read_ahead::ReadAhead;
pub use sqlite::{JournalReader, SqliteJournal, write_journal};
