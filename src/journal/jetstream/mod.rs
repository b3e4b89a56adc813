//! The journal in a stream of NATS JetStream, which many replicas share.
//!
//! ```text
//!            ┌ many entries, one message, one PubAck ┐
//! append ──► writer ──────────────────────────────► stream ──► follower ──► window ──► tail, at the head
//!              ▲                                       │           │
//!              └── where the own group stands ─────────┼───────────┘        head ──► answers
//!                                                      └──────────────────────────► tail, further back
//! ```
//!
//! Every replica reads the same messages in the same order and counts the entries in them, so positions are the same
//! everywhere without anyone handing them out. A replica answers an append when the stream has acknowledged the message
//! **and** the follower has read it back: only then is its position known.
//!
//! A message may come twice, when its first way was so slow that the stream has forgotten its name. That does no harm: the
//! engine applies a batch, a tick and a policy once.
//!
//! - [`JetStream`]: the handle
//! - `connection`: to which servers, as whom
//! - `stream`: what the stream must be, made or checked · `proof`: that what it acknowledges is durable
//! - `message`: what a message holds
//! - `reading`: messages from a place on, without gaps · `locate`: the place of an entry
//! - `window`: the latest groups in memory · `tail`: the readers
//! - `writer`: the only one that appends
//! - `reach`: whether the stream answers

mod connection;
mod handle;
mod locate;
mod message;
mod proof;
mod reach;
mod reading;
mod stream;
mod tail;
#[cfg(test)]
pub(in crate::journal) mod tests;
mod window;
mod writer;

pub use handle::JetStream;
