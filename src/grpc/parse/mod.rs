//! Messages → domain values. Every bad field is named, with what was sent and what is allowed, all of them at once.

mod alerts;
mod entry;
mod figure;
mod markets;
mod name;
mod path;
mod policy;
mod publish;
mod report;
mod threat;
mod timeout;
mod violations;
mod what_if;

pub(super) use alerts::{Start, Subscribe, list_alerts, subscribe};
pub use entry::entry;
pub(super) use markets::{WatchMarkets, get_market, list_markets, list_threats, watch_markets};
pub use policy::policy;
pub use publish::publish;
pub(super) use timeout::timeout;
pub use violations::Violations;
pub(super) use what_if::{Simulate, backtest, simulate};

use path::Path;
use violations::Checks;

/// A field that may be left out: `Some(None)` where it is, `None` where it is wrong.
#[allow(clippy::option_option, reason = "left out and wrong are two things")]
type Optional<T> = Option<Option<T>>;
