//! Publishing to the real server, durable, against a server that only decodes and answers, and against one fdatasync, in the
//! same run.
//!
//! ```sh
//! cargo bench --bench ingest
//! cargo bench --bench ingest -- --quick --json out.json
//! ```
//!
//! `throughput`: batches of 100 reports that change shares and cross no threshold, 16 under way on one connection. The rows'
//! deliveries are acknowledged updates. `paced`: one update at a time, from before it is published to its alert at a
//! subscriber.

#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark measures time, prints, calculates roughly and may fall over"
)]
#![allow(
    dead_code,
    reason = "it shares files with the benchmark of fan-out, and not all of what is in them"
)]

#[path = "../fanout/lodewatch.rs"]
mod lodewatch_server;
mod null;
#[path = "../fanout/process.rs"]
mod process;
#[path = "../fanout/report.rs"]
mod report;

use clap::Parser;
use lodewatch::client;
use lodewatch::grpc::pb;
use lodewatch_server::{Server, share_of};
use pb::alert_service_client::AlertServiceClient;
use pb::feed_service_client::FeedServiceClient;
use pb::subscribe_response::Message;
use process::Process;
use report::Row;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Updates in a batch.
const BATCH: usize = 100;
/// Batches under way.
const IN_FLIGHT: usize = 16;
const WARM_UP: Duration = Duration::from_millis(500);

/// Measures publishing.
#[derive(Debug, Parser)]
struct Arguments {
    /// Shorter runs.
    #[arg(long)]
    quick: bool,
    /// Write the rows to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the server that only decodes.
    #[arg(long, hide = true, num_args = 2)]
    serve: Vec<String>,
}

fn main() {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if arguments.serve.is_empty() { measure(&arguments).await } else { null::serve().await }
    });
}

async fn measure(arguments: &Arguments) {
    let seconds = Duration::from_secs(if arguments.quick { 4 } else { 15 });
    report::head();
    let server = Server::start(1).await;
    let durable = throughput("lodewatch", &server.process, seconds).await;
    report::line(&durable, "updates in batches of 100, durable");
    drop(server);
    let null = Process::own("null", std::path::Path::new(""));
    let decoded = throughput("naive_tonic", &null, seconds).await;
    report::line(&decoded, "the same, only decoded");
    let fdatasync = fdatasync();
    let paced = paced(if arguments.quick { 300 } else { 2000 }).await;
    report::line(&paced, "one update, published to delivered");
    println!("\nin this run");
    println!(
        "durable updates/s against decoding them only  {:.2}  (target >= 0.4)",
        durable.deliveries_per_s / decoded.deliveries_per_s
    );
    println!(
        "published to delivered, p50: {} µs; one fdatasync, p50: {} µs  (target: 500 µs more)",
        paced.p50_us.unwrap(),
        fdatasync.as_micros()
    );
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&[durable, decoded, paced]).unwrap())
            .unwrap();
    }
}

async fn throughput(system: &'static str, process: &Process, seconds: Duration) -> Row {
    let feed = FeedServiceClient::new(client::connect(&process.address).await.unwrap());
    // Every turn has other shares, so that nothing is unchanged; the same for both servers.
    let turns: Vec<Vec<pb::Update>> = (0..20)
        .map(|turn| lodewatch_server::updates(0, BATCH, &share_of(0.70 + f64::from(turn) / 100.0)))
        .collect();
    let turns = Arc::new(turns);
    let (begin, mut calls, mut sent) = (Instant::now(), JoinSet::new(), 0);
    let (mut done, mut warm) = (0_usize, None);
    while begin.elapsed() < WARM_UP + seconds {
        while calls.len() < IN_FLIGHT {
            let (mut feed, turns, turn) = (feed.clone(), Arc::clone(&turns), sent % 20);
            sent += 1;
            calls.spawn(async move {
                feed.publish(lodewatch_server::request(turns[turn].clone())).await.unwrap();
            });
        }
        calls.join_next().await.unwrap().unwrap();
        done += BATCH;
        if warm.is_none() && begin.elapsed() >= WARM_UP {
            warm = Some((done, process.cpu_s(), Instant::now()));
        }
    }
    let (before, cpu_s, since) = warm.unwrap();
    let updates = (done - before) as f64;
    Row {
        system,
        mode: "throughput",
        subscribers: 0,
        streams_per_connection: 0,
        deliveries_per_s: updates / since.elapsed().as_secs_f64(),
        server_cpu_s_per_million: (process.cpu_s() - cpu_s) / updates * 1e6,
        p50_us: None,
        p99_us: None,
        p999_us: None,
        bytes_per_idle_subscriber: None,
    }
}

async fn paced(updates: usize) -> Row {
    let mut server = Server::start(1).await;
    let channel = client::connect(&server.process.address).await.unwrap();
    let from_head =
        pb::SubscribeRequest { start: pb::Start::Head.into(), ..pb::SubscribeRequest::default() };
    let mut stream =
        AlertServiceClient::new(channel).subscribe(from_head).await.unwrap().into_inner();
    let cpu_s = server.process.cpu_s();
    let begin = Instant::now();
    let mut latencies = Vec::new();
    for _ in 0..updates {
        let begin = Instant::now();
        let delivered = async {
            while !matches!(
                stream.message().await.unwrap().unwrap().message,
                Some(Message::Alerts(_))
            ) {}
            begin.elapsed()
        };
        server.publish(1).await;
        latencies.push(delivered.await.as_micros() as u64);
        server.settle().await;
    }
    latencies.sort_unstable();
    let at = |permille: usize| latencies.get(latencies.len() * permille / 1000).copied();
    Row {
        system: "lodewatch",
        mode: "paced",
        subscribers: 1,
        streams_per_connection: 1,
        deliveries_per_s: updates as f64 / begin.elapsed().as_secs_f64(),
        server_cpu_s_per_million: (server.process.cpu_s() - cpu_s) / updates as f64 * 1e6,
        p50_us: at(500),
        p99_us: at(990),
        p999_us: at(999),
        bytes_per_idle_subscriber: None,
    }
}

/// The median of a write of a page and an fdatasync, where the servers have their journals.
fn fdatasync() -> Duration {
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut times: Vec<Duration> = (0..500)
        .map(|_| {
            let begin = Instant::now();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
