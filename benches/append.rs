//! Durable appends with group commit, against a bare file with one write and one fdatasync per
//! batch, in the same run.
//!
//! ```sh
//! cargo bench --bench append
//! ```
//!
//! Compare only ratios between machines and days. Entries are ticks and batches of one removal, of
//! about 150 bytes.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark measures time, prints, and may fall over"
)]

use lodewatch::journal::{Journal, SqliteJournal, codec};
use lodewatch_core::domain::update::{Removal, RequestId};
use lodewatch_core::domain::{Batch, Payload, Seq, Slug, Timestamp, Update};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Appends in flight, and entries in total.
const RUNS: [(usize, usize); 4] = [(1, 4_000), (16, 64_000), (256, 512_000), (4096, 1_024_000)];

struct Measured {
    entries_per_second: f64,
    p50: Duration,
    p99: Duration,
}

fn main() {
    let bytes = codec::encode(&payload()).unwrap().len();
    println!("entries of {bytes} bytes; latency of an append, and of a bare write and fdatasync");
    println!(
        "{:>9} {:>11} {:>9} {:>9} {:>11} {:>9} {:>9} {:>6}",
        "in flight", "journal/s", "p50 µs", "p99 µs", "bare/s", "p50 µs", "p99 µs", "ratio"
    );
    for (in_flight, entries) in RUNS {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bare = bare(dir.path(), in_flight, entries, bytes);
        let journal = journal(dir.path(), in_flight, entries);
        println!(
            "{in_flight:>9} {:>11.0} {:>9} {:>9} {:>11.0} {:>9} {:>9} {:>6.2}",
            journal.entries_per_second,
            journal.p50.as_micros(),
            journal.p99.as_micros(),
            bare.entries_per_second,
            bare.p50.as_micros(),
            bare.p99.as_micros(),
            journal.entries_per_second / bare.entries_per_second,
        );
    }
    delivery();
}

/// Latency from the call of an append to a waiting tail that yields the entry, one at a time.
fn delivery() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let journal = SqliteJournal::open(dir.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let mut tail = journal.tail(Seq::ZERO).unwrap();
    let measured = measure(2_000, 1, || {
        runtime.block_on(async {
            let (appended, entries) =
                tokio::join!(journal.append(Timestamp::MIN, payload()), tail.next());
            assert_eq!(entries.unwrap().last().unwrap().seq, appended.unwrap());
        });
    });
    let (p50, p99) = (measured.p50.as_micros(), measured.p99.as_micros());
    println!("append to tail, one at a time: p50 {p50} µs, p99 {p99} µs");
}

fn journal(dir: &Path, in_flight: usize, entries: usize) -> Measured {
    let journal = Arc::new(SqliteJournal::open(dir).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let begin = Instant::now();
    let latencies = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..in_flight {
            let journal = Arc::clone(&journal);
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                for _ in 0..entries / in_flight {
                    let begin = Instant::now();
                    journal.append(Timestamp::MIN, payload()).await.unwrap();
                    latencies.push(begin.elapsed());
                }
                latencies
            });
        }
        tasks.join_all().await.into_iter().flatten().collect()
    });
    Measured::new(entries, begin.elapsed(), latencies)
}

fn bare(dir: &Path, in_flight: usize, entries: usize, bytes: usize) -> Measured {
    let mut file = File::create(dir.join("bare")).unwrap();
    let batch = vec![7_u8; bytes * in_flight];
    measure(entries / in_flight, in_flight, || {
        file.write_all(&batch).unwrap();
        file.sync_data().unwrap();
    })
}

fn measure(times: usize, entries_each: usize, mut run: impl FnMut()) -> Measured {
    let begin = Instant::now();
    let mut one = || {
        let begin = Instant::now();
        run();
        begin.elapsed()
    };
    let latencies = (0..times).map(|_| one()).collect();
    Measured::new(times * entries_each, begin.elapsed(), latencies)
}

impl Measured {
    fn new(entries: usize, took: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let at = |percent: usize| *latencies.get(latencies.len() * percent / 100).unwrap();
        let entries = f64::from(u32::try_from(entries).unwrap());
        Self { entries_per_second: entries / took.as_secs_f64(), p50: at(50), p99: at(99) }
    }
}

fn payload() -> Payload {
    let name = |byte: &str| Slug::parse(&byte.repeat(Slug::LEN_MAX)).unwrap();
    let updates = vec![Update::Removal(Removal { threat: name("T"), revision: Some(1) })];
    Payload::Batch(Batch {
        request_id: RequestId(u128::MAX),
        digest: 1,
        feed: name("f"),
        exercise: false,
        updates,
        sender: None,
        trace: None,
    })
}
