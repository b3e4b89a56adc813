//! The table on standard output, and the rows of the JSON file.

use serde::Serialize;
use std::path::Path;

/// What one run came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// Which server.
    pub(crate) system: &'static str,
    /// `throughput` or `paced`.
    pub(crate) mode: &'static str,
    /// Open subscriptions that read.
    pub(crate) subscribers: usize,
    /// How many share a connection.
    pub(crate) streams_per_connection: usize,
    /// Alerts that reached a subscriber, in all, per second.
    pub(crate) deliveries_per_s: f64,
    /// CPU time of the server for a million of them, in seconds.
    pub(crate) server_cpu_s_per_million: f64,
    /// From before the alert is published to a subscriber's having it, in microseconds; paced runs only.
    pub(crate) p50_us: Option<u64>,
    /// The same.
    pub(crate) p99_us: Option<u64>,
    /// The same.
    pub(crate) p999_us: Option<u64>,
    /// Memory of the server for one more subscription that is open and idle; 100 subscribers and more.
    pub(crate) bytes_per_idle_subscriber: Option<u64>,
    /// What is special about this run; mostly nothing.
    pub(crate) note: String,
}

/// The latencies of which 500, 990 and 999 of 1,000 are below.
pub(crate) fn percentiles(mut latencies: Vec<u64>) -> [Option<u64>; 3] {
    latencies.sort_unstable();
    [500, 990, 999].map(|permille| latencies.get(latencies.len() * permille / 1000).copied())
}

/// Writes the rows to a file, if one is wanted.
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
