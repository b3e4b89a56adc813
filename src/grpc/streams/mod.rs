//! The long-lived calls: each is one stream that ends itself, at a drain, a deadline, or when its
//! credentials are revoked.
//!
//! ```text
//! ring, archive ─► subscription ─► pre-encoded frames
//! snapshots     ─► market_watch ─► the markets that changed
//! batches       ─► publish_stream ─► one answer per batch, in order
//! journal       ─► backtest ─► alerts under another policy
//! ```
//!
//! `work_stream` carries the messages of a backtest, or of a copy of the archive, from its thread.
//! `snapshot` reads the active alerts with which a subscription may begin. `stream_timer` says when
//! a subscription's heartbeat and its end are due.
//!
//! Architecture invariant: nothing is queued per reader. A stream looks at shared data when its
//! reader is ready; its permit lives inside it.

mod backtest;
mod market_watch;
mod publish_stream;
mod snapshot;
mod stream_timer;
mod subscription;
mod work_stream;

pub(super) use backtest::start_backtest;
pub(super) use market_watch::{WatchStream, watch_markets};
pub(super) use publish_stream::{PublishStream, publish_batches};
pub(super) use subscription::subscribe;
pub(super) use work_stream::{WorkSender, WorkStream, start_work};
