//! Updates applied per second by one core: the engine alone, without journal, archive or network.
//!
//! ```sh
//! cargo bench --bench engine
//! ```
//!
//! Time is CPU time of the thread. First on the bundled data with the default policy, then on grids
//! that grow in one dimension at a time: the cost of an update should not depend on the number of
//! markets and measures that it does not affect. Every update changes something.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark measures time, prints, and may fall over"
)]

use lodewatch::config::{self, Config};
use lodewatch::grpc::json::from_json;
use lodewatch::grpc::{parse, pb};
use lodewatch_core::domain::{Batch, Entry, Mineral, Payload, Seq, Timestamp};
use lodewatch_core::engine::State;
use lodewatch_importers::bundled;
use lodewatch_proto::v1::{PublishRequest, Update};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Updates of one batch.
const BATCH: usize = 100;
/// Updates of one measurement.
const UPDATES: usize = 200_000;

fn main() {
    bundled_data();
    println!(
        "\n{:>8} {:>6} {:>9} {:>14} {:>10} {:>14} {:>10} {:>14}",
        "markets",
        "rules",
        "measures",
        "reports/s",
        "ns each",
        "threats/s",
        "ns each",
        "unchanged/s"
    );
    for (markets, rules, measures) in
        [(200, 40, 200), (50, 40, 200), (10, 40, 200), (200, 40, 20), (200, 10, 200), (200, 1, 200)]
    {
        grid(markets, rules, measures);
    }
}

fn bundled_data() {
    let mut bench = Bench::new(Config::built_in());
    let reports = lines(bundled::REPORTS);
    let threats = lines(bundled::THREATS);
    bench.take(&reports);
    threats.chunks(BATCH).for_each(|chunk| bench.take(chunk));
    let alerts = bench.alerts;
    let changed =
        [1, 2].map(|turn| reports.iter().map(|one| vintage(one, turn)).collect::<Vec<_>>());
    let rate = bench.measure(&changed);
    let emitted = bench.alerts - alerts;
    println!(
        "bundled data, default policy: {:.0} updates/s, {:.0} ns each; {emitted} alerts",
        rate,
        1e9 / rate
    );
}

fn grid(markets: usize, rules: usize, measures: usize) {
    let mut bench = Bench::new(policy(rules));
    let names: Vec<(String, &str)> = Mineral::all()
        .filter(|mineral| !Mineral::all().any(|other| other.parent() == Some(*mineral)))
        .flat_map(|mineral| ["MINING", "REFINING"].map(|stage| (mineral.slug().to_owned(), stage)))
        .take(markets)
        .collect();
    let reports: Vec<Vec<Update>> = (0..2)
        .map(|turn| names.iter().map(|(mineral, stage)| report(mineral, stage, turn)).collect())
        .collect();
    let threats: Vec<Vec<Update>> = (0..2)
        .map(|turn| (0..measures).map(|at| threat(at, &names[at % names.len()], turn)).collect())
        .collect();
    for updates in [&reports[0], &threats[0]] {
        updates.chunks(BATCH).for_each(|chunk| bench.take(chunk));
    }
    let data = bench.measure(&[reports[1].clone(), reports[0].clone()]);
    let measures_changed = bench.measure(&[threats[1].clone(), threats[0].clone()]);
    let unchanged = bench.measure(&reports[..1]);
    println!(
        "{:>8} {rules:>6} {measures:>9} {data:>14.0} {:>10.0} {measures_changed:>14.0} {:>10.0} {unchanged:>14.0}",
        names.len(),
        1e9 / data,
        1e9 / measures_changed,
    );
}

/// CPU time of this thread, so that other load on the machine does not count.
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

struct Bench {
    state: State,
    alerts: usize,
    requests: u128,
}

impl Bench {
    fn new(config: Config) -> Self {
        let mut bench = Self { state: State::default(), alerts: 0, requests: 0 };
        bench.apply(Payload::PolicyAdopted { revision: 0, policy: Arc::new(config.policy) });
        bench
    }

    /// Applies these turns repeatedly, each in batches; returns updates per second. No batch has
    /// two updates of one market or threat.
    fn measure(&mut self, turns: &[Vec<Update>]) -> f64 {
        let batches: Vec<Batch> = turns
            .iter()
            .flat_map(|turn| turn.chunks(BATCH))
            .map(|chunk| self.batch(chunk))
            .collect();
        let round: usize = turns.iter().map(Vec::len).sum();
        let rounds = UPDATES.div_ceil(round);
        // Made before the clock starts, as the journal's tail makes them.
        let payloads: Vec<Payload> = (0..rounds)
            .flat_map(|_| &batches)
            .map(|batch| {
                self.requests += 1;
                let mut batch = batch.clone();
                batch.request_id = lodewatch_core::domain::update::RequestId(self.requests);
                Payload::Batch(batch)
            })
            .collect();
        let begin = on_cpu();
        for payload in payloads {
            self.apply(payload);
        }
        let took = on_cpu().saturating_sub(begin);
        f64::from(u32::try_from(rounds * round).unwrap()) / took.as_secs_f64()
    }

