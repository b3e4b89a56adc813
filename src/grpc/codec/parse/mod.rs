//! Messages → domain values. Every bad field is named, with what was sent and what is allowed, all of them at once.

mod alerts;
mod entry;
mod figure;
mod markets;
mod name;
mod policy;
mod publish;
mod report;
mod simulation;
mod threat;
mod violations;

pub(in crate::grpc) use alerts::{Start, Subscribe, list_alerts, subscribe};
pub use entry::entry;
pub(in crate::grpc) use markets::{
    WatchMarkets, get_market, list_markets, list_threats, watch_markets,
};
pub use policy::policy;
pub use publish::publish;
pub(in crate::grpc) use simulation::{Simulate, backtest, simulate};
pub use violations::Violations;

use violations::{Checks, Path};

/// A field that may be left out: `Some(None)` where it is, `None` where it is wrong.
#[allow(clippy::option_option, reason = "left out and wrong are two things")]
type Optional<T> = Option<Option<T>>;
