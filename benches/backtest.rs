//! The cost of a backtest to publishers: latency of durable publishes on a real server, with and
//! without a backtest of a long journal, in turns within one run.
//!
//! ```sh
//! cargo bench --bench backtest
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark measures time, prints, and may fall over"
)]

use lodewatch::clock::Clock;
use lodewatch::config::Config;
use lodewatch::grpc::json::from_json;
use lodewatch::grpc::{parse, render};
use lodewatch::journal::{Journal, SqliteJournal};
use lodewatch::server::Node;
use lodewatch_core::domain::{Payload, Seq, Timestamp};
use lodewatch_proto::v1::backtest_response::Message;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::policy_service_client::PolicyServiceClient;
use lodewatch_proto::v1::{BacktestRequest, PublishRequest, Update};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

/// Entries in the journal before the measurement.
const ENTRIES: usize = 1_000_000;
/// Appends in flight while it is written.
const IN_FLIGHT: usize = 4096;
/// Publishes of one turn without a backtest.
const PUBLISHES: usize = 2_000;
/// Turns; each measures without, then beside a backtest.
const TURNS: usize = 3;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let begin = Instant::now();
    write_journal(dir.path()).await;
    println!("wrote {ENTRIES} entries in {:.1} s", begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    let mut config = Config { data_dir: dir.path().to_owned(), ..Config::built_in() };
    config.console.listen = None;
    let clock = Clock::system(config.clock.jump_max_ms);
    let node = Node::open(config, clock).await.unwrap();
    let took = begin.elapsed().as_secs_f64();
    println!("full replay in {took:.1} s: {:.2} M entries/s", 1.0 / took);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let drain = CancellationToken::new();
    let serving = tokio::spawn(node.serve(listener, drain.clone()));
    let channel = lodewatch_client::connect(&address).await.unwrap();
    println!(
        "{:>5} {:>12} {:>12} {:>12} {:>12} {:>7} {:>9}",
        "turn", "p50 µs", "p99 µs", "beside p50", "beside p99", "p99 ×", "entries/s"
    );
    for turn in 1..=TURNS {
        let alone = publish(&channel, |sent| sent >= PUBLISHES).await;
        let ended = Arc::new(AtomicBool::new(false));
        let test = tokio::spawn(backtest(channel.clone(), Arc::clone(&ended)));
        let beside = publish(&channel, |_| ended.load(Ordering::Relaxed)).await;
        let rate = test.await.unwrap();
        let (a50, a99, b50, b99) =
            (at(&alone, 50), at(&alone, 99), at(&beside, 50), at(&beside, 99));
        println!(
            "{turn:>5} {a50:>12} {a99:>12} {b50:>12} {b99:>12} {:>7.2} {rate:>9.0}",
            f64::from(b99) / f64::from(a99)
        );
    }
    drop(channel);
    drain.cancel();
    serving.await.unwrap().unwrap();
}

async fn write_journal(dir: &Path) {
    let journal = Arc::new(SqliteJournal::open(dir).unwrap());
    let updates: Vec<Vec<Update>> = (0..2).map(|turn| vec![report(turn)]).collect();
    let mut tasks = JoinSet::new();
    for writer in 0..IN_FLIGHT {
        let (journal, updates) = (Arc::clone(&journal), updates.clone());
        tasks.spawn(async move {
            for turn in 0..ENTRIES / IN_FLIGHT {
                let id = u128::try_from(writer * ENTRIES + turn).unwrap();
                let request = PublishRequest {
                    feed: "bench".into(),
                    updates: updates[turn % 2].clone(),
                    ..PublishRequest::default()
                };
                let batch = parse::publish(&request, || Uuid::from_u128(id)).unwrap();
                journal.append(Timestamp::MIN, Payload::Batch(batch)).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
}

/// A report that crosses no threshold and changes from turn to turn.
fn report(turn: usize) -> Update {
    from_json(&format!(
        r#"{{"report":{{"mineral":"tin","stage":"STAGE_REFINING","source":"USGS","period":"2025","vintage":"2026-01-01",
        "rows":[{{"country":"CHN","share":0.1{turn}}},{{"country":"IDN","share":0.1}},{{"country":"PER","share":0.1}},
        {{"country":"MYS","share":0.1}},{{"country":"BOL","share":0.1}},{{"country":"THA","share":0.1}},
        {{"country":"BRA","share":0.1}},{{"country":"BEL","share":0.1}},{{"country":"RUS","share":0.1}}]}}}}"#
    ))
    .unwrap()
}

/// Publishes one at a time until `ended`; returns sorted latencies in µs.
async fn publish(channel: &Channel, ended: impl Fn(usize) -> bool) -> Vec<u32> {
    let mut client = FeedServiceClient::new(channel.clone());
    let mut latencies = Vec::new();
    while !ended(latencies.len()) {
        let request = PublishRequest {
            request_id: Uuid::new_v4().to_string(),
            feed: "bench".into(),
            updates: vec![report(latencies.len() % 2)],
            exercise: false,
        };
        let begin = Instant::now();
        client.publish(request).await.unwrap();
        latencies.push(u32::try_from(begin.elapsed().as_micros()).unwrap());
    }
    latencies.sort_unstable();
    latencies
}

/// Runs a backtest to its end; returns entries per second.
async fn backtest(channel: Channel, ended: Arc<AtomicBool>) -> f64 {
    let policy = render::policy(&Config::built_in().policy, Seq::ZERO, Timestamp::default());
    let request = BacktestRequest { policy: Some(policy), ..BacktestRequest::default() };
    let begin = Instant::now();
    let mut stream =
        PolicyServiceClient::new(channel).backtest(request).await.unwrap().into_inner();
    let mut entries = 0;
    while let Some(response) = stream.message().await.unwrap() {
        if let Some(Message::Progress(progress)) = response.message {
            entries = progress.entries;
        }
    }
    ended.store(true, Ordering::Relaxed);
    let took: Duration = begin.elapsed();
    f64::from(u32::try_from(entries).unwrap()) / took.as_secs_f64()
}

fn at(sorted: &[u32], percent: usize) -> u32 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
