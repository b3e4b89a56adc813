//! What tests and benchmarks of Lodewatch have in common. Not published.
//!
//! - [`process`]: the real program, and any other server, as a process of its own
//! - [`server`]: a server inside the test, with a clock that the test drives
//! - [`samples`]: updates to publish, and files to import
//! - [`proxy`]: a network that slows down, cuts and partitions connections
//! - [`recording`], [`oracle`], [`check`]: what a subscriber received, what it should have, and
//!   whether they agree
//! - [`certificates`]: authorities and certificates for tests
//! - [`metrics`]: the metrics of a server
//! - [`nats`]: real NATS servers · [`collector`]: a real collector of traces

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "a test may fail with a panic, and says what it did"
)]

pub mod certificates;
pub mod check;
pub mod collector;
pub mod metrics;
pub mod nats;
pub mod oracle;
pub mod process;
pub mod proxy;
pub mod recording;
pub mod samples;
pub mod server;

use std::time::Duration;

/// Longer than anything in a test takes: what hangs fails, before the test runner ends it.
pub const PATIENCE: Duration = Duration::from_secs(50);
