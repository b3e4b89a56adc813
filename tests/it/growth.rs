//! Publishers within their limits, for as long as may be: what the server keeps in memory and in
//! its snapshots does not grow with how long it runs. Some batches on every change, and ten million
//! updates by `tests/growth.sh`, which prints the report.

use fastrand::Rng;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::update::Update as Content;
use lodewatch_proto::v1::{PublishRequest, Update};
use lodewatch_testkit::metrics;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::samples::{ban, removal, report};
use lodewatch_testkit::server::batch;
use tonic::Code;

/// How many updates by default, in batches of so many.
const UPDATES: usize = 40_000;
const BATCH: usize = 500;
/// Where it is measured, batches are smaller: the results of 65,536 of them are kept for retries,
/// and so many must be published before that limit is reached.
const BATCH_MEASURED: usize = 50;
/// The run is measured so many times. What is there after the first of these must suffice.
const PARTS: usize = 10;
const SETTLED: usize = 4;
/// What later parts may add, in percent: noise of the allocator.
const GROWTH_PERCENT_MAX: f64 = 20.0;
/// A batch in so many is rejected.
const REJECTED: usize = 8;

const MINERALS: [&str; 8] =
    ["bismuth", "cobalt", "gallium", "germanium", "graphite", "indium", "tungsten", "vanadium"];
const FEEDS: usize = 4;
const YEARS: usize = 10;
const DAYS: usize = 28;
const THREATS: usize = 400;

/// What the server keeps, in bytes.
struct Kept {
    memory: f64,
    snapshot: f64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_does_not_grow_with_the_number_of_updates() {
    let given = std::env::var_os("LODEWATCH_GROWTH_UPDATES");
    let is_measured = given.is_some();
    let updates = given.map_or(UPDATES, |text| text.to_str().unwrap().parse().unwrap());
    let size = if is_measured { BATCH_MEASURED } else { BATCH };
    let batches = updates.div_ceil(size).next_multiple_of(PARTS);
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("lodewatch.toml");
    let address = metrics::free_address();
    let text = format!(
        "metrics.listen = \"{address}\"\nserver.updates_per_second_max = 100000000\n\
         fanout.ring_bytes_max = 1048576\narchive.snapshot_every_entries = {}\n\
         archive.keep_bytes = {}",
        batches / PARTS,
        64 << 20,
    );
    std::fs::write(&settings, text).unwrap();
    let process = Process::serve_with(&dir.path().join("data"), &settings);
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    let mut feed = FeedServiceClient::new(channel);
    let mut random = Rng::with_seed(17);
    let mut parts: Vec<Kept> = Vec::new();
    for part in 1..=PARTS {
        for turn in 0..batches / PARTS {
            let request = random_batch(&mut random, turn, size);
            let answer = feed.publish(request).await;
            let code = answer.err().map_or(Code::Ok, |status| status.code());
            let expected = if turn.is_multiple_of(REJECTED) { Code::NotFound } else { Code::Ok };
            assert_eq!(code, expected);
        }
        let metrics = metrics::read(address).await;
        let snapshot = metrics::value(&metrics, "lodewatch_snapshot_bytes").unwrap();
        let memory = f64::from(u32::try_from(process.memory_kb()).unwrap()) * 1024.0;
        println!("{:>10} updates: {memory} B, snapshot {snapshot} B", part * updates / PARTS);
        parts.push(Kept { memory, snapshot });
    }
    let (settled, later) = parts.split_at(SETTLED);
    let settled = settled.last().unwrap();
    for kept in later {
        assert!(is_flat(settled.memory, kept.memory), "memory grew to {} B", kept.memory);
        assert!(is_flat(settled.snapshot, kept.snapshot), "snapshots grew to {} B", kept.snapshot);
    }
}

fn is_flat(settled: f64, later: f64) -> bool {
    later * 100.0 <= settled * (100.0 + GROWTH_PERCENT_MAX)
}

/// A batch of a feed's own sources and threats; one of [`REJECTED`] removes what is not there.
fn random_batch(random: &mut Rng, turn: usize, size: usize) -> PublishRequest {
    let feed = random.usize(..FEEDS);
    let update = |random: &mut Rng| match random.u8(..4) {
        0 => random_ban(random, feed),
        _ => random_report(random, feed),
    };
    let updates = if turn.is_multiple_of(REJECTED) {
        (0..size).map(|at| removal(&format!("none-{turn}-{at}"))).collect()
    } else {
        (0..size).map(|_| update(random)).collect()
    };
    PublishRequest { feed: format!("feed-{feed}"), ..batch(updates) }
}

fn random_report(random: &mut Rng, feed: usize) -> Update {
    let share = f64::from(random.u8(1..=90)) / 100.0;
    let year = (2010 + random.usize(..YEARS)).to_string();
    let rows = [("CHN", share), ("USA", 0.05)];
    let mut update = report(random.choice(MINERALS).unwrap(), &year, &rows);
    let Some(Content::Report(report)) = &mut update.update else { unreachable!() };
    report.source = format!("SOURCE-{feed}");
    report.vintage = format!("2024-01-{:02}", 1 + random.usize(..DAYS));
    update
}

fn random_ban(random: &mut Rng, feed: usize) -> Update {
    let id = format!("T-{feed}-{}", random.usize(..THREATS));
    let by = random.choice(["CHN", "USA", "COD", "IDN"]).unwrap();
    let toward = random.choice(["all", "JPN", "DEU"]).unwrap();
    let day = format!("2025-{:02}-01", random.u8(1..=12));
    ban(&id, by, toward, random.choice(MINERALS).unwrap(), &day)
}
