//! One test per word of the contract, with its fault.
//!
//! - `order`: Ordered, Unique, Reliable, Atomic · `place`: Resumable, Bookmarkable
//! - `truth`: Never ahead, Deterministic · `patience`: Bounded silence, No eviction

mod order;
mod patience;
mod place;
mod truth;

use crate::world::World;
use lodewatch_client::{Publisher, Servers};
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{PublishRequest, PublishResponse, Start, SubscribeResponse, Update};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::check;
use lodewatch_testkit::oracle::Oracle;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::recording::{End, Recording, Wish, by_hand};
use lodewatch_testkit::samples::swing;
use std::fmt::Write as _;
use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::Endpoint;

pub(super) const MINERALS: [&str; 12] = [
    "gallium",
    "indium",
    "bismuth",
    "arsenic",
    "germanium",
    "cobalt",
    "nickel",
    "zinc",
    "copper",
    "tungsten",
    "antimony",
    "magnesium",
];
/// Rules that each emit an alert at every crossing.
pub(super) const MANY_RULES: usize = 200;

/// A publisher, and its acknowledged batches.
pub(super) struct Feed {
    pub(super) publisher: Publisher,
    pub(super) acknowledged: Vec<(PublishRequest, PublishResponse)>,
}

impl Feed {
    pub(super) fn to(world: &World) -> Self {
        let servers = Servers::parse([world.publisher.address.as_str()]).unwrap();
        Self { publisher: Publisher::new(servers), acknowledged: Vec::new() }
    }

    /// Publishes one batch; returns its cursor.
    pub(super) async fn publish(&mut self, updates: Vec<Update>) -> String {
        let request = PublishRequest {
            request_id: uuid::Uuid::new_v4().to_string(),
            feed: "words".to_owned(),
            updates,
            exercise: false,
        };
        let response = self.publisher.publish(request.clone()).await.unwrap();
        self.acknowledged.push((request, response.clone()));
        response.cursor
    }

    /// Publishes a turn of every mineral.
    pub(super) async fn swing_all(&mut self, turn: usize) -> String {
        self.publish(MINERALS.iter().map(|mineral| swing(mineral, turn)).collect()).await
    }
}

/// A world with one proxy per subscriber.
pub(super) async fn world(subscribers: usize) -> World {
    World::start(0, subscribers, 0, vec![("ARCHIVE__SNAPSHOT_EVERY_ENTRIES", "3".to_owned())]).await
}

/// A world in which a turn of one mineral causes two hundred alerts, about 100 kB, and the ring
/// holds 1 MiB.
pub(super) async fn busy_world(subscribers: usize) -> World {
    let mut rules = String::new();
    for number in 0..MANY_RULES {
        writeln!(
            rules,
            "[[rules]]\nname = \"top1-{number}\"\nmetric = \"top1_share\"\n\
             levels = [{{ level = \"watch\", raise = 0.5 }}]"
        )
        .unwrap();
    }
    let ring = ("FANOUT__RING_BYTES_MAX", "1048576".to_owned());
    World::start_with(0, subscribers, 0, vec![ring], &rules).await
}

pub(super) fn reads(
    world: &World,
    way: usize,
    wish: Wish,
    end: &End,
) -> tokio::task::JoinHandle<Recording> {
    tokio::spawn(by_hand(world.subscribers[way].address.clone(), wish, end.clone()))
}

/// Stops the server, and checks all recordings against its journal.
pub(super) async fn check_all(world: &mut World, feed: &Feed, recordings: &[&Recording]) -> Oracle {
    world.end(Process::kill).await;
    let oracle = Oracle::replay(world.dir.path()).await;
    for recording in recordings {
        check::recording(recording, &oracle).unwrap();
    }
    check::acknowledged(&feed.acknowledged, &oracle).unwrap();
    oracle
}

pub(super) fn messages(recording: &Recording) -> impl Iterator<Item = &SubscribeResponse> {
    recording.streams.iter().flat_map(|stream| &stream.messages)
}

/// The sequences of all alerts, in the order of arrival.
pub(super) fn sequences(recording: &Recording) -> Vec<u64> {
    let alerts = messages(recording).filter_map(|one| match &one.message {
        Some(Message::Alerts(alerts)) => Some(&alerts.alerts),
        _ => None,
    });
    alerts.flatten().map(|alert| alert.sequence).collect()
}

/// Reads everything, more slowly than a heartbeat's interval.
pub(super) async fn catch_up_slowly(world: &World, last: &str) -> Recording {
    world.subscribers[0].turn(|now| now.bytes_per_ms = Some(400));
    let endpoint = Endpoint::from_shared(format!("http://{}", world.subscribers[0].address));
    let small = endpoint.unwrap().initial_stream_window_size(65_536).connect().await.unwrap();
    let request = Wish::all().request();
    let stream = AlertServiceClient::new(small).subscribe(request).await.unwrap().into_inner();
    until(stream, last).await
}

/// Reads one stream up to a cursor.
pub(super) async fn until(mut stream: Streaming<SubscribeResponse>, last: &str) -> Recording {
    let mut messages: Vec<SubscribeResponse> = Vec::new();
    while messages.last().is_none_or(|one| one.cursor != last) {
        messages.push(timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap());
    }
    let stream = lodewatch_testkit::recording::Stream { messages, ..Default::default() };
    Recording { minerals: Vec::new(), start: Start::Oldest, streams: vec![stream] }
}

pub(super) fn heartbeats(recording: &Recording) -> usize {
    let is_beat = |one: &&SubscribeResponse| matches!(one.message, Some(Message::Heartbeat(_)));
    messages(recording).filter(is_beat).count()
}
