//! What others get done beside hostile clients: for a moment on every change, to see that they are answered at all, and in earnest by
//! `tests/hostile.sh`, which prints the report.

use crate::binary::Process;
use crate::harness::batch;
use crate::raw_http2::{
    CONTINUATION, END_HEADERS, HEADERS, PING, RST_STREAM, Raw, call, frame, header,
};
use crate::samples::swing;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tonic::transport::Channel;

/// How long each attack lasts where nothing else is said.
const MILLIS: u64 = 300;
/// The load of others: a durable batch every so often.
const PACE: Duration = Duration::from_millis(10);
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
    async fn once(self, address: &str) {
        // SETTINGS_INITIAL_WINDOW_SIZE is 0 for streams that are not read.
        let window: &[u8] =
            if matches!(self, Self::UnreadStreams) { &[0, 4, 0, 0, 0, 0] } else { &[] };
        let Ok(mut raw) = Raw::try_connect(address, window).await else { return };
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
        }
    }
}

/// How many batches somebody else had acknowledged, at an even pace, and the slowest of a hundred.
async fn work(channel: &Channel, length: Duration) -> (usize, Duration) {
    let mut feed = FeedServiceClient::new(channel.clone());
    let (mut pace, end) = (interval(PACE), Instant::now() + length);
    let mut took = Vec::new();
    while Instant::now() < end {
        pace.tick().await;
        let begun = Instant::now();
        feed.publish(batch(vec![swing("gallium", took.len())])).await.expect("it is answered");
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    (took.len(), took[took.len() * 99 / 100])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_answered_beside_every_attack() {
    let asked = std::env::var_os("LODEWATCH_HOSTILE_SECONDS");
    let seconds = |text: std::ffi::OsString| text.to_str().unwrap().parse::<u64>().unwrap();
    let millis = asked.map_or(MILLIS, |text| seconds(text) * 1000);
    let length = Duration::from_millis(millis);
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(dir.path());
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    let (alone, slowest) = work(&channel, length).await;
    println!("{:>16}: {alone} batches in {length:?}, 99 of 100 within {slowest:?}", "alone");
    for attack in ALL {
        let mut attackers = JoinSet::new();
        for _ in 0..ATTACKERS {
            let address = process.address.clone();
            attackers.spawn(async move {
                loop {
                    attack.once(&address).await;
                }
            });
        }
        let (beside, slowest) = work(&channel, length).await;
        attackers.shutdown().await;
        let percent = beside * 100 / alone;
        let attack = format!("{attack:?}");
        println!("{attack:>16}: {percent} % of that, 99 of 100 within {slowest:?}");
    }
    println!("memory: at most {} KiB", process.memory_most_kb());
}
