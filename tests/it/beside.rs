//! A publisher and reader beside hostile clients: for a moment on every change, to see that it is
//! served, that nothing acknowledged is lost and that memory stays bounded; for longer by
//! `tests/hostile.sh`, which prints a report.

use crate::access::{connect_to, identities};
use crate::beside_calls::{self, CallAttack};
use crate::raw_http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, Raw, call, frame,
    header,
};
use lodewatch_client::Connection;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::{GetMarketRequest, Stage, Update};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::process::{Process, json_lines, run};
use lodewatch_testkit::samples::{report, swing};
use lodewatch_testkit::server::batch;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

/// How long each attack lasts by default.
const MILLIS: u64 = 200;
/// The load of others: a durable batch and a read every so often.
const PACE: Duration = Duration::from_millis(10);
/// The fewest turns that have to be answered beside an attack, however slow the machine is.
const TURNS_MIN: usize = 5;
/// The part of their turns that others get beside an attack, in percent, where it is measured.
const PERCENT_MIN: usize = 90;
/// How long a restart afterwards may take, where it is measured.
const RESTART_MAX: Duration = Duration::from_secs(2);
/// The server's memory under all attacks.
const MEMORY_KIB_MAX: u64 = 256 * 1024;
/// Hostile connections at a time; more where it is measured.
const ATTACKERS: usize = 2;
const ATTACKERS_MEASURED: usize = 8;

const SUBSCRIBE: &str = "/lodewatch.v1.AlertService/Subscribe";

#[derive(Clone, Copy, Debug)]
enum Attack {
    RapidReset,
    EndlessHeaders,
    Pings,
    UnreadStreams,
    ConnectionChurn,
    Calls(CallAttack),
}

const RAW: [Attack; 5] = [
    Attack::RapidReset,
    Attack::EndlessHeaders,
    Attack::Pings,
    Attack::UnreadStreams,
    Attack::ConnectionChurn,
];

