//! Fan-out of the real server against alternatives, with the same load, in the same run.
//!
//! ```sh
//! cargo bench --bench fanout                              # all of it, about half an hour
//! cargo bench --bench fanout -- --quick --json out.json   # under five minutes
//! cargo bench --bench fanout -- --hold 600                # memory, with 100 of 1,000 subscribers never reading
//! cargo bench --bench fanout -- --behind 1000000          # live subscribers beside one that catches up
//! ```
//!
//! - `lodewatch`: the real binary: updates are published, synced, applied, archived and streamed
//! - `naive_tonic`: a broadcast channel, every alert cloned and encoded for each subscriber
//! - `raw_tcp`: the same bytes written to plain sockets: the floor
//! - `nats`, `redis`, `etcd`: if they are installed; they forward the same bytes
//!
//! Every server is a separate process, so that its CPU time can be read; publisher and subscribers
//! are this one. Subscribers of all gRPC servers are the same bare HTTP/2 client that counts
//! messages without decoding them (etcd's are counted inside its messages); the others count bytes.
//! No server may lose a message. `throughput`: alerts as fast as all subscribers read them.
//! `paced`: one at a time. Each alert is a message, and an entry of the real server's journal,
//! which limits its throughput with few subscribers.
//!
//! At 1,000 subscribers all systems run in turns, and each row is the median of its turns, because
//! short runs are noisy.
//!
//! Compare only ratios between machines and days.

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

mod behind;
mod etcd;
mod frames;
mod hold;
mod load;
mod message;
mod naive_tonic;
mod orders;
mod peer;
mod push;
mod ratios;
mod raw_tcp;
mod run;
#[path = "../shared/mod.rs"]
mod shared;
mod subscribers;
mod system;
mod table;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use shared::report::{self, Row};
use system::System;
use table::Extent;

/// The lag of the slow subscriber in the whole run, in alerts.
const BEHIND_ALERTS: usize = 1_000_000;

/// Measures fan-out.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    shared: shared::arguments::Arguments,
    /// Only these systems.
    #[arg(long, value_name = "SYSTEM", value_parser = PossibleValuesParser::new(System::ALL.map(System::name)))]
    only: Vec<String>,
    /// Only runs with this number of subscribers.
    #[arg(long, value_name = "NUMBER")]
    subscribers: Option<usize>,
    /// Only hold the load for this time, with 100 of 1,000 subscribers never reading, and measure
    /// memory.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    hold: Option<u32>,
    /// Only publish this number of alerts, and measure live subscribers beside one with that lag;
    /// the whole run uses 1,000,000.
    #[arg(long, value_name = "ALERTS", conflicts_with = "hold")]
    behind: Option<usize>,
}

fn main() {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match arguments.shared.serve.as_slice() {
            [system, message] if system == "naive_tonic" => naive_tonic::serve(message).await,
            [system, message] if system == "raw_tcp" => raw_tcp::serve(message).await,
            [] => measure(&arguments).await,
            [..] => panic!("unknown server"),
        }
    });
}

async fn measure(arguments: &Arguments) {
    let extent = if arguments.shared.quick { Extent::QUICK } else { Extent::FULL };
    let message = message::Message::make().await;
    let rows = match (arguments.hold, arguments.behind) {
        (Some(seconds), _) => vec![hold::hold(seconds, &message).await],
        (None, Some(alerts)) => behind::behind(alerts, extent.seconds, &message).await,
        (None, None) => whole(arguments, extent, &message).await,
    };
    report::write(&rows, arguments.shared.json.as_deref());
}

async fn whole(arguments: &Arguments, extent: Extent, message: &message::Message) -> Vec<Row> {
    let systems = System::wanted(&arguments.only);
    let mut rows = table::measure(extent, &systems, arguments.subscribers, message).await;
    ratios::print(&rows);
    let is_narrowed = !arguments.only.is_empty() || arguments.subscribers.is_some();
    if !arguments.shared.quick && !is_narrowed {
        rows.extend(behind::behind(BEHIND_ALERTS, extent.seconds, message).await);
    }
    rows
}
