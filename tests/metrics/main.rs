//! The metrics of a real server: well-formed, bounded, correct, and complete for the alerting rules
//! and the dashboard.
//!
//! Needs Prometheus and promtool: `bash tests/prometheus.sh` installs them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod exported;
mod page;
mod prometheus;
mod snapshots;
mod tools;
mod world;
