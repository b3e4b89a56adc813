//! Invariant 2: what was acknowledged survives `kill -9`, and who resumes sees every alert once.
//!
//! Two hundred kills, in twenty tests, each on one directory: publishers that send again what was not answered,
//! and subscribers that resume where they were. The moment of each kill differs by how much was acknowledged before.

use crate::binary::{BINARY, Process};
use crate::harness::{PATIENCE, batch};
use crate::samples::swing;
use lodewatch::client;
use lodewatch::grpc::json::to_json;
use lodewatch::grpc::pb::alert_service_client::AlertServiceClient;
use lodewatch::grpc::pb::feed_service_client::FeedServiceClient;
use lodewatch::grpc::pb::subscribe_response::Message;
use lodewatch::grpc::pb::{PublishRequest, PublishResponse, Start, SubscribeRequest};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const KILLS: usize = 10;
const MINERALS: [&str; 4] = ["gallium", "indium", "bismuth", "arsenic"];
const SUBSCRIBERS: usize = 20;

/// Acknowledged batches before a kill: some number up to this.
const ACKNOWLEDGED_MAX: usize = 17;

pub(crate) type Acknowledged = (PublishRequest, PublishResponse);

macro_rules! crash {
    ($($name:ident: $seed:literal)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            kill_again_and_again($seed).await;
        })+
    };
}

crash! {
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_0: 0
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_1: 1
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_2: 2
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_3: 3
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_4: 4
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_5: 5
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_6: 6
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_7: 7
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_8: 8
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_9: 9
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_10: 10
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_11: 11
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_12: 12
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_13: 13
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_14: 14
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_15: 15
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_16: 16
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_17: 17
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_18: 18
    kill_9_loses_nothing_acknowledged_and_repeats_nothing_19: 19
}

async fn kill_again_and_again(seed: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut publishers: Vec<_> = MINERALS.iter().map(|mineral| Publisher::new(mineral)).collect();
    let mut subscribers: Vec<Subscriber> =
        (0..SUBSCRIBERS).map(|_| Subscriber::default()).collect();
    let mut acknowledged: Vec<Acknowledged> = Vec::new();
    let mut checked = 0;
    for kill in 0..KILLS {
        let mut process = Process::serve(dir.path());
        let channel = client::connect(&process.address).await.unwrap();
        assert_same_answers(&channel, &acknowledged[checked..]).await;
        checked = acknowledged.len();
        let enough = 1 + (seed + kill * 7) % ACKNOWLEDGED_MAX;
        let more =
            load_and_kill(&mut process, &channel, &mut publishers, &mut subscribers, enough).await;
        acknowledged.extend(more);
    }
    assert!(acknowledged.len() > KILLS);
    let process = Process::serve(dir.path());
    let channel = client::connect(&process.address).await.unwrap();
    assert_same_answers(&channel, &acknowledged).await;
    let replayed = Record::of_replay(dir.path());
    for mut subscriber in subscribers {
        subscriber.read(channel.clone(), true).await;
        assert_eq!(subscriber.seen, replayed, "over all crashes: every alert once, in order");
    }
    assert_each_once_in_order(dir.path(), &acknowledged);
}

/// Publishes and subscribes until enough is acknowledged, then kills the server in the middle of it.
async fn load_and_kill(
    process: &mut Process,
    channel: &Channel,
    publishers: &mut Vec<Publisher>,
    subscribers: &mut Vec<Subscriber>,
    enough: usize,
) -> Vec<Acknowledged> {
    load(channel, publishers, subscribers, enough, async || process.kill()).await
}

/// Publishes and subscribes until enough is acknowledged, then ends the server, in whatever way, in the middle of it.
pub(crate) async fn load(
    channel: &Channel,
    publishers: &mut Vec<Publisher>,
    subscribers: &mut Vec<Subscriber>,
    enough: usize,
    end: impl AsyncFnOnce(),
) -> Vec<Acknowledged> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut publishing = JoinSet::new();
    for mut publisher in publishers.drain(..) {
        let (channel, tell) = (channel.clone(), tell.clone());
        publishing.spawn(async move {
            publisher.publish_until_lost(channel, tell).await;
            publisher
        });
    }
    drop(tell);
    let mut subscribing = JoinSet::new();
    for mut subscriber in subscribers.drain(..) {
        let channel = channel.clone();
        subscribing.spawn(async move {
            subscriber.read(channel, false).await;
            subscriber
        });
    }
    let mut acknowledged = Vec::new();
    while acknowledged.len() < enough {
        acknowledged.push(tokio::time::timeout(PATIENCE, told.recv()).await.unwrap().unwrap());
    }
    end().await;
    publishers.extend(publishing.join_all().await);
    subscribers.extend(subscribing.join_all().await);
    while let Some(more) = told.recv().await {
        acknowledged.push(more);
    }
    acknowledged
}

