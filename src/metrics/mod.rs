//! Metrics: counters, gauges and histograms for Prometheus.
//!
//! Created once, in `server`, and passed down. This module uses no other, so every module may use
//! it. Nothing is global: metrics that are not registered, as in a test of another module, are not
//! exported.
//!
//! To add a metric: add a field and its `register` line to one of the structs below, and a method
//! that updates it.
//!
//! - `server`: [`Metrics`], all metrics of a server, and the [`page`] that Prometheus scrapes
//! - `calls`: [`CallMetrics`], calls and rejections; [`ConnectionMetrics`]
//! - `handshakes`: [`HandshakeMetrics`], TLS handshakes that failed, by reason
//! - `pipeline`: [`JournalMetrics`], [`PipelineMetrics`], [`DeliveryMetrics`]: the path of an
//!   entry; [`WorkMetrics`]: work for single calls
//! - `gauges`: [`Gauges`], values that are read at every scrape
//! - `feeds`: [`FeedMetrics`], all metrics of `lodewatch feed`, which has none of the others
//! - `process`: the process, under the metric names that all exporters use
//! - `histogram`: [`Histogram`], updated without locks
//!
//! Architecture invariant: labels are methods, codes, limits, levels and sources, which the program
//! and its settings name. No label has a value from a client.

mod calls;
mod feeds;
mod gauges;
mod handshakes;
mod histogram;
mod pipeline;
#[cfg(target_os = "linux")]
mod process;
mod server;

pub use calls::{CallMetrics, ConnectionMetrics, Method, OngoingCall, OpenConnection};
pub use feeds::FeedMetrics;
pub use gauges::Gauges;
pub use handshakes::{HandshakeFailure, HandshakeMetrics};
pub use histogram::Histogram;
pub use pipeline::{DeliveryMetrics, JournalMetrics, PipelineMetrics, WorkMetrics};
pub use server::{Metrics, page};

use std::time::Duration;

/// A Unix time in milliseconds as the seconds that Prometheus expects; 0 before 1970.
fn unix_seconds(millis: i64) -> f64 {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0)).as_secs_f64()
}
