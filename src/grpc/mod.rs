//! The edge: the only place that knows protobuf and gRPC.
//!
//! ```text
//! connection ─► transport ─► services ─► backend ─► journal, state, archive
//!                  │             └─► streams ─┘
//!                  └─ admission: limits
//! message ─ codec::parse ─► domain value ─ codec::render ─► message
//!                 └─ status: one table from our errors to gRPC codes with google.rpc details
//! ```
//!
//! Modules in reading order. Architecture invariant: each uses only those before it.
//!
//! - [`pb`]: generated messages and services
//! - `codec`: messages ↔ domain values; cursors, JSON, encoded alerts
//! - `trailers`: how large a status may be
//! - `status`: errors as gRPC statuses
//! - `admission`: limits on connections, streams, batches and rates
//! - `transport`: credentials, deadlines and counts of every call
//! - `backend`: the handle to journal, state and archive
//! - `streams`: `Subscribe`, `PublishStream`, `WatchMarkets`, `Backtest`
//! - `services`: one file per service, and the routes to them

/// The generated messages, of `lodewatch_proto`, and the generated services.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    reason = "generated code"
)]
pub mod pb;

mod codec;
mod status;
mod trailers;

mod admission;
mod transport;

mod backend;
mod streams;

mod services;

pub use admission::{
    ABANDONED_CALLS_LIMIT, AddressLimits, AdmittedConnection, FairPermits, LimitSettings, Limits,
    Peer, PublishCredits, TrustedProxies,
};
pub use backend::{Api, ArchiveCalls, MarketSnapshots, OpenAlerts, Simulations};
pub use codec::frames::{decode, encoding};
pub use codec::{json, parse, render};
pub use services::routes;
pub use transport::{CallEndSettings, GatedServices, methods, run_call};
