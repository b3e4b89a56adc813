//! Recent alerts in memory, and the readers that deliver them to subscribers.
//!
//! ```text
//!        archive (disk)                       ring (memory)            applied
//!  1 ──────────────────────────── floor ├───────────────────────────────┤
//!          ▲ reader below the floor            ▲ reader inside          ▲ reader at the end
//!            reads the archive                   shares messages          waits for the next entry
//! ```
//!
//! - [`Ring`]: the alerts of the latest entries, up to a limit in bytes
//! - `block`: a run of entries in the ring, with the messages made of them for each filter
//! - `messages`: alerts encoded as messages, one after the other in one buffer
//! - [`Reader`]: one subscriber's position and filter, and the loop that moves the position
//! - `lag`: the position of every reader, for the metrics
//!
//! Architecture invariant: there is no queue per subscriber. A reader that falls behind continues
//! from the archive, memory per subscriber is constant, and no subscriber can slow the writer.
//!
//! Encode once: the bytes of an alert are made when it is archived, its message when the first
//! reader with a given filter asks. All readers with that filter share the message, and a reader
//! that is behind gets many messages in one run.

mod block;
mod lag;
mod messages;
mod reader;
mod ring;
#[cfg(test)]
mod tests;

pub use messages::{EncodedRun, EntryAlerts, WriteMessage};
pub use reader::{Reader, ReaderEvent};
pub use ring::Ring;
