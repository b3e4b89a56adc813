//! What services and streams share to reach the journal and the state behind them.
//!
//! ```text
//! one batch ─► publish_batch ─► journal ─► applied ─► result
//! reads     ─► Api: wait for a cursor ─► view (state now), archive (history), past_state (replayed)
//! watches   ─► market_snapshots: every market, rendered once for all readers
//! ```
//!
//! - `api`: the handle to all of it, and the archive's reader
//! - `publish_batch`: one batch, from its message to its result
//! - `market_snapshots`: markets as one destination sees them, shared by all who watch
//! - `open_alerts`: the sequences of the active alerts, shared by all who read them
//! - `past_state`: the state as it was, and the permits of calls that hold a state of their own

mod api;
mod market_snapshots;
mod open_alerts;
mod past_state;
mod publish_batch;

pub use api::Api;
pub(in crate::grpc) use api::read_archive;
pub use market_snapshots::MarketSnapshots;
pub(in crate::grpc) use market_snapshots::{MarketSnapshot, market_digest, viewpoint};
pub use open_alerts::OpenAlerts;
pub(in crate::grpc) use past_state::{acquire_simulation, run_with_permit, state_as_of};
pub(in crate::grpc) use publish_batch::publish_batch;
