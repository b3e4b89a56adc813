//! Who may begin what: limits on connections, streams, batches and rates, per peer.
//!
//! ```text
//! connection ─► AddressLimits ─► Peer ─► Limits ─► a permit, held by the stream or call until it ends
//!                     ▲            │ dropped within a second, or not authenticated
//!                     └─ CallGuard ┘
//! ```
//!
//! - `limits`: streams, batches under way, updates a second; every limit and its setting
//! - `peer`: the other end of a connection, and the abandoned calls of its address
//! - `open_counts`, `rates`: how much each holder has open, and how often it may act

mod limits;
mod open_counts;
mod peer;
mod rates;

pub use limits::{LimitSettings, Limits, PublishCredits};
pub(in crate::grpc) use limits::{PublishStreamPermit, StreamPermit, TransferPermit};
pub use peer::{AddressLimits, ConnectionRejected, Peer};
