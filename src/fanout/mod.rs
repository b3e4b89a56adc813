//! Who is listening: recent alerts in memory, and readers that own their place in them.
//!
//! ```text
//!        archive (disk)                       ring (memory)            head
//!  1 ──────────────────────────── floor ├───────────────────────────────┤
//!          ▲ a reader below the floor          ▲ inside: shared frames   ▲ at the head: waits for the doorbell
//! ```
//!
//! Architecture invariant: there is no queue per subscriber. Falling behind is not an error but the other branch of the
//! same loop, memory per subscriber is constant, and nobody can slow the writer.

mod reader;
mod ring;

pub use reader::{Reader, Step};
pub use ring::{Frame, Ring};
