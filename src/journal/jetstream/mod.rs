//! The journal in a NATS `JetStream` stream, which many replicas share.
//!
//! ```text
//!            ┌ many entries, one PubAck ┐
//! append ──► writer ────────────────► stream ──► reader ──► recent groups ──► tail at the head
//!              ▲                         │          │
//!              └─ positions of its group ┼──────────┘       head ──► answers
//!                                        └──────────────────────────► tail, further back
//! ```
//!
//! Every replica reads the same messages in the same order and counts the entries in them, so
//! positions are the same everywhere without a coordinator. A replica answers an append when the
//! stream has acknowledged the message **and** the reader has read it back: only then is its
//! position known.
//!
//! A message may be in the stream twice, when its first copy arrived so late that the stream had
//! forgotten its name. That does no harm: the engine applies a batch, a tick and a policy once.
//!
//! - [`JetStreamJournal`] (`handle`): the store
//! - `connection`: the servers, credentials and timeouts
//! - `stream`: creates the stream, or checks its settings
//! - `durability`: verifies that acknowledged messages are durable
//! - `message`: the bytes of a message
//! - `reader`: messages from a position on, without gaps; finds the position of an entry
//! - `recent_groups`: the latest groups in memory
//! - `tail`: the readers
//! - `writer`: the only task that appends batches
//! - `monitor`: whether the stream answers, and is still the same one

mod connection;
mod durability;
mod handle;
mod message;
mod monitor;
mod reader;
mod recent_groups;
mod stream;
mod tail;
#[cfg(test)]
pub(in crate::journal) mod tests;
mod writer;

pub use handle::JetStreamJournal;
