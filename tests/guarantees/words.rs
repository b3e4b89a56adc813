//! One test for each word of the contract, with the fault that it is about.

use crate::PATIENCE;
use crate::check;
use crate::oracle::{Oracle, position};
use crate::process::{self, Process};
use crate::samples::swing;
use crate::subscriber::{End, Recording, Wish, by_client, by_hand, finish};
use crate::world::World;
use lodewatch::client::{self, Publisher, Servers};
use lodewatch::grpc::pb::alert_service_client::AlertServiceClient;
use lodewatch::grpc::pb::subscribe_response::Message;
use lodewatch::grpc::pb::{
    GetAlertRequest, PublishRequest, PublishResponse, Start, SubscribeRequest, SubscribeResponse,
    Update,
};
use rustix::process::Signal;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::Endpoint;

const MINERALS: [&str; 12] = [
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
/// Rules of a server where much happens at once: an alert of each for every crossing.
const MANY_RULES: usize = 200;

/// A publisher, and what was acknowledged.
struct Feed {
    publisher: Publisher,
    acknowledged: Vec<(PublishRequest, PublishResponse)>,
}

impl Feed {
    fn to(world: &World) -> Self {
        let servers = Servers::parse([world.publisher.address.as_str()]).unwrap();
        Self { publisher: Publisher::new(servers), acknowledged: Vec::new() }
    }

    /// Publishes one batch; gives the cursor after it.
    async fn publish(&mut self, updates: Vec<Update>) -> String {
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
    async fn swing_all(&mut self, turn: usize) -> String {
        self.publish(MINERALS.iter().map(|mineral| swing(mineral, turn)).collect()).await
    }
}

/// A world with so many ways for subscribers.
async fn world(subscribers: usize) -> World {
    World::start(0, subscribers, 0, vec![("ARCHIVE__SNAPSHOT_EVERY_ENTRIES", "3".to_owned())]).await
}

/// A world in which a turn of one mineral is two hundred alerts, some 100 kB, and the ring holds 1 MiB.
async fn busy_world(subscribers: usize) -> World {
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

fn reads(world: &World, way: usize, wish: Wish, end: &End) -> tokio::task::JoinHandle<Recording> {
    tokio::spawn(by_hand(world.subscribers[way].address.clone(), wish, end.clone()))
}

/// Ends the server, and checks what everybody saw against its journal.
async fn check_all(world: &mut World, feed: &Feed, recordings: &[&Recording]) -> Oracle {
    world.end(Process::kill).await;
    let oracle = Oracle::replay(world.dir.path()).await;
    for recording in recordings {
        check::recording(recording, &oracle).unwrap();
    }
    check::acknowledged(&feed.acknowledged, &oracle).unwrap();
    oracle
}

fn messages(recording: &Recording) -> impl Iterator<Item = &SubscribeResponse> {
    recording.streams.iter().flat_map(|stream| &stream.messages)
}

/// The sequences of all alerts, in the order in which they came.
fn sequences(recording: &Recording) -> Vec<u64> {
    let alerts = messages(recording).filter_map(|one| match &one.message {
        Some(Message::Alerts(alerts)) => Some(&alerts.alerts),
        _ => None,
    });
    alerts.flatten().map(|alert| alert.sequence).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordered_everybody_sees_the_same_order_whoever_publishes_at_once() {
    let mut world = world(3).await;
    let (tell_end, end) = watch::channel(String::new());
    let readers: Vec<_> = (0..3).map(|way| reads(&world, way, Wish::all(), &end)).collect();
    let feeds = MINERALS.map(|mineral| {
        let mut feed = Feed::to(&world);
        tokio::spawn(async move {
            for turn in 0..10 {
                feed.publish(vec![swing(mineral, turn)]).await;
            }
            feed.acknowledged
        })
    });
    let mut last = Feed::to(&world);
    for feed in feeds {
        last.acknowledged.extend(feed.await.unwrap());
    }
    tell_end.send_replace(last.swing_all(0).await);
    let mut recordings = Vec::new();
    for reader in readers {
        recordings.push(finish(reader).await);
    }
    check_all(&mut world, &last, &recordings.iter().collect::<Vec<_>>()).await;
    assert!(recordings.iter().all(|one| sequences(one) == sequences(&recordings[0])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unique_a_stream_that_is_cut_anywhere_repeats_nothing() {
    let mut world = world(2).await;
    let (tell_end, end) = watch::channel(String::new());
    let by_hand = reads(&world, 0, Wish::all(), &end);
    let by_client = tokio::spawn(by_client(world.subscribers[1].address.clone(), Wish::all(), end));
    let mut feed = Feed::to(&world);
    for turn in 0..20 {
        world.subscribers.iter().for_each(|way| way.turn(|now| now.cuts += 1));
        feed.swing_all(turn).await;
    }
    tell_end.send_replace(feed.swing_all(20).await);
    let (by_hand, by_client) = (finish(by_hand).await, finish(by_client).await);
    check_all(&mut world, &feed, &[&by_hand, &by_client]).await;
    assert!(by_hand.streams.len() > 2 && by_client.streams.len() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reliable_a_filter_and_a_kill_leave_no_gap() {
    let mut world = world(2).await;
    let (tell_end, end) = watch::channel(String::new());
    let one = reads(&world, 0, Wish { minerals: vec!["indium"], ..Wish::all() }, &end);
    let two = reads(&world, 1, Wish { minerals: vec!["cobalt", "zinc"], ..Wish::all() }, &end);
    let mut feed = Feed::to(&world);
    for turn in 0..12 {
        let updates = vec![swing(MINERALS[turn % 12], 0), swing("indium", turn)];
        if turn % 4 == 3 {
            let (_, ()) = tokio::join!(feed.publish(updates), async {
                world.end(Process::kill).await;
                world.run().await;
            });
        } else {
            feed.publish(updates).await;
        }
    }
    feed.swing_all(1).await;
    tell_end.send_replace(feed.swing_all(0).await);
    let (one, two) = (finish(one).await, finish(two).await);
    check_all(&mut world, &feed, &[&one, &two]).await;
    assert!(sequences(&one).len() > sequences(&two).len() && !sequences(&two).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn atomic_an_entry_that_is_too_large_for_a_message_says_that_more_follows() {
    let mut world = busy_world(2).await;
    let (tell_end, end) = watch::channel(String::new());
    let live = reads(&world, 0, Wish::all(), &end);
    let mut feed = Feed::to(&world);
    let last = feed.swing_all(0).await;
    tell_end.send_replace(last);
    let live = finish(live).await;
    let parts = |recording: &Recording| {
        let parts = messages(recording).filter_map(|one| match &one.message {
            Some(Message::Alerts(alerts)) => Some((one.cursor.clone(), alerts.more)),
            _ => None,
        });
        parts.collect::<Vec<_>>()
    };
    let (inside, more) = parts(&live)[0].clone();
    assert!(more && parts(&live).len() > 1, "one entry, several messages");
    assert!(position(&inside).alerts > 0);
    // A stream that was cut between the two goes on inside the entry.
    let wish = Wish { start: Start::Cursor, cursor: inside, ..Wish::all() };
    let resumed = finish(reads(&world, 1, wish, &end)).await;
    assert!(sequences(&resumed)[0] > 1);
    check_all(&mut world, &feed, &[&live, &resumed]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resumable_every_cursor_ever_handed_out_works_after_a_crash() {
    let mut world = world(1).await;
    let (tell_end, end) = watch::channel(String::new());
    let reader = reads(&world, 0, Wish::all(), &end);
    let mut feed = Feed::to(&world);
    for turn in 0..6 {
        feed.swing_all(turn).await;
    }
    tell_end.send_replace(feed.swing_all(6).await);
    let recording = finish(reader).await;
    world.end(Process::kill).await;
    world.run().await;
    let mut resumed = Vec::new();
    let cursors = messages(&recording).map(|one| one.cursor.clone());
    let acknowledged = feed.acknowledged.iter().map(|(_, response)| response.cursor.clone());
    for cursor in cursors.chain(acknowledged) {
        let wish = Wish { start: Start::Cursor, cursor, ..Wish::all() };
        resumed.push(finish(reads(&world, 0, wish, &end)).await);
    }
    assert!(resumed.len() > 10);
    let recordings: Vec<_> = resumed.iter().chain([&recording]).collect();
    check_all(&mut world, &feed, &recordings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bookmarkable_a_heartbeat_is_never_ahead_of_what_was_handed_over() {
    let mut world = world(1).await;
    let (tell_end, end) = watch::channel(String::new());
    let mut feed = Feed::to(&world);
    let wish = Wish { minerals: vec!["indium"], ..Wish::all() };
    let request = wish.request();
    let channel = client::connect(&world.subscribers[0].address).await.unwrap();
    let mut stream =
        AlertServiceClient::new(channel).subscribe(request).await.unwrap().into_inner();
    // What is published here is not wanted, so only heartbeats speak of it; each as far as the stream was handed.
    let cursor = feed.publish(vec![swing("gallium", 0)]).await;
    let beat = loop {
        let response = timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
        if matches!(response.message, Some(Message::Heartbeat(_))) {
            break response;
        }
    };
    assert_eq!(beat.cursor, cursor);
    drop(stream);
    feed.swing_all(1).await;
    world.end(Process::kill).await;
    world.run().await;
    tell_end.send_replace(feed.swing_all(0).await);
    let wish = Wish { start: Start::Cursor, cursor: beat.cursor, ..wish };
    let resumed = finish(reads(&world, 0, wish, &end)).await;
    check_all(&mut world, &feed, &[&resumed]).await;
    assert!(!sequences(&resumed).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_ahead_what_was_seen_before_a_kill_is_in_the_journal() {
    let mut world = world(1).await;
    for round in 0..3 {
        let (_tell_end, end) = watch::channel(String::new());
        let channel = client::connect(&world.subscribers[0].address).await.unwrap();
        let request =
            SubscribeRequest { start: Start::Oldest.into(), ..SubscribeRequest::default() };
        let mut stream =
            AlertServiceClient::new(channel).subscribe(request).await.unwrap().into_inner();
        let feeds = MINERALS.map(|mineral| {
            let servers = Servers::parse([world.publisher.address.as_str()]).unwrap();
            tokio::spawn(async move {
                for turn in round.. {
                    // Whether it is acknowledged does not matter here; it ends with the test.
                    let request = PublishRequest {
                        feed: "words".to_owned(),
                        updates: vec![swing(mineral, turn)],
                        ..PublishRequest::default()
                    };
                    if Publisher::new(servers.clone()).publish(request).await.is_err() {
                        return;
                    }
                }
            })
        });
        let mut seen = Vec::new();
        while seen.len() < 40 {
            let response = timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
            if let Some(Message::Alerts(alerts)) = response.message {
                seen.extend(alerts.alerts);
            }
        }
        world.end(Process::kill).await;
        // What had arrived by then was seen as well.
        while let Ok(Some(response)) = stream.message().await {
            if let Some(Message::Alerts(alerts)) = response.message {
                seen.extend(alerts.alerts);
            }
        }
        feeds.iter().for_each(tokio::task::JoinHandle::abort);
        drop(end);
        let oracle = Oracle::replay(world.dir.path()).await;
        for (alert, expected) in seen.iter().zip(&oracle.alerts) {
            assert_eq!(prost::Message::encode_to_vec(alert), expected.bytes);
        }
        assert!(seen.len() <= oracle.alerts.len(), "nothing was seen that is not in the journal");
        world.run().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deterministic_the_same_cursors_give_the_same_bytes_from_ring_archive_and_replay() {
    let mut world = world(1).await;
    let (tell_end, end) = watch::channel(String::new());
    let live = reads(&world, 0, Wish::all(), &end);
    let mut feed = Feed::to(&world);
    for turn in 0..8 {
        feed.swing_all(turn).await;
    }
    tell_end.send_replace(feed.swing_all(8).await);
    let mut recordings = vec![finish(live).await];
    // From the archive, then from one that came back by replay.
    for forget in [false, true] {
        world.end(Process::kill).await;
        if forget {
            for file in ["archive.db", "archive.db-wal", "archive.db-shm"] {
                let _ = std::fs::remove_file(world.dir.path().join(file));
            }
        }
        world.run().await;
        recordings.push(finish(reads(&world, 0, Wish::all(), &end)).await);
    }
    let channel = client::connect(&world.subscribers[0].address).await.unwrap();
    let mut alerts = AlertServiceClient::new(channel);
    let mut got = Vec::new();
    for sequence in sequences(&recordings[0]) {
        let request = GetAlertRequest { sequence, ..GetAlertRequest::default() };
        got.push(alerts.get_alert(request).await.unwrap().into_inner().alert.unwrap());
    }
    let oracle = check_all(&mut world, &feed, &recordings.iter().collect::<Vec<_>>()).await;
    for (alert, expected) in got.iter().zip(&oracle.alerts) {
        assert_eq!(prost::Message::encode_to_vec(alert), expected.bytes);
    }
    assert_eq!(got.len(), oracle.alerts.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_silence_a_stopped_server_is_noticed_and_nothing_is_lost() {
    let mut world = world(2).await;
    let (tell_end, end) = watch::channel(String::new());
    let mut feed = Feed::to(&world);
    let by_hand = reads(&world, 0, Wish::all(), &end);
    let address = world.subscribers[1].address.clone();
    let servers = Servers::parse([address.as_str()]).unwrap();
    let mut watching = client::Subscription::new(servers, Wish::all().request());
    feed.swing_all(0).await;
    world.process.as_ref().unwrap().stop();
    let lost = loop {
        match timeout(PATIENCE, watching.next()).await.unwrap().unwrap() {
            client::Resumed::Message(_) => {}
            client::Resumed::Lost(status) => break status,
        }
    };
    assert_eq!(lost.message(), "two heartbeats are missing");
    world.process.as_ref().unwrap().go_on();
    tell_end.send_replace(feed.swing_all(1).await);
    let by_hand = finish(by_hand).await;
    let by_client = finish(tokio::spawn(by_client(address, Wish::all(), end))).await;
    check_all(&mut world, &feed, &[&by_hand, &by_client]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_silence_heartbeats_come_during_catch_up_as_well() {
    let world = busy_world(1).await;
    let mut feed = Feed::to(&world);
    for turn in 0..3 {
        feed.swing_all(turn).await;
    }
    // History arrives so slowly that it takes longer than a heartbeat's interval.
    world.subscribers[0].turn(|now| now.bytes_per_ms = Some(400));
    let endpoint = Endpoint::from_shared(format!("http://{}", world.subscribers[0].address));
    let small = endpoint.unwrap().initial_stream_window_size(65_536).connect().await.unwrap();
    let request = Wish::all().request();
    let mut stream = AlertServiceClient::new(small).subscribe(request).await.unwrap().into_inner();
    let mut beats = 0;
    loop {
        let response = timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
        match response.message {
            Some(Message::Heartbeat(_)) => beats += 1,
            Some(Message::CaughtUp(_)) => break,
            _ => {}
        }
    }
    assert!(beats > 0, "more than a second passed without a heartbeat");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_eviction_a_reader_of_next_to_nothing_gets_everything_on_one_stream() {
    let mut world = busy_world(2).await;
    let (tell_end, end) = watch::channel(String::new());
    let mut feed = Feed::to(&world);
    let fast = reads(&world, 0, Wish::all(), &end);
    // Reads a byte a millisecond, then nothing at all, while far more than the ring holds goes by.
    let slow = &world.subscribers[1];
    let channel = client::connect(&slow.address).await.unwrap();
    let request = Wish::all().request();
    let mut stream =
        AlertServiceClient::new(channel).subscribe(request).await.unwrap().into_inner();
    slow.turn(|now| now.bytes_per_ms = Some(1));
    let mut last = String::new();
    for turn in 0..8 {
        if turn == 4 {
            world.subscribers[1].turn(|now| now.bytes_per_ms = Some(0));
        }
        last = feed.swing_all(turn).await;
    }
    tell_end.send_replace(last.clone());
    let fast = finish(fast).await;
    world.fair();
    let mut messages = Vec::new();
    while messages.last().is_none_or(|one: &SubscribeResponse| one.cursor != last) {
        messages.push(timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap());
    }
    let stream = crate::subscriber::Stream { messages, ..Default::default() };
    let slow = Recording { minerals: Vec::new(), start: Start::Oldest, streams: vec![stream] };
    check_all(&mut world, &feed, &[&fast, &slow]).await;
    assert_eq!(sequences(&slow), sequences(&fast));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_eviction_a_stopped_client_goes_on_where_it_stopped() {
    let world = busy_world(1).await;
    let mut feed = Feed::to(&world);
    feed.swing_all(0).await;
    let mut client = Command::new(env!("CARGO_BIN_EXE_lodewatch"))
        .args(["watch", "--from", "oldest", "--output", "json", "--address"])
        .arg(&world.subscribers[0].address)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let sequence = |line: std::io::Result<String>| -> u64 {
        let alert: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        alert["sequence"].as_str().unwrap().parse().unwrap()
    };
    let mut seen = vec![sequence(lines.next().unwrap())];
    process::signal(&client, Signal::STOP);
    for turn in 1..4 {
        feed.swing_all(turn).await;
    }
    process::signal(&client, Signal::CONT);
    let last = *feed.acknowledged.last().unwrap().1.alert_sequences.last().unwrap();
    while seen.last() < Some(&last) {
        seen.push(sequence(lines.next().unwrap()));
    }
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(seen, (1..=last).collect::<Vec<_>>());
}
