//! Start time of a node: from a snapshot, and from the first entry; beside the engine alone on the
//! same entries.
//!
//! ```sh
//! cargo bench --bench start                 # a million entries
//! cargo bench --bench start -- 10000000     # ten million: about 2 GB on the disk, some minutes
//! ```
//!
//! Compare only ratios between machines and days. Each entry is a batch of one report, which
//! changes nothing nine times out of ten, of forty markets in turn, under the default rules.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark measures time, prints, and may fall over"
)]

use lodewatch::clock::Clock;
use lodewatch::config::Config;
use lodewatch::grpc::{self, pb};
use lodewatch::journal::{Error, JournalReader, write_journal};
use lodewatch::server::Node;
use lodewatch_core::domain::update::RequestId;
use lodewatch_core::domain::{Entry, Mineral, Payload, Seq, Timestamp};
use lodewatch_core::engine::State;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

fn main() {
    let given = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let entries: u64 = given.unwrap_or(1_000_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let writing = timed(|| write_journal::<Error>(dir.path(), journal(entries)).unwrap());
    let engine = timed(|| engine_alone(dir.path()));
    let verify = timed(|| JournalReader::open(dir.path()).unwrap().verify().unwrap());
    let replay = timed(|| start_and_stop(dir.path()));
    let snapshot = timed(|| start_and_stop(dir.path()));
    let count = f64::from(u32::try_from(entries).unwrap());
    let rate = |took: Duration| count / took.as_secs_f64();
    println!("{entries} entries");
    println!("written as a copy                    {:>10.0} /s", rate(writing));
    println!("read, checked and applied, no archive {:>9.0} /s", rate(engine));
    println!("verified                             {:>10.0} /s", rate(verify));
    println!("start without a snapshot             {:>10.0} /s", rate(replay));
    println!("  of the engine alone                {:>10.2}", rate(replay) / rate(engine));
    println!("start with a snapshot                {:>10.0} ms", snapshot.as_secs_f64() * 1000.0);
}

fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let begin = Instant::now();
    run();
    begin.elapsed()
}

/// Opens a node, serves no client, and stops it as SIGTERM does.
fn start_and_stop(dir: &Path) {
    let mut config = Config { data_dir: dir.to_owned(), ..Config::built_in() };
    config.console.listen = None;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (clock, _hand) = Clock::manual("2026-06-01T00:00:00Z".parse().unwrap());
        let node = Node::open(config, clock).await.unwrap();
        let drain = CancellationToken::new();
        drain.cancel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        node.serve(listener, drain).await.unwrap();
    });
}

fn engine_alone(dir: &Path) {
    let mut state = State::default();
    for entry in JournalReader::open(dir).unwrap() {
        state.apply(&entry.unwrap());
    }
}

/// The policy, then reports.
fn journal(entries: u64) -> impl Iterator<Item = Result<Entry, Error>> {
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let policy =
        Payload::PolicyAdopted { revision: 0, policy: Arc::new(Config::built_in().policy) };
    let minerals: Vec<Mineral> = Mineral::all().take(40).collect();
    let reports: Vec<Payload> = (0..80).map(|which| report(&minerals, which)).collect();
    (1..=entries).map(move |seq| {
        let payload = if seq == 1 { policy.clone() } else { with_id(&reports, seq) };
        Ok(Entry { seq: Seq(seq), at: at.plus_millis(seq), payload })
    })
}

/// The same report of a market ten times, then another one.
fn with_id(reports: &[Payload], seq: u64) -> Payload {
    let (market, turn) = (seq % 40, seq / 400 % 2);
    let which = usize::try_from(market * 2 + turn).unwrap();
    let Payload::Batch(mut batch) = reports.get(which).unwrap().clone() else { unreachable!() };
    batch.request_id = RequestId(u128::from(seq));
    Payload::Batch(batch)
}

fn report(minerals: &[Mineral], which: usize) -> Payload {
    let share = if which.is_multiple_of(2) { 0.9 } else { 0.3 };
    let rest = (1.0 - share) / 4.0;
    let mineral = minerals.get(which / 2).unwrap().slug();
    let json = format!(
        r#"{{"feed":"bench","updates":[{{"report":{{"mineral":"{mineral}","stage":"STAGE_REFINING","source":"USGS",
        "period":"2024","vintage":"2025-01-31","rows":[{{"country":"CHN","share":{share}}},
        {{"country":"USA","share":{rest}}},{{"country":"JPN","share":{rest}}},{{"country":"DEU","share":{rest}}},
        {{"country":"AUS","share":{rest}}}]}}}}]}}"#
    );
    let request: pb::PublishRequest = grpc::json::from_json(&json).unwrap();
    Payload::Batch(grpc::parse::publish(&request, uuid::Uuid::new_v4).unwrap())
}
