//! Which alerts arrive, and in which order.

use super::{Feed, MINERALS, busy_world, check_all, messages, reads, sequences, world};
use lodewatch_proto::v1::Start;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_testkit::oracle::position;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::recording::{Recording, Wish, by_client, finish};
use lodewatch_testkit::samples::swing;
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordered_all_subscribers_see_the_same_order_with_concurrent_publishers() {
    let mut world = world(3).await;
    let (end_tx, end) = watch::channel(String::new());
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
    end_tx.send_replace(last.swing_all(0).await);
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
    let (end_tx, end) = watch::channel(String::new());
    let by_hand = reads(&world, 0, Wish::all(), &end);
    let by_client = tokio::spawn(by_client(world.subscribers[1].address.clone(), Wish::all(), end));
    let mut feed = Feed::to(&world);
    for turn in 0..20 {
        world.subscribers.iter().for_each(|way| way.turn(|now| now.cuts += 1));
        feed.swing_all(turn).await;
    }
    end_tx.send_replace(feed.swing_all(20).await);
    let (by_hand, by_client) = (finish(by_hand).await, finish(by_client).await);
    check_all(&mut world, &feed, &[&by_hand, &by_client]).await;
    assert!(by_hand.streams.len() > 2 && by_client.streams.len() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reliable_a_filter_and_a_kill_leave_no_gap() {
    let mut world = world(2).await;
    let (end_tx, end) = watch::channel(String::new());
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
    end_tx.send_replace(feed.swing_all(0).await);
    let (one, two) = (finish(one).await, finish(two).await);
    check_all(&mut world, &feed, &[&one, &two]).await;
    assert!(sequences(&one).len() > sequences(&two).len() && !sequences(&two).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn atomic_an_entry_too_large_for_a_message_says_that_more_follows() {
    let mut world = busy_world(2).await;
    let (end_tx, end) = watch::channel(String::new());
    let live = reads(&world, 0, Wish::all(), &end);
    let mut feed = Feed::to(&world);
    let last = feed.swing_all(0).await;
    end_tx.send_replace(last);
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
    // A stream that was cut between the two continues inside the entry.
    let wish = Wish { start: Start::Cursor, cursor: inside, ..Wish::all() };
    let resumed = finish(reads(&world, 1, wish, &end)).await;
    assert!(sequences(&resumed)[0] > 1);
    check_all(&mut world, &feed, &[&live, &resumed]).await;
}
