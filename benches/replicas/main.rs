//! Many replicas over NATS: the cost of publishing, the delivery rate, and how soon a new replica
//! is ready, in one run.
//!
//! ```sh
//! bash tests/nats-server.sh                  # once: gets a nats-server
//! cargo bench --bench replicas
//! cargo bench --bench replicas -- --quick
//! ```
//!
//! - `publishing`: batches of one update through one replica, over 1 and 3 servers that sync every
//!   write, against publishing the same bytes with `async-nats` alone, and against the SQLite
//!   journal
//! - `deliveries`: subscribers over 1, 2 and 3 replicas of one stream
//! - `beginning`: from the start of a new replica to its first reply, with a million entries in the
//!   stream

#![allow(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark measures time, prints, calculates roughly and may fall over"
)]

mod beginning;
mod deliveries;
mod publishing;
mod servers;
#[path = "../shared/mod.rs"]
#[allow(dead_code, reason = "shared with other benchmarks")]
mod shared;

use clap::Parser;
use std::time::Duration;

/// Measures many replicas.
#[derive(Debug, Parser)]
struct Arguments {
    /// Shorter runs, and fewer entries.
    #[arg(long)]
    quick: bool,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let Arguments { quick, .. } = Arguments::parse();
    let seconds = Duration::from_secs(if quick { 2 } else { 8 });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        publishing::measure(seconds).await;
        deliveries::measure(seconds).await;
        beginning::measure(if quick { 100_000 } else { 1_000_000 }).await;
    });
}
