//! What Prometheus reads of a real server: clean, bounded, true, and all that the rules and the
//! dashboard ask for.
//!
//! Needs Prometheus and promtool: `bash tests/prometheus.sh` gets them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fall over"
)]

mod figures;
mod page;
mod prometheus;
mod tools;
mod world;