    fn take(&mut self, updates: &[Update]) {
        let batch = self.batch(updates);
        self.apply(Payload::Batch(batch));
    }

    fn batch(&mut self, updates: &[Update]) -> Batch {
        self.requests += 1;
        let id = Uuid::from_u128(self.requests);
        let request = PublishRequest {
            feed: "bench".into(),
            updates: updates.to_vec(),
            ..PublishRequest::default()
        };
        parse::publish(&request, || id).unwrap_or_else(|why| panic!("{why}"))
    }

    fn apply(&mut self, payload: Payload) {
        let seq = Seq(self.state.seq().0 + 1);
        let at: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        self.alerts += self.state.apply(&Entry { seq, at, payload }).alerts.len();
    }
}

fn lines(text: &str) -> Vec<Update> {
    text.lines().map(|line| from_json(line).unwrap()).collect()
}

/// The same report with a later vintage and slightly different shares.
fn vintage(update: &Update, turn: usize) -> Update {
    let mut update = update.clone();
    if let Some(pb::update::Update::Report(report)) = &mut update.update {
        report.vintage = "2026-03-01".into();
        if let Some(pb::supply_row::Figure::Quantity(quantity)) =
            report.rows.first_mut().and_then(|row| row.figure.as_mut())
        {
            *quantity += f64::from(u32::try_from(turn).unwrap());
        }
        if let Some(pb::supply_row::Figure::Share(share)) =
            report.rows.first_mut().and_then(|row| row.figure.as_mut())
        {
            *share -= 0.001 * f64::from(u32::try_from(turn).unwrap());
        }
    }
    update
}

/// Ten countries whose shares change a little from turn to turn.
fn report(mineral: &str, stage: &str, turn: usize) -> Update {
    const COUNTRIES: [&str; 10] =
        ["CHN", "AUS", "BRA", "CAN", "CHL", "COD", "IDN", "RUS", "USA", "ZAF"];
    let mut rows = String::new();
    for (at, country) in COUNTRIES.iter().enumerate() {
        let share = if at == 0 { 400 + turn } else { 50 };
        let comma = if at == 0 { "" } else { "," };
        write!(rows, r#"{comma}{{"country":"{country}","share":0.{share:03}}}"#).unwrap();
    }
    from_json(&format!(
        r#"{{"report":{{"mineral":"{mineral}","stage":"STAGE_{stage}","source":"USGS","period":"2025",
        "vintage":"2026-01-01","rows":[{rows}]}}}}"#
    ))
    .unwrap()
}

/// A threat to one market whose weight changes from turn to turn.
fn threat(at: usize, (mineral, stage): &(String, &str), turn: usize) -> Update {
    let imposing = ["CHN", "COD", "IDN", "RUS"][at % 4];
    from_json(&format!(
        r#"{{"threat":{{"id":"T-{at}","title":"Tax","imposing":"{imposing}","minerals":["{mineral}"],
        "stages":["STAGE_{stage}"],"measure":"MEASURE_TAX","dateEffective":"2025-01-01",
        "tOverride":1.{turn}}}}}"#
    ))
    .unwrap()
}

/// This number of rules on every market, over all metrics.
fn policy(rules: usize) -> Config {
    const METRICS: [(&str, f64); 5] = [
        ("hhi", 9000.0),
        ("top1_share", 0.9),
        ("hhi_t", 9500.0),
        ("restricted_share", 0.95),
        ("cr3", 0.99),
    ];
    let mut text = String::new();
    for at in 0..rules {
        let (metric, raise) = METRICS[at % METRICS.len()];
        write!(
            text,
            "[[rules]]\nname = \"rule-{at}\"\nmetric = \"{metric}\"\nlevels = [{{ level = \"watch\", raise = {raise} }}]\n"
        )
        .unwrap();
        if matches!(metric, "hhi_t" | "restricted_share") {
            let destination = ["USA", "JPN", "DEU", "KOR"][at / METRICS.len() % 4];
            writeln!(text, "destinations = [\"{destination}\"]").unwrap();
        }
    }
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    config::check(Some(file.path())).unwrap_or_else(|problems| panic!("{problems}"))
}
