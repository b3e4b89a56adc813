//! Who is listening: recent alerts in memory, and readers that own their place in them.
//!
//! ```text
//!        archive (disk)                       ring (memory)            head
//!  1 ──────────────────────────── floor ├───────────────────────────────┤
//!          ▲ a reader below the floor          ▲ inside: shared messages ▲ at the head: waits for the doorbell
//! ```
//!
//! Architecture invariant: there is no queue per subscriber. Falling behind is not an error but the other branch of the
//! same loop, memory per subscriber is constant, and nobody can slow the writer.
//!
//! Encode once: an alert's bytes are made when it is archived, its message when the first reader of a filter asks. All
//! readers of that filter share the message, and one that is behind takes many of them in one slice.

mod block;
mod messages;
mod places;
mod reader;
mod ring;
#[cfg(test)]
mod tests;

pub use messages::{Frame, Slice, Write};
pub use reader::{Reader, Step};
pub use ring::Ring;
