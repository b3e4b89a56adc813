//! Subscribers see what follows from the journal.

use super::{Feed, MINERALS, check_all, reads, sequences, world};
use lodewatch_client::{Publisher, Servers};
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{GetAlertRequest, PublishRequest, Start, SubscribeRequest};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::oracle::Oracle;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::recording::{Wish, finish};
use lodewatch_testkit::samples::swing;
use tokio::sync::watch;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_ahead_alerts_seen_before_a_kill_are_in_the_journal() {
    let mut world = world(1).await;
    for round in 0..3 {
        let (_end_tx, end) = watch::channel(String::new());
        let channel = lodewatch_client::connect(&world.subscribers[0].address).await.unwrap();
        let request =
            SubscribeRequest { start: Start::Oldest.into(), ..SubscribeRequest::default() };
        let mut stream =
            AlertServiceClient::new(channel).subscribe(request).await.unwrap().into_inner();
        let feeds = MINERALS.map(|mineral| {
            let servers = Servers::parse([world.publisher.address.as_str()]).unwrap();
            tokio::spawn(async move {
                for turn in round.. {
                    // The acknowledgement does not matter here; the task ends with the test.
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
        // Messages that arrived before the kill count too.
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
    let (end_tx, end) = watch::channel(String::new());
    let live = reads(&world, 0, Wish::all(), &end);
    let mut feed = Feed::to(&world);
    for turn in 0..8 {
        feed.swing_all(turn).await;
    }
    end_tx.send_replace(feed.swing_all(8).await);
    let mut recordings = vec![finish(live).await];
    // From the archive, then from one rebuilt by replay.
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
    let channel = lodewatch_client::connect(&world.subscribers[0].address).await.unwrap();
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
