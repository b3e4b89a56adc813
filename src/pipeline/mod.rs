//! The pipeline: the one loop that turns journal entries into alerts.
//!
//! ```text
//! journal ─tail→ apply (engine) ─→ archive ─→ fan-out ring ─→ advance "applied"
//! ```
//!
//! A live node, a restart and a replica run the same loop: it consumes what the journal's tail
//! yields and nothing else, including the entries that this process appended.
//!
//! - [`Pipeline`]: the loop and everything it owns
//! - [`PipelineView`]: what the rest of the server sees of it; [`Stall`]: why it cannot continue
//! - `pending`: the alerts of applied entries until they are archived, bounded in memory
//! - `snapshots`: snapshots of the state, and the retention of alerts
//! - `digest`: the state digest, and the check that replicas agree
//! - [`append_due_ticks`]: time as an input, one journal entry per deadline

mod digest;
mod pending;
mod run;
mod snapshots;
mod ticks;
mod view;

pub use digest::Divergence;
pub use run::{EncodeAlert, Encoding, Error, Pipeline};
pub use snapshots::Retention;
pub use ticks::append_due_ticks;
pub use view::{PipelineView, Stall};
