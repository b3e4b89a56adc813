//! Who may begin what: limits on connections, streams, batches and rates, per peer.
//!
//! ```text
//! connection ─► AddressLimits ─► Peer ─► Limits ─► a permit, held by the stream or call until it ends
//!                     ▲            │ cancelled before it was answered, or not authenticated
//!                     └─ CallGuard ┘
//! ```
//!
//! - `limits`: streams, batches under way, updates a second; every limit and its setting
//! - `peer`: the other end of a connection, and the limits of its address
//! - `call_guard`: abandoned calls, and what follows
//! - `proxies`: which client a trusted proxy acts for
//! - `fair_permits`: permits of which one identity holds at most half
//! - `open_counts`, `rates`: how much each holder has open, and how often it may act

mod call_guard;
mod fair_permits;
mod limits;
mod open_counts;
mod peer;
mod proxies;
mod rates;

pub use call_guard::ABANDONED_CALLS_LIMIT;
pub(in crate::grpc) use call_guard::CallGuard;
pub use fair_permits::FairPermits;
pub use limits::{LimitSettings, Limits, PublishCredits};
pub(in crate::grpc) use limits::{PublishStreamPermit, StreamPermit, TransferPermit};
pub use peer::{AddressLimits, AdmittedConnection, Peer};
pub use proxies::TrustedProxies;
