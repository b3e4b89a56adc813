//! The ratios that have a target, each within one run of the benchmark.

use crate::run::Mode;
use crate::shared::report::Row;
use crate::system::System;
use crate::table::{COMPARED_SUBSCRIBERS, OWN_WINDOWS, READERS, SLOW_READERS};

/// A row whose every figure is the median of these rows of one plan; of an even number, the mean of
/// the middle two.
pub(crate) fn median(rows: &[Row]) -> Row {
    let middle = |figure: &dyn Fn(&Row) -> f64| {
        let mut figures: Vec<f64> = rows.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        f64::midpoint(figures[(figures.len() - 1) / 2], figures[figures.len() / 2])
    };
    let whole = |figure: &dyn Fn(&Row) -> Option<u64>| {
        figure(&rows[0])?;
        Some(middle(&|row| figure(row).map_or(0.0, |figure| figure as f64)).round() as u64)
    };
    Row {
        deliveries_per_s: middle(&|row| row.deliveries_per_s),
        server_cpu_s_per_million: middle(&|row| row.server_cpu_s_per_million),
        p50_us: whole(&|row| row.p50_us),
        p99_us: whole(&|row| row.p99_us),
        p999_us: whole(&|row| row.p999_us),
        bytes_per_idle_subscriber: whole(&|row| row.bytes_per_idle_subscriber),
        ..rows[0].clone()
    }
}

/// Rows by their plan.
struct Rows<'a>(&'a [Row]);

impl Rows<'_> {
    fn find(&self, system: System, mode: Mode, streams: usize, note: &str) -> Option<&Row> {
        let subscribers = [COMPARED_SUBSCRIBERS, COMPARED_SUBSCRIBERS * 9 / 10];
        self.0.iter().find(|row| {
            (row.system, row.mode, row.note.as_str()) == (system.name(), mode.name(), note)
                && subscribers.contains(&row.subscribers)
                && row.streams_per_connection == streams
        })
    }

    /// Our row with this note, against another system's.
    fn against(
        &self,
        other: System,
        mode: Mode,
        streams: usize,
        note: &str,
        figure: fn(&Row) -> f64,
    ) -> Option<f64> {
        let ours = self.find(System::Lodewatch, mode, streams, note)?;
        Some(figure(ours) / figure(self.find(other, mode, streams, "")?))
    }

    fn idle(&self, streams: usize) -> Option<f64> {
        let row = self.find(System::Lodewatch, Mode::Throughput, streams, "")?;
        row.bytes_per_idle_subscriber.map(|bytes| bytes as f64)
    }
}

/// Prints every ratio whose rows exist, with its target.
pub(crate) fn print(rows: &[Row]) {
    use Mode::{Paced, Throughput};
    use System::{Etcd, Lodewatch, NaiveTonic, Nats, RawTcp, Redis};
    let rows = Rows(rows);
    let say = |what: &str, ratio: Option<f64>, target: &str| {
        if let Some(ratio) = ratio {
            println!("{what:<75} {ratio:>8.2}  (target {target})");
        }
    };
    println!("\nratios at {COMPARED_SUBSCRIBERS} subscribers, in this run");
    let naive = |streams, mode, figure| rows.against(NaiveTonic, mode, streams, "", figure);
    say("deliveries/s against naive tonic", naive(1, Throughput, deliveries), ">= 3");
    say("the same, 100 streams per connection", naive(100, Throughput, deliveries), "-");
    let tcp = |note| rows.against(RawTcp, Throughput, 1, note, cpu);
    say("server CPU per delivery against plain TCP", tcp(""), "<= 2.2");
    say("the same with our client's windows", tcp(OWN_WINDOWS), "<= 1.3");
    for peer in [Nats, Redis] {
        let what = format!("server CPU per delivery against {}", peer.name());
        say(&what, rows.against(peer, Throughput, 1, "", cpu), "<= 0.5");
    }
    say("deliveries/s against etcd", rows.against(Etcd, Throughput, 1, "", deliveries), ">= 15");
    say("paced p99 against naive tonic", naive(1, Paced, p99), "<= 0.9");
    say("the same, 100 streams per connection", naive(100, Paced, p99), "<= 0.4");
    say("memory per idle subscription on its own connection, in kB", rows.idle(1).map(kb), "<= 24");
    say("the same, 100 streams per connection", rows.idle(100).map(kb), "<= 4");
    let alone = rows.find(Lodewatch, Throughput, 1, READERS);
    let slow = rows.find(Lodewatch, Throughput, 1, SLOW_READERS);
    let kept = slow.zip(alone).map(|(slow, alone)| deliveries(slow) / deliveries(alone));
    say("deliveries/s to reading subscribers, with one in ten never reading", kept, ">= 0.95");
}

fn deliveries(row: &Row) -> f64 {
    row.deliveries_per_s
}

fn cpu(row: &Row) -> f64 {
    row.server_cpu_s_per_million
}

fn p99(row: &Row) -> f64 {
    row.p99_us.map_or(0.0, |us| us as f64)
}

fn kb(bytes: f64) -> f64 {
    bytes / 1000.0
}
