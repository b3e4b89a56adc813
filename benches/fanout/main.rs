//! Fan-out of the real server against what else could be taken, on the same work, in the same run.
//!
//! ```sh
//! cargo bench --bench fanout                           # the whole table, about a quarter of an hour
//! cargo bench --bench fanout -- --quick --json out.json  # under five minutes
//! ```
//!
//! - `lodewatch`: the real binary; updates are published, made durable, applied, archived and streamed
//! - `naive_tonic`: a broadcast channel, every alert cloned and encoded for each subscriber
//! - `raw_tcp`: the same bytes written to plain sockets: the floor
//! - `nats`, `redis`, `etcd`: where they are installed; they hand the same bytes on
//!
//! Every server is a process of its own, so that its CPU time can be read; publisher and subscribers are this one. Subscribers
//! of all gRPC servers are the same bare HTTP/2 client that counts messages without decoding them. No server may lose a
//! message. `throughput`: alerts as fast as all subscribers take them, eight to a message. `paced`: one alert at a time.
//!
//! Only ratios compare between machines and days.

#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark measures time, prints, calculates roughly and may fall over"
)]

mod load;
mod lodewatch;
mod naive_tonic;
mod process;
mod raw_tcp;
mod report;
mod run;
mod subscribers;

use clap::Parser;
use report::Row;
use run::{Mode, Plan, System};
use std::path::PathBuf;
use subscribers::Windows;

/// Measures fan-out.
#[derive(Debug, Parser)]
struct Arguments {
    /// Fewer and shorter runs: under five minutes.
    #[arg(long)]
    quick: bool,
    /// Write the rows to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only these systems.
    #[arg(long, value_name = "SYSTEM")]
    only: Vec<String>,
    /// Only runs with so many subscribers.
    #[arg(long, value_name = "NUMBER")]
    subscribers: Option<usize>,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be one of the servers, on the message in a file.
    #[arg(long, hide = true, num_args = 2)]
    serve: Vec<String>,
}

fn main() {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match arguments.serve.as_slice() {
            [system, message] if system == "naive_tonic" => naive_tonic::serve(message).await,
            [system, message] if system == "raw_tcp" => raw_tcp::serve(message).await,
            [] => measure(&arguments).await,
            [..] => panic!("unknown server"),
        }
    });
}

async fn measure(arguments: &Arguments) {
    let mut rows: Vec<Row> = Vec::new();
    let mut systems = vec![System::Lodewatch, System::NaiveTonic, System::RawTcp];
    systems.retain(|one| arguments.only.is_empty() || arguments.only.contains(&one.name().into()));
    report::head();
    let is_wanted = |all: usize| arguments.subscribers.is_none_or(|only| only == all);
    for (mode, subscribers, streams) in plans(arguments.quick) {
        if !is_wanted(subscribers) {
            continue;
        }
        for system in &systems {
            if *system == System::RawTcp && streams > 1 {
                continue;
            }
            let plan = Plan::new(*system, mode, subscribers, streams, arguments.quick);
            let row = run::run(&plan).await;
            report::line(&row, "");
            rows.push(row);
        }
    }
    if systems.contains(&System::Lodewatch) && is_wanted(1000) {
        let plan = |subscribers| {
            Plan::new(System::Lodewatch, Mode::Throughput, subscribers, 1, arguments.quick)
        };
        let ours = run::run(&Plan { windows: Windows::OURS, ..plan(1000) }).await;
        report::line(&ours, "with the windows of lodewatch::client");
        // The same number of readers in both, so that what differs is who does not read.
        let alone = run::run(&plan(900)).await;
        report::line(&alone, "900 who read");
        let slow = run::run(&Plan { never_read: 100, ..plan(1000) }).await;
        report::line(&slow, "900 who read, 100 who never do");
        report::ratios(&rows, &ours, &alone, &slow);
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
    }
}

/// Mode, subscribers, streams on a connection.
fn plans(quick: bool) -> Vec<(Mode, usize, usize)> {
    let sizes: &[(usize, usize)] = if quick {
        &[(1, 1), (100, 1), (1000, 1), (1000, 100)]
    } else {
        &[(1, 1), (100, 1), (1000, 1), (5000, 1), (100, 100), (1000, 100), (5000, 100)]
    };
    let modes = [Mode::Throughput, Mode::Paced];
    modes.iter().flat_map(|mode| sizes.iter().map(|(all, each)| (*mode, *all, *each))).collect()
}
