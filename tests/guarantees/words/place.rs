//! The cursors from which a stream can resume.

use super::{Feed, busy_world, catch_up_slowly, check_all, heartbeats, messages, reads, world};
use lodewatch_client::Servers;
use lodewatch_proto::v1::Start;
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::recording::{Recording, Wish, finish};
use tokio::sync::watch;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resumable_every_delivered_cursor_works_after_a_crash() {
    let mut world = world(1).await;
    let (end_tx, end) = watch::channel(String::new());
    let reader = reads(&world, 0, Wish::all(), &end);
    let mut feed = Feed::to(&world);
    for turn in 0..6 {
        feed.swing_all(turn).await;
    }
    end_tx.send_replace(feed.swing_all(6).await);
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
async fn resumable_an_interrupted_snapshot_is_sent_again_as_a_whole() {
    let mut world = busy_world(1).await;
    let mut feed = Feed::to(&world);
    let last = feed.swing_all(0).await;
    let (_end_tx, end) = watch::channel(last);
    let way = &world.subscribers[0];
    way.turn(|now| now.bytes_per_ms = Some(100));
    let wish = Wish { start: Start::Snapshot, ..Wish::all() };
    let (delivered_tx, mut handed) = watch::channel(0);
    let servers = Servers::parse([way.address.as_str()]).unwrap();
    let mut watching = lodewatch_client::Subscription::new(servers, wish.request());
    let cutting = async {
        timeout(PATIENCE, handed.wait_for(|count| *count >= 2)).await.unwrap().unwrap();
        way.turn(|now| {
            now.cuts += 1;
            now.bytes_per_ms = None;
        });
    };
    let reading = async {
        let mut streams = vec![lodewatch_testkit::recording::Stream::default()];
        loop {
            match timeout(PATIENCE, watching.next()).await.unwrap().unwrap() {
                lodewatch_client::StreamEvent::Message(message) => {
                    let done = message.cursor == *end.borrow();
                    streams.last_mut().unwrap().messages.push(*message);
                    delivered_tx.send_modify(|count| *count += 1);
                    if done {
                        return streams;
                    }
                }
                lodewatch_client::StreamEvent::Disconnected(_) => {
                    streams.push(lodewatch_testkit::recording::Stream::default());
                }
            }
        }
    };
    let (streams, ()) = tokio::join!(reading, cutting);
    assert!(streams.len() > 1, "the snapshot was cut off");
    let recording = Recording { minerals: Vec::new(), start: Start::Snapshot, streams };
    check_all(&mut world, &feed, &[&recording]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bookmarkable_a_heartbeat_is_never_ahead_of_delivered_alerts() {
    let mut world = busy_world(1).await;
    let mut feed = Feed::to(&world);
    for turn in 0..3 {
        feed.swing_all(turn).await;
    }
    let last = feed.swing_all(3).await;
    let recording = catch_up_slowly(&world, &last).await;
    assert!(heartbeats(&recording) > 0);
    // Names the heartbeat that was ahead.
    check_all(&mut world, &feed, &[&recording]).await;
}
