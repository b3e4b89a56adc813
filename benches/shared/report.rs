//! The table on standard output, and the rows of the JSON file.

use serde::Serialize;
use std::path::Path;

/// The result of one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The server.
    pub(crate) system: &'static str,
    /// `throughput` or `paced`.
    pub(crate) mode: &'static str,
    /// Open subscriptions that read.
    pub(crate) subscribers: usize,
    /// Subscriptions per connection.
    pub(crate) streams_per_connection: usize,
    /// Alerts that reached a subscriber, in total, per second.
    pub(crate) deliveries_per_s: f64,
    /// CPU time of the server per million deliveries, in seconds.
    pub(crate) server_cpu_s_per_million: f64,
    /// Latency from before the alert is published to its arrival, in microseconds; paced runs only.
    pub(crate) p50_us: Option<u64>,
    /// The same.
    pub(crate) p99_us: Option<u64>,
    /// The same.
    pub(crate) p999_us: Option<u64>,
    /// Memory of the server per additional idle subscription; for 100 subscribers and more.
    pub(crate) bytes_per_idle_subscriber: Option<u64>,
    /// A note on a special run.
    pub(crate) note: String,
}

/// The latencies at p50, p99 and p99.9.
pub(crate) fn percentiles(mut latencies: Vec<u64>) -> [Option<u64>; 3] {
    latencies.sort_unstable();
    [500, 990, 999].map(|permille| latencies.get(latencies.len() * permille / 1000).copied())
}

/// Writes the rows to a file, if requested.
pub(crate) fn write(rows: &[Row], file: Option<&Path>) {
    if let Some(file) = file {
        std::fs::write(file, serde_json::to_vec_pretty(rows).unwrap()).unwrap();
    }
}

pub(crate) fn head() {
    println!(
        "{:<12} {:<10} {:>6} {:>7} {:>12} {:>9} {:>8} {:>8} {:>8} {:>8}  note",
        "system",
        "mode",
        "subs",
        "streams",
        "deliveries/s",
        "CPU s/M",
        "p50 µs",
        "p99 µs",
        "p999 µs",
        "B idle"
    );
}

pub(crate) fn line(row: &Row) {
    let number =
        |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    println!(
        "{:<12} {:<10} {:>6} {:>7} {:>12.0} {:>9.3} {:>8} {:>8} {:>8} {:>8}  {}",
        row.system,
        row.mode,
        row.subscribers,
        row.streams_per_connection,
        row.deliveries_per_s,
        row.server_cpu_s_per_million,
        number(row.p50_us),
        number(row.p99_us),
        number(row.p999_us),
        number(row.bytes_per_idle_subscriber),
        row.note,
    );
}