/// Sends one batch after the other; one that was not answered is sent again, under the same id.
pub(crate) struct Publisher {
    mineral: &'static str,
    turn: usize,
    next: PublishRequest,
}

impl Publisher {
    pub(crate) fn new(mineral: &'static str) -> Self {
        Self { mineral, turn: 0, next: batch(vec![swing(mineral, 0)]) }
    }

    async fn publish_until_lost(
        &mut self,
        channel: Channel,
        tell: mpsc::UnboundedSender<Acknowledged>,
    ) {
        let mut feed = FeedServiceClient::new(channel);
        while let Ok(response) = feed.publish(self.next.clone()).await {
            self.turn += 1;
            let sent =
                std::mem::replace(&mut self.next, batch(vec![swing(self.mineral, self.turn)]));
            tell.send((sent, response.into_inner())).unwrap();
        }
    }
}

/// Alerts in order, by their number and a digest of all of them as JSON.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) alerts: u64,
    digest: u64,
}

impl Record {
    fn add(&mut self, alert: &str) {
        self.alerts += 1;
        self.digest = xxh3_64_with_seed(alert.as_bytes(), self.digest);
    }

    /// What a subscriber from the first entry on would have been handed.
    pub(crate) fn of_replay(dir: &Path) -> Self {
        let mut record = Self::default();
        lines(dir, &["replay", "--output", "json"], |alert| record.add(alert));
        record
    }
}

/// Keeps a record of what it was handed, and its place.
#[derive(Default)]
pub(crate) struct Subscriber {
    cursor: String,
    pub(crate) seen: Record,
}

impl Subscriber {
    /// Reads on from its place, until the connection is lost, or to the head.
    pub(crate) async fn read(&mut self, channel: Channel, to_head: bool) {
        let start = if self.cursor.is_empty() { Start::Oldest } else { Start::Cursor };
        let (start, cursor) = (start.into(), self.cursor.clone());
        let request = SubscribeRequest { start, cursor, ..SubscribeRequest::default() };
        let Ok(stream) = AlertServiceClient::new(channel).subscribe(request).await else { return };
        let mut stream = stream.into_inner();
        while let Ok(Ok(Some(response))) = tokio::time::timeout(PATIENCE, stream.message()).await {
            self.cursor = response.cursor;
            match response.message {
                Some(Message::Alerts(alerts)) => {
                    alerts.alerts.iter().for_each(|alert| self.seen.add(&to_json(alert)));
                }
                Some(Message::CaughtUp(_)) if to_head => return,
                _ => {}
            }
        }
    }
}

pub(crate) async fn assert_same_answers(channel: &Channel, acknowledged: &[Acknowledged]) {
    let mut feed = FeedServiceClient::new(channel.clone());
    for (request, first) in acknowledged {
        let again = feed.publish(request.clone()).await.unwrap().into_inner();
        assert_eq!(again, *first, "a retry gets the first answer");
    }
}

/// Every acknowledged batch is one entry, and those of one publisher are in the order in which they were sent.
fn assert_each_once_in_order(dir: &Path, acknowledged: &[Acknowledged]) {
    let entries = entries(dir);
    let mut last = BTreeMap::new();
    for (request, _) in acknowledged {
        let entry = entries[&request.request_id];
        let mineral = to_json(&request.updates[0]).split('"').nth(5).unwrap().to_owned();
        let before = last.insert(mineral, entry);
        assert!(before < Some(entry), "in the order in which one publisher sent them");
    }
}

/// The entries of all batches, by the id of the request; none is there twice.
pub(crate) fn entries(dir: &Path) -> BTreeMap<String, u64> {
    let mut entries = BTreeMap::new();
    lines(dir, &["export"], |line| {
        let entry: Value = serde_json::from_str(line).unwrap();
        if let Some(id) = entry["batch"]["requestId"].as_str() {
            let at = entry["entry"].as_str().unwrap().parse().unwrap();
            assert_eq!(entries.insert(id.to_owned(), at), None, "twice in the journal");
        }
    });
    entries
}

/// Every line that `lodewatch journal` prints.
fn lines(dir: &Path, arguments: &[&str], mut each: impl FnMut(&str)) {
    let mut command = Command::new(BINARY);
    let mut child = command
        .args(["journal", "--data-dir"])
        .arg(dir)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.for_each(|line| each(&line.unwrap()));
    assert!(child.wait().unwrap().success());
}
