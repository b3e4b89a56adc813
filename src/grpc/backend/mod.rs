//! What services and streams share to reach the journal and the state behind them.
//!
//! ```text
//! one batch ─► publish_batch ─► journal ─► applied ─► result
//! reads     ─► Api: wait for a cursor ─► view (state now), archive (history), past_state (replayed)
//! watches   ─► market_snapshots: every market, rendered once for all readers
//! ```
//!
//! - `api`: the handle to all of it, and the archive's reader
//! - `archive_calls`: calls that read the archive
//! - `publish_batch`: one batch, from its message to its result
//! - `market_snapshots`: markets as one destination sees them, shared by all who watch
//! - `open_alerts`: the sequences of the active alerts, shared by all who read them
//! - `call_end`: when work on a thread of its own must end
//! - `simulations`: the permits and budgets of calls that hold a state or a file of their own
//! - `past_state`: the state as it was

mod api;
mod archive_calls;
mod call_end;
mod market_snapshots;
mod open_alerts;
mod past_state;
mod publish_batch;
mod simulations;

pub use api::Api;
pub(in crate::grpc) use api::read_archive;
pub use archive_calls::ArchiveCalls;
pub(in crate::grpc) use archive_calls::read_archive_for;
pub(in crate::grpc) use call_end::CallEnd;
pub use market_snapshots::MarketSnapshots;
pub(in crate::grpc) use market_snapshots::{MarketSnapshot, market_digest, viewpoint};
pub use open_alerts::OpenAlerts;
pub(in crate::grpc) use past_state::{read_past_state, replay_entries};
pub(in crate::grpc) use publish_batch::publish_batch;
pub use simulations::Simulations;
pub(in crate::grpc) use simulations::run_with_permit;
