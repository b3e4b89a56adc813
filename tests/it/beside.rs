//! A publisher beside hostile clients: for a moment on every change, to see that it is served, that
//! nothing acknowledged is lost and that memory stays bounded; for longer by `tests/hostile.sh`,
//! which prints a report.

use crate::raw_http2::{
    CONTINUATION, END_HEADERS, HEADERS, PING, RST_STREAM, Raw, call, frame, header,
};
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::process::{Process, json_lines, run};
use lodewatch_testkit::samples::swing;
use lodewatch_testkit::server::batch;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};
use tonic::transport::Channel;

/// How long each attack lasts by default.
const MILLIS: u64 = 300;
/// The load of others: a durable batch every so often.
const PACE: Duration = Duration::from_millis(10);
/// The fewest batches that a publisher has to get through beside an attack, however slow the
/// machine is.
const BATCHES_MIN: usize = 10;
/// The server's memory under all attacks.
const MEMORY_KIB_MAX: u64 = 256 * 1024;
/// Hostile connections at a time.
const ATTACKERS: usize = 8;

const SUBSCRIBE: &str = "/lodewatch.v1.AlertService/Subscribe";

#[derive(Clone, Copy, Debug)]
enum Attack {
    RapidReset,
    EndlessHeaders,
    Pings,
    UnreadStreams,
    ConnectionChurn,
}

const ALL: [Attack; 5] = [
    Attack::RapidReset,
    Attack::EndlessHeaders,
    Attack::Pings,
    Attack::UnreadStreams,
    Attack::ConnectionChurn,
];

impl Attack {
    /// One connection's worth of it, until the server has had enough.
    async fn once(self, address: &str, bytes_sent: &AtomicUsize) {
        // SETTINGS_INITIAL_WINDOW_SIZE is 0 for streams that are not read.
        let window: &[u8] =
            if matches!(self, Self::UnreadStreams) { &[0, 4, 0, 0, 0, 0] } else { &[] };
        let Ok(mut raw) = Raw::try_connect(address, window).await else { return };
        bytes_sent.fetch_add(window.len() + 1, Ordering::Relaxed);
        let mut sent = 0_u32;
        loop {
            let stream = sent * 2 + 1;
            let bytes = match self {
                Self::RapidReset => {
                    let mut both = frame(HEADERS, END_HEADERS, stream, &call(SUBSCRIBE));
                    both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                    both
                }
                Self::EndlessHeaders if sent == 0 => frame(HEADERS, 0, 1, &call(SUBSCRIBE)),
                Self::EndlessHeaders => frame(CONTINUATION, 0, 1, &header("x", &"a".repeat(1000))),
                Self::Pings => frame(PING, 0, 0, &[7; 8]).repeat(100),
                Self::UnreadStreams => frame(HEADERS, END_HEADERS, stream, &call(SUBSCRIBE)),
                Self::ConnectionChurn => return,
            };
            sent += 1;
            let is_full = matches!(self, Self::UnreadStreams) && sent > 150;
            if is_full || raw.send(&bytes).await.is_err() {
                return;
            }
            bytes_sent.fetch_add(bytes.len(), Ordering::Relaxed);
        }
    }
}

/// How many batches a publisher beside the attack had acknowledged, at an even pace, and the
/// slowest of a hundred.
async fn publish_batches(channel: &Channel, length: Duration) -> (usize, Duration) {
    let mut feed = FeedServiceClient::new(channel.clone());
    let (mut pace, end) = (interval(PACE), Instant::now() + length);
    let mut took = Vec::new();
    while Instant::now() < end || took.len() < BATCHES_MIN {
        pace.tick().await;
        let begun = Instant::now();
        let published = feed.publish(batch(vec![swing("gallium", took.len())]));
        timeout(PATIENCE, published).await.expect("an answer in time").expect("it is accepted");
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    (took.len(), took[took.len() * 99 / 100])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_is_served_beside_every_attack() {
    let asked = std::env::var_os("LODEWATCH_HOSTILE_SECONDS");
    let seconds = |text: std::ffi::OsString| text.to_str().unwrap().parse::<u64>().unwrap();
    let millis = asked.map_or(MILLIS, |text| seconds(text) * 1000);
    let length = Duration::from_millis(millis);
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::serve(dir.path());
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    let (alone, slowest) = publish_batches(&channel, length).await;
    println!("{:>16}: {alone} batches in {length:?}, 99 of 100 within {slowest:?}", "alone");
    let mut acknowledged = alone;
    for attack in ALL {
        let mut attackers = JoinSet::new();
        let bytes_sent = Arc::new(AtomicUsize::new(0));
        for _ in 0..ATTACKERS {
            let (address, bytes_sent) = (process.address.clone(), Arc::clone(&bytes_sent));
            attackers.spawn(async move {
                loop {
                    attack.once(&address, &bytes_sent).await;
                }
            });
        }
        let (beside, slowest) = publish_batches(&channel, length).await;
        attackers.shutdown().await;
        acknowledged += beside;
        let percent = beside * 100 / alone;
        let attack = format!("{attack:?}");
        println!("{attack:>16}: {percent} % of that, 99 of 100 within {slowest:?}");
        assert!(bytes_sent.load(Ordering::Relaxed) > 0, "{attack} reached the server");
    }
    let memory = process.memory_most_kb();
    println!("memory: at most {memory} KiB");
    assert!(memory <= MEMORY_KIB_MAX, "{memory} KiB");
    process.stop();
    assert_eq!(process.ended().0, Some(0), "the server shuts down as usual");
    let exported = run(&["journal", "--data-dir", dir.path().to_str().unwrap(), "export"]);
    let batches = json_lines(&exported).iter().filter(|entry| !entry["batch"].is_null()).count();
    assert_eq!(batches, acknowledged, "every acknowledged batch is in the journal");
}
