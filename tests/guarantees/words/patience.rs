//! No subscriber waits without notice, and none is disconnected for being slow.

use super::{
    Feed, busy_world, catch_up_slowly, check_all, heartbeats, reads, sequences, until, world,
};
use lodewatch_client::Servers;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::process::{self};
use lodewatch_testkit::recording::{Wish, by_client, finish};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use tokio::sync::watch;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_silence_a_stopped_server_is_noticed_and_nothing_is_lost() {
    let mut world = world(2).await;
    let (end_tx, end) = watch::channel(String::new());
    let mut feed = Feed::to(&world);
    let by_hand = reads(&world, 0, Wish::all(), &end);
    let address = world.subscribers[1].address.clone();
    let servers = Servers::parse([address.as_str()]).unwrap();
    let mut watching = lodewatch_client::Subscription::new(servers, Wish::all().request());
    feed.swing_all(0).await;
    world.process.as_ref().unwrap().suspend();
    let lost = loop {
        match timeout(PATIENCE, watching.next()).await.unwrap().unwrap() {
            lodewatch_client::StreamEvent::Message(_) => {}
            lodewatch_client::StreamEvent::Disconnected(status) => break status,
        }
    };
    assert_eq!(lost.message(), "no message within two heartbeat intervals");
    world.process.as_ref().unwrap().go_on();
    end_tx.send_replace(feed.swing_all(1).await);
    let by_hand = finish(by_hand).await;
    let by_client = finish(tokio::spawn(by_client(address, Wish::all(), end))).await;
    check_all(&mut world, &feed, &[&by_hand, &by_client]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounded_silence_heartbeats_arrive_during_catch_up_and_with_an_empty_filter() {
    let world = busy_world(2).await;
    let mut feed = Feed::to(&world);
    let wish = Wish { minerals: vec!["tellurium"], ..Wish::all() };
    let channel = lodewatch_client::connect(&world.subscribers[1].address).await.unwrap();
    let mut idle =
        AlertServiceClient::new(channel).subscribe(wish.request()).await.unwrap().into_inner();
    for turn in 0..3 {
        feed.swing_all(turn).await;
    }
    let last = feed.swing_all(3).await;
    let recording = catch_up_slowly(&world, &last).await;
    assert!(heartbeats(&recording) > 0, "more than a second passed without a heartbeat");
    loop {
        let response = timeout(PATIENCE, idle.message()).await.unwrap().unwrap().unwrap();
        match response.message {
            Some(Message::Heartbeat(_)) if response.cursor == last => return,
            Some(Message::Alerts(alerts)) => panic!("not wanted: {alerts:?}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_eviction_a_very_slow_reader_gets_everything_on_one_stream() {
    let mut world = busy_world(2).await;
    let (end_tx, end) = watch::channel(String::new());
    let mut feed = Feed::to(&world);
    let fast = reads(&world, 0, Wish::all(), &end);
    // Reads a byte per millisecond, then nothing, while far more than the ring holds is published.
    let slow = &world.subscribers[1];
    let channel = lodewatch_client::connect(&slow.address).await.unwrap();
    let request = Wish::all().request();
    let stream = AlertServiceClient::new(channel).subscribe(request).await.unwrap().into_inner();
    slow.turn(|now| now.bytes_per_ms = Some(1));
    let mut last = String::new();
    for turn in 0..8 {
        if turn == 4 {
            world.subscribers[1].turn(|now| now.bytes_per_ms = Some(0));
        }
        last = feed.swing_all(turn).await;
    }
    end_tx.send_replace(last.clone());
    let fast = finish(fast).await;
    world.fair();
    let slow = until(stream, &last).await;
    check_all(&mut world, &feed, &[&fast, &slow]).await;
    assert_eq!(sequences(&slow), sequences(&fast));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_eviction_a_stopped_client_continues_where_it_stopped() {
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
