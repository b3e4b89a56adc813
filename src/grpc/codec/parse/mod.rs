//! Messages → domain values. Every invalid field is named, all at once, with what was sent and what
//! is allowed.

mod alerts;
mod dates;
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

pub(in crate::grpc) use alerts::{StartPoint, SubscribeParams, list_alerts, subscribe};
pub use entry::entry;
pub(in crate::grpc) use markets::{
    WatchMarketsParams, get_market, list_markets, list_threats, watch_markets,
};
pub(in crate::grpc) use name::check_length;
pub use policy::policy;
pub use publish::publish;
pub(in crate::grpc) use publish::publish_by;
pub(in crate::grpc) use simulation::{SimulateParams, backtest, simulate};
pub use violations::Violations;

use violations::{Checks, Path};

/// An optional field: `Some(None)` where it is absent, `None` where it is invalid.
#[allow(clippy::option_option, reason = "absent and invalid are different")]
type Optional<T> = Option<Option<T>>;
