//! Durable publishing to the real server, against a server that only decodes and replies, and
//! against one fdatasync, in the same run.
//!
//! ```sh
//! cargo bench --bench ingest
//! cargo bench --bench ingest -- --quick --json out.json
//! ```
//!
//! `throughput`: batches of 100 reports that change shares and cross no threshold, on one
//! connection: by unary calls, 16 in flight, and on one stream with all its credits. The rows'
//! deliveries are acknowledged updates. `paced`: one update at a time, from before it is published
//! to its alert at a subscriber.

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
mod null;
#[path = "../shared/mod.rs"]
mod shared;
mod throughput;

use clap::Parser;
use lodewatch_proto::v1 as pb;
use pb::alert_service_client::AlertServiceClient;
use pb::subscribe_response::Message;
use shared::arguments::Arguments;
use shared::lodewatch::Server;
use shared::report::{self, Row, percentiles};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};
use throughput::Way;

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
    let mut rows = Vec::new();
    for way in [Way::Unary, Way::Streamed] {
        let server = Server::start().await;
        rows.push(throughput::measure("lodewatch", &server.process, way, seconds, "durable").await);
        drop(server);
        let null = crate::shared::process::start_own("null", std::path::Path::new(""));
        rows.push(throughput::measure("naive_tonic", &null, way, seconds, "only decoded").await);
        rows.iter().rev().take(2).rev().for_each(report::line);
    }
    let (paced, fdatasync_us) = paced(if arguments.quick { 300 } else { 2000 }).await;
    report::line(&paced);
    println!("\nin this run");
    for (way, pair) in ["unary", "streamed"].iter().zip(rows.chunks(2)) {
        let ratio = pair[0].deliveries_per_s / pair[1].deliveries_per_s;
        let target = if *way == "streamed" { ">= 0.4" } else { "-" };
        println!(
            "durable updates/s against decoding them only, {way}: {ratio:.2}  (target {target})"
        );
    }
    let p50_us = paced.p50_us.unwrap();
    println!(
        "published to delivered, p50: {p50_us} µs; one fdatasync, p50: {fdatasync_us} µs; the rest: {} µs  (target <= 500)",
        p50_us.saturating_sub(fdatasync_us)
    );
    rows.push(paced);
    report::write(&rows, arguments.json.as_deref());
}

/// Also returns the median of one fdatasync, in microseconds, measured in turns with the updates.
async fn paced(updates: usize) -> (Row, u64) {
    let mut server = Server::start().await;
    let channel = lodewatch_client::connect(&server.process.address).await.unwrap();
    let from_head =
        pb::SubscribeRequest { start: pb::Start::Head.into(), ..pb::SubscribeRequest::default() };
    let mut stream =
        AlertServiceClient::new(channel).subscribe(from_head).await.unwrap().into_inner();
    // On the same disk as the servers' journals.
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let cpu_s = server.process.cpu_s();
    let (mut latencies, mut fdatasyncs) = (Vec::new(), Vec::new());
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
        fdatasyncs.push(fdatasync(&mut file).as_micros() as u64);
    }
    let waited_s = latencies.iter().sum::<u64>() as f64 / 1e6;
    let latencies = percentiles(latencies);
    let row = Row {
        system: "lodewatch",
        mode: "paced",
        subscribers: 1,
        streams_per_connection: 1,
        deliveries_per_s: updates as f64 / waited_s,
        server_cpu_s_per_million: (server.process.cpu_s() - cpu_s) / updates as f64 * 1e6,
        p50_us: latencies[0],
        p99_us: latencies[1],
        p999_us: latencies[2],
        bytes_per_idle_subscriber: None,
        note: "one update, published to delivered".to_owned(),
    };
    (row, percentiles(fdatasyncs)[0].unwrap())
}

/// Measures one write of a page with its fdatasync.
fn fdatasync(file: &mut File) -> Duration {
    let begin = Instant::now();
    file.write_all(&[7; 4096]).unwrap();
    file.sync_data().unwrap();
    begin.elapsed()
}