impl Attack {
    /// One connection's worth of it, until the server has had enough. Counts what was sent.
    async fn once(self, address: &str, sent: &AtomicUsize) {
        if let Self::Calls(calls) = self {
            return calls.once(address, sent).await;
        }
        // SETTINGS_INITIAL_WINDOW_SIZE is 0 for streams that are not read.
        let window: &[u8] =
            if matches!(self, Self::UnreadStreams) { &[0, 4, 0, 0, 0, 0] } else { &[] };
        let Ok(mut raw) = Raw::try_connect(address, window).await else { return };
        sent.fetch_add(1, Ordering::Relaxed);
        let token = header("authorization", &format!("Bearer {}", beside_calls::IDENTITY.0));
        let subscribe = [call(SUBSCRIBE), token].concat();
        let mut turn = 0_u32;
        loop {
            let stream = turn * 2 + 1;
            let bytes = match self {
                Self::RapidReset => {
                    let mut both = frame(HEADERS, END_HEADERS, stream, &subscribe);
                    both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                    both
                }
                Self::EndlessHeaders if turn == 0 => frame(HEADERS, 0, 1, &subscribe),
                Self::EndlessHeaders => frame(CONTINUATION, 0, 1, &header("x", &"a".repeat(1000))),
                Self::Pings => frame(PING, 0, 0, &[7; 8]).repeat(100),
                Self::UnreadStreams => {
                    let mut whole = frame(HEADERS, END_HEADERS, stream, &subscribe);
                    whole.extend(frame(DATA, END_STREAM, stream, &[0; 5]));
                    whole
                }
                Self::ConnectionChurn | Self::Calls(_) => return,
            };
            turn += 1;
            let is_full = matches!(self, Self::UnreadStreams) && turn > 150;
            if is_full || raw.send(&bytes).await.is_err() {
                return;
            }
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A publisher that also reads, and is on good terms with the server.
const FRIEND: (&str, &str) =
    ("friend", "roles = [\"subscriber\", \"publisher\"]\nfeeds = [\"test\"]");

/// How many turns of a publisher and reader beside the attack were answered, at an even pace, and
/// the slowest of a hundred.
async fn take_turns(connection: &Connection, length: Duration) -> (usize, Duration) {
    let mut feed = FeedServiceClient::new(connection.clone());
    let mut markets = MarketServiceClient::new(connection.clone());
    let (mut pace, end) = (interval(PACE), Instant::now() + length);
    let mut took = Vec::new();
    while Instant::now() < end || took.len() < TURNS_MIN {
        pace.tick().await;
        let begun = Instant::now();
        let published = feed.publish(batch(vec![swing("gallium", took.len())]));
        timeout(PATIENCE, published).await.expect("an answer in time").expect("it is accepted");
        let stage = Stage::Refining.into();
        let market = GetMarketRequest { mineral: "gallium".into(), stage, ..Default::default() };
        let read = markets.get_market(market);
        timeout(PATIENCE, read).await.expect("an answer in time").expect("it is known");
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    (took.len(), took[took.len() * 99 / 100])
}

/// Markets with open alerts, so that a snapshot has some bytes.
fn markets() -> Vec<Update> {
    const MINERALS: [&str; 8] =
        ["bismuth", "cobalt", "gallium", "germanium", "graphite", "indium", "tungsten", "vanadium"];
    MINERALS.map(|mineral| report(mineral, "2023", &[("CHN", 0.98), ("USA", 0.01)])).to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_served_beside_every_attack() {
    let asked = std::env::var_os("LODEWATCH_HOSTILE_SECONDS");
    let is_measured = asked.is_some();
    let attackers_at_once = if is_measured { ATTACKERS_MEASURED } else { ATTACKERS };
    let seconds = |text: std::ffi::OsString| text.to_str().unwrap().parse::<u64>().unwrap();
    let length = Duration::from_millis(asked.map_or(MILLIS, |text| seconds(text) * 1000));
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("lodewatch.toml");
    let known = identities(dir.path(), &[FRIEND, beside_calls::IDENTITY]);
    std::fs::write(&settings, format!("access.identities = {known:?}")).unwrap();
    let data = dir.path().join("data");
    let mut process = Process::serve_with(&data, &settings);
    let friend = connect_to(&process.address, FRIEND.0).await;
    FeedServiceClient::new(friend.clone()).publish(batch(markets())).await.unwrap();
    let (alone, slowest) = take_turns(&friend, length).await;
    println!("{:>20}: {alone} turns in {length:?}, 99 of 100 within {slowest:?}", "alone");
    let mut acknowledged = alone + 1;
    let mut starved = Vec::new();
    for attack in RAW.into_iter().chain(CallAttack::ALL.map(Attack::Calls)) {
        let sent = Arc::new(AtomicUsize::new(0));
        let mut attackers = JoinSet::new();
        for _ in 0..attackers_at_once {
            let (address, sent) = (process.address.clone(), Arc::clone(&sent));
            attackers.spawn(async move {
                loop {
                    attack.once(&address, &sent).await;
                }
            });
        }
        let (beside, slowest) = take_turns(&friend, length).await;
        attackers.shutdown().await;
        acknowledged += beside;
        let percent = beside * 100 / alone;
        let (memory, attack) = (process.memory_kb() / 1024, format!("{attack:?}"));
        println!("{attack:>20}: {percent} %, 99 of 100 within {slowest:?}, {memory} MiB");
        assert!(sent.load(Ordering::Relaxed) > 0, "{attack} reached the server");
        if is_measured && percent < PERCENT_MIN {
            starved.push(format!("{attack}: {percent} %"));
        }
    }
    let memory = process.memory_most_kb();
    println!("memory: at most {memory} KiB");
    assert!(memory <= MEMORY_KIB_MAX, "{memory} KiB");
    process.stop();
    assert_eq!(process.ended().0, Some(0), "the server shuts down as usual");
    assert_eq!(acknowledged_by_friend(&data), acknowledged, "every batch is in the journal");
    let begun = Instant::now();
    let mut process = Process::serve_with(&data, &settings);
    take_turns(&connect_to(&process.address, FRIEND.0).await, Duration::ZERO).await;
    println!("restart: ready in {:?}, with some turns", begun.elapsed());
    assert!(!is_measured || begun.elapsed() <= RESTART_MAX, "{:?}", begun.elapsed());
    process.stop();
    assert!(starved.is_empty(), "less than {PERCENT_MIN} % beside {starved:?}");
}

/// The batches of the friend in the journal.
fn acknowledged_by_friend(data: &Path) -> usize {
    let exported = run(&["journal", "--data-dir", data.to_str().unwrap(), "export"]);
    let is_friend = |entry: &&serde_json::Value| entry["batch"]["feed"] == "test";
    json_lines(&exported).iter().filter(is_friend).count()
}
