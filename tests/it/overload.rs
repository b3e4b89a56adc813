//! Twice the publishers that a server carries: the excess is rejected at once, what is accepted is
//! answered, alerts go on, memory is bounded, and nothing is lost. Some seconds on every change,
//! and for five minutes by `tests/overload.sh`, which prints the report.

use crate::limits::limit;
use crate::load::{Record, Subscriber, assert_each_once_in_order};
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::{PublishRequest, PublishResponse, Start, SubscribeRequest};
use lodewatch_testkit::process::Process;
use lodewatch_testkit::samples::{report, swing};
use lodewatch_testkit::server::{Stream, batch};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tonic::transport::Channel;
use tonic_types::StatusExt;
use uuid::Uuid;

const ROOM: &str = "server.publish_calls_bytes_max";
/// What a call takes of the room at least, in bytes.
const CALL_BYTES: usize = 8192;

/// How long the overload lasts by default.
const SECONDS: u64 = 3;
/// How many publishers are tried, and for which part of the whole, until twice as many bring no
/// tenth more.
const FEWEST: usize = 8;
const MOST: usize = 1024;
const TRY: u32 = 30;
const CALLS_PER_CONNECTION: usize = 64;
/// How often the one publisher publishes whose alerts are waited for.
const TICK: Duration = Duration::from_millis(50);
/// The stated bound: the ring's 64 MiB, and as much again for all else.
const MEMORY_KB_MAX: u64 = 128 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_the_publishers_that_it_carries_are_answered_or_rejected_and_alerts_go_on() {
    let given = std::env::var_os("LODEWATCH_OVERLOAD_SECONDS");
    let seconds = given.map_or(SECONDS, |text| text.to_str().unwrap().parse().unwrap());
    let length = Duration::from_secs(seconds);
    let folder = tempfile::tempdir().unwrap();
    let (carried, alone) = carried(&folder.path().join("measured"), length / TRY).await;

    let (dir, settings) = (folder.path().join("data"), folder.path().join("lodewatch.toml"));
    fs::write(&settings, format!("{ROOM} = {}", carried * CALL_BYTES)).unwrap();
    let mut process = Process::serve_with(&dir, &settings);
    let channels = connections(&process.address, 2 * carried).await;
    let subscribing = tokio::spawn(subscribe_until_lost(channels[0].clone()));
    let alerted = tokio::spawn(publish_and_wait_for_alerts(channels[0].clone(), length));
    let load = load(&channels, 2 * carried, length).await;
    let alerted = alerted.await.unwrap();
    let memory_kb = process.memory_most_kb();
    process.kill();

    let process = Process::serve_with(&dir, &settings);
    let mut subscriber = subscribing.await.unwrap();
    subscriber.read_to_head(lodewatch_client::connect(&process.address).await.unwrap()).await;
    let replayed = Record::of_replay(&dir);
    assert_eq!(subscriber.seen, replayed, "no alert is missing");
    let applied = load.applied.iter().chain(&alerted.applied).copied();
    let batches = assert_each_once_in_order(&dir, applied);
    let answered = load.applied.len() + alerted.applied.len();
    assert_eq!(batches, answered, "what was rejected was not applied until it was sent again");
    assert!(load.rejected > 0, "twice as many as are carried are too many");
    assert!(memory_kb <= MEMORY_KB_MAX, "{memory_kb} kB, more than stated");

    println!("overload: {seconds} s, twice the {carried} publishers that saturate it");
    println!("  batches a second         {}, alone {alone}", load.per_second());
    println!("  accepted                 {}, {}", load.applied.len(), load.latency());
    println!("  rejected, sent again      {}, each with RetryInfo", load.rejected);
    println!("  batches with alerts      {}, {}", alerted.applied.len(), alerted.latency());
    println!("  alerts, none missing     {}", replayed.alerts);
    println!("  memory, MB               {} of {}", memory_kb / 1024, MEMORY_KB_MAX / 1024);
    println!("  lost or applied twice    0");
}

/// The fewest publishers of whom twice as many bring no tenth more batches a second, and how many
/// these are.
async fn carried(dir: &Path, length: Duration) -> (usize, u128) {
    let process = Process::serve(dir);
    let channels = connections(&process.address, MOST).await;
    let (mut publishers, mut most) = (FEWEST, 0);
    loop {
        let done = load(&channels, publishers, length).await;
        assert_eq!(done.rejected, 0, "by default there is room for all of them");
        let per_second = done.per_second();
        if per_second * 10 < most * 11 {
            return (publishers / 2, most);
        }
        if publishers == MOST {
            return (publishers, per_second);
        }
        (publishers, most) = (2 * publishers, per_second);
    }
}

