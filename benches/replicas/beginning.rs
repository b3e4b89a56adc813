//! How soon a new replica is ready.

use crate::servers::Servers;
use crate::shared::lodewatch::{request, serve, share_of, updates};
use lodewatch::grpc::parse;
use lodewatch::journal::{JetStreamJournal, Journal};
use lodewatch_core::domain::update::RequestId;
use lodewatch_core::domain::{Payload, Timestamp};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Appends under way.
const IN_FLIGHT: usize = 4096;

pub(crate) async fn measure(entries: u64) {
    let servers = Servers::start(1).await;
    let writing = timed(async || fill(&servers, entries).await).await;
    println!(
        "a new replica, with {entries} entries in the stream, nine in ten of which change nothing"
    );
    println!(
        "written through one journal           {:>8.0} entries/s",
        entries as f64 / writing.as_secs_f64()
    );
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let settings = servers.toml("BEGIN");
    let begin = Instant::now();
    let first = serve(dir.path(), &settings);
    let took = begin.elapsed();
    println!(
        "ready from the stream alone           {:>8.2} s, {:.0} entries/s",
        took.as_secs_f64(),
        entries as f64 / took.as_secs_f64()
    );
    let other = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let begin = Instant::now();
    fetch(&first.address, other.path());
    let fetched = begin.elapsed();
    let second = serve(other.path(), &settings);
    println!(
        "ready with the archive of the first   {:>8.2} s, of that {:.2} s to fetch it",
        begin.elapsed().as_secs_f64(),
        fetched.as_secs_f64()
    );
    drop(second);
    let begin = Instant::now();
    let _again = serve(other.path(), &settings);
    println!("ready again on its own disk           {:>8.2} s", begin.elapsed().as_secs_f64());
}

fn fetch(address: &str, dir: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lodewatch"));
    let fetched =
        command.args(["--address", address, "archive", "fetch", "--data-dir"]).arg(dir).output();
    assert!(fetched.unwrap().status.success());
}

async fn timed(run: impl AsyncFnOnce()) -> Duration {
    let begin = Instant::now();
    run().await;
    begin.elapsed()
}

/// Forty markets in turn, each ten times with one share, then ten times with another.
async fn fill(servers: &Servers, entries: u64) {
    let lock = tempfile::tempdir().unwrap();
    let journal = JetStreamJournal::open(&servers.settings("BEGIN"), lock.path()).await.unwrap();
    let batches: Vec<Payload> = [share_of(0.9), share_of(0.3)]
        .iter()
        .flat_map(|rows| {
            (0..40).map(move |market| {
                let batch = request(updates(market, 1, rows));
                Payload::Batch(parse::publish(&batch, uuid::Uuid::new_v4).unwrap())
            })
        })
        .collect();
    let at: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let mut next = 0;
    while next < entries {
        let until = entries.min(next + IN_FLIGHT as u64);
        let appends = (next..until).map(|number| {
            let (market, turn) = (number % 40, number / 400 % 2);
            let which = usize::try_from(turn * 40 + market).unwrap();
            let Payload::Batch(mut batch) = batches[which].clone() else { unreachable!() };
            batch.request_id = RequestId(u128::from(number) + 1);
            journal.append(at, Payload::Batch(batch))
        });
        for appended in futures_util::future::join_all(appends).await {
            appended.unwrap();
        }
        next = until;
    }
}
