//! What the journal and the archive have in common as SQLite files.
//!
//! - [`open_writer`], [`open_reader`]: connections that plan each statement once
//! - [`is_damage`], [`is_full`], [`is_transient`]: what an error means for the file, and for a
//!   retry
//! - [`Checkpointer`], [`checkpoint`]: keep the write-ahead log short, off the commit path
//! - [`WorkerThread`]: a thread that is joined when its handle is dropped

mod checkpoint;
mod connection;
mod thread;

pub use checkpoint::{Checkpointer, CheckpointerStopped, checkpoint};
pub use connection::{is_damage, is_full, is_transient, open_reader, open_writer};
pub use thread::WorkerThread;