async fn connections(address: &str, publishers: usize) -> Vec<Channel> {
    let mut channels = Vec::new();
    for _ in 0..publishers.div_ceil(CALLS_PER_CONNECTION) {
        channels.push(lodewatch_client::connect(address).await.unwrap());
    }
    channels
}

/// The answers that publishers received.
#[derive(Default)]
struct Load {
    /// Every batch, by its publisher and its id.
    applied: Vec<(usize, Uuid)>,
    /// How long each took, in microseconds.
    latencies_us: Vec<u128>,
    rejected: u64,
    took: Duration,
}

impl Load {
    fn add(&mut self, more: Self) {
        self.applied.extend(more.applied);
        self.latencies_us.extend(more.latencies_us);
        self.rejected += more.rejected;
    }

    fn per_second(&self) -> u128 {
        u128::try_from(self.applied.len()).unwrap() * 1000 / self.took.as_millis()
    }

    fn latency(&self) -> String {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        let of = |per_mille: usize| {
            let us = sorted[(sorted.len() * per_mille / 1000).min(sorted.len() - 1)];
            format!("{}.{:03}", us / 1000, us % 1000)
        };
        format!("p50 {}, p99 {}, most {} ms", of(500), of(990), of(1000))
    }

    /// Publishes one batch, again and again until it is accepted, as long after each rejection as
    /// it says; gives the answer and when the accepted call began.
    async fn publish(
        &mut self,
        feed: &mut FeedServiceClient<Channel>,
        batch: &PublishRequest,
    ) -> (PublishResponse, Instant) {
        loop {
            let begin = Instant::now();
            let rejected = match feed.publish(batch.clone()).await {
                Ok(response) => return (response.into_inner(), begin),
                Err(rejected) => rejected,
            };
            assert_eq!(limit(&rejected), ROOM);
            self.rejected += 1;
            let wait = rejected.get_details_retry_info().unwrap().retry_delay.unwrap();
            interval_at(Instant::now() + wait, wait).tick().await;
        }
    }

    fn applied(&mut self, publisher: usize, batch: &PublishRequest, since: Instant) {
        self.applied.push((publisher, batch.request_id.parse().unwrap()));
        self.latencies_us.push(since.elapsed().as_micros());
    }
}

/// So many publishers, each with one batch after the other.
async fn load(channels: &[Channel], publishers: usize, length: Duration) -> Load {
    let begin = Instant::now();
    let mut publishing = JoinSet::new();
    for (number, channel) in (0..publishers).zip(channels.iter().cycle()) {
        publishing.spawn(publish_until(begin + length, number, channel.clone()));
    }
    let mut load = Load::default();
    while let Some(done) = publishing.join_next().await {
        load.add(done.unwrap());
    }
    load.took = begin.elapsed();
    load
}

/// Publishes reports that cross nothing.
async fn publish_until(end: Instant, number: usize, channel: Channel) -> Load {
    let mut feed = FeedServiceClient::new(channel);
    let mut load = Load::default();
    while Instant::now() < end {
        let share = if load.applied.len().is_multiple_of(2) { 0.95 } else { 0.96 };
        let batch = batch(vec![report("gallium", "2024", &[("CHN", share)])]);
        let (_, begin) = load.publish(&mut feed, &batch).await;
        load.applied(number, &batch, begin);
    }
    load
}

async fn subscribe_until_lost(channel: Channel) -> Subscriber {
    let (_, uncounted) = watch::channel(0);
    let mut subscriber = Subscriber::prompt();
    subscriber.read_until_lost(channel, uncounted).await;
    subscriber
}

/// Publishes reports that cross thresholds, and waits for the alerts of each.
async fn publish_and_wait_for_alerts(channel: Channel, length: Duration) -> Load {
    let end = Instant::now() + length;
    let request = SubscribeRequest { start: Start::Head.into(), ..SubscribeRequest::default() };
    let mut stream = Stream::on(channel.clone(), request).await.unwrap();
    let mut feed = FeedServiceClient::new(channel);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut load = Load::default();
    while Instant::now() < end {
        ticks.tick().await;
        let batch = batch(vec![swing("indium", load.applied.len())]);
        let (response, begin) = load.publish(&mut feed, &batch).await;
        let last = *response.alert_sequences.last().expect("a swing crosses thresholds");
        stream.until_alert(last).await;
        load.applied(usize::MAX, &batch, begin);
    }
    load
}
