//! The table on standard output, the rows of the JSON file, and the ratios.

use serde::Serialize;

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
}

pub(crate) fn head() {
    println!(
        "{:<12} {:<10} {:>6} {:>7} {:>12} {:>9} {:>8} {:>8} {:>8} {:>8}",
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

pub(crate) fn line(row: &Row, note: &str) {
    let number =
        |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    println!(
        "{:<12} {:<10} {:>6} {:>7} {:>12.0} {:>9.3} {:>8} {:>8} {:>8} {:>8}  {note}",
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
    );
}

/// Ratios with a target, each in this one run. `ours`: with the client's windows; `alone` and `slow`: without and with
/// subscribers that never read.
pub(crate) fn ratios(rows: &[Row], ours: &Row, alone: &Row, slow: &Row) {
    let find = |system: &str, mode: &str, streams: usize| {
        rows.iter().find(|row| {
            (row.system, row.mode) == (system, mode)
                && (row.subscribers, row.streams_per_connection) == (1000, streams)
        })
    };
    let say = |what: &str, ratio: Option<f64>, target: &str| {
        if let Some(ratio) = ratio {
            println!("{what:<75} {ratio:>6.2}  (target {target})");
        }
    };
    println!("\nratios at 1,000 subscribers, in this run");
    let of = |other: &str, what: &dyn Fn(&Row) -> f64, mode: &str, streams: usize| {
        Some(what(find("lodewatch", mode, streams)?) / what(find(other, mode, streams)?))
    };
    let (rate, cpu) = (|row: &Row| row.deliveries_per_s, |row: &Row| row.server_cpu_s_per_million);
    let p99 = |row: &Row| row.p99_us.map_or(0.0, |us| us as f64);
    say("deliveries/s against naive tonic", of("naive_tonic", &rate, "throughput", 1), ">= 3");
    say("the same, 100 streams a connection", of("naive_tonic", &rate, "throughput", 100), "-");
    say(
        "server CPU per delivery against plain TCP",
        of("raw_tcp", &cpu, "throughput", 1),
        "<= 2.2",
    );
    let tcp = find("raw_tcp", "throughput", 1);
    say("the same with our client's windows", tcp.map(|tcp| cpu(ours) / cpu(tcp)), "<= 1.3");
    for peer in ["nats", "redis"] {
        say(
            &format!("server CPU per delivery against {peer}"),
            of(peer, &cpu, "throughput", 1),
            "<= 0.5",
        );
    }
    say("deliveries/s against etcd", of("etcd", &rate, "throughput", 1), ">= 15");
    say("paced p99 against naive tonic", of("naive_tonic", &p99, "paced", 1), "<= 0.9");
    say("the same, 100 streams a connection", of("naive_tonic", &p99, "paced", 100), "<= 0.4");
    say(
        "deliveries/s to those who read, with one in ten who never does",
        Some(rate(slow) / rate(alone)),
        ">= 0.95",
    );
}
