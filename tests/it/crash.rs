//! Invariant 2: what was acknowledged survives `kill -9`, and who resumes sees every alert once.

use crate::binary::Process;
use crate::harness::{PATIENCE, batch};
use crate::samples::swing;
use lodewatch::client;
use lodewatch::grpc::pb::alert_service_client::AlertServiceClient;
use lodewatch::grpc::pb::feed_service_client::FeedServiceClient;
use lodewatch::grpc::pb::subscribe_response::Message;
use lodewatch::grpc::pb::{PublishRequest, PublishResponse, Start, SubscribeRequest};
use std::path::Path;
use tokio::sync::mpsc;

const MINERALS: [&str; 4] = ["gallium", "indium", "bismuth", "arsenic"];
/// Acknowledgements before the kill.
const ACKNOWLEDGED: usize = 60;

type Acknowledged = (PublishRequest, PublishResponse);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_publishing_loses_no_acknowledged_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for round in 0..4 {
        let (acknowledged, more, last) = publish_and_kill(dir.path(), round, &cursor).await;
        assert!(acknowledged.len() >= ACKNOWLEDGED);
        seen.extend(more);
        cursor = last;
        let process = Process::serve(dir.path());
        let mut feed = FeedServiceClient::new(client::connect(&process.address).await.unwrap());
        for (request, first) in acknowledged {
            let again = feed.publish(request).await.unwrap().into_inner();
            assert_eq!(again, first, "a retry gets the first answer");
        }
    }
    let process = Process::serve(dir.path());
    seen.extend(read(&process.address, &cursor).await.0);
    let (all, _) = read(&process.address, "").await;
    assert!(all.len() > 100);
    assert_eq!(seen, all, "over all crashes: every alert once, in order");
}

/// Publishes from several tasks with a subscriber, kills the server in the middle; gives what was acknowledged, the
/// sequences seen and the last cursor.
async fn publish_and_kill(
    dir: &Path,
    round: usize,
    cursor: &str,
) -> (Vec<Acknowledged>, Vec<u64>, String) {
    let mut process = Process::serve(dir);
    let address = process.address.clone();
    let (tell, mut told) = mpsc::unbounded_channel();
    let publishers: Vec<_> = MINERALS
        .iter()
        .map(|mineral| {
            tokio::spawn(publish_until_lost(address.clone(), mineral, round, tell.clone()))
        })
        .collect();
    drop(tell);
    let start = if cursor.is_empty() { Start::Oldest } else { Start::Cursor };
    let request = SubscribeRequest {
        start: start.into(),
        cursor: cursor.to_owned(),
        ..SubscribeRequest::default()
    };
    let subscriber = tokio::spawn(read_until_lost(address, request));
    let mut acknowledged = Vec::new();
    while acknowledged.len() < ACKNOWLEDGED {
        acknowledged.push(tokio::time::timeout(PATIENCE, told.recv()).await.unwrap().unwrap());
    }
    process.kill();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    while let Some(more) = told.recv().await {
        acknowledged.push(more);
    }
    let (seen, last) = subscriber.await.unwrap();
    (acknowledged, seen, last)
}

async fn publish_until_lost(
    address: String,
    mineral: &'static str,
    round: usize,
    tell: mpsc::UnboundedSender<Acknowledged>,
) {
    let mut feed = FeedServiceClient::new(client::connect(&address).await.unwrap());
    for turn in round.. {
        let request = batch(vec![swing(mineral, turn)]);
        match feed.publish(request.clone()).await {
            Ok(response) => tell.send((request, response.into_inner())).unwrap(),
            Err(_) => return,
        }
    }
}

async fn read_until_lost(address: String, request: SubscribeRequest) -> (Vec<u64>, String) {
    let mut cursor = request.cursor.clone();
    let mut client = AlertServiceClient::new(client::connect(&address).await.unwrap());
    let mut seen = Vec::new();
    let Ok(stream) = client.subscribe(request).await else { return (seen, cursor) };
    let mut stream = stream.into_inner();
    while let Ok(Some(response)) = stream.message().await {
        if let Some(Message::Alerts(alerts)) = response.message {
            seen.extend(alerts.alerts.iter().map(|alert| alert.sequence));
        }
        cursor = response.cursor;
    }
    (seen, cursor)
}

/// Everything after a cursor up to the head.
async fn read(address: &str, cursor: &str) -> (Vec<u64>, String) {
    let start = if cursor.is_empty() { Start::Oldest } else { Start::Cursor };
    let request = SubscribeRequest {
        start: start.into(),
        cursor: cursor.to_owned(),
        ..SubscribeRequest::default()
    };
    let mut client = AlertServiceClient::new(client::connect(address).await.unwrap());
    let mut stream = client.subscribe(request).await.unwrap().into_inner();
    let mut seen = Vec::new();
    loop {
        let response =
            tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
        match response.message {
            Some(Message::Alerts(alerts)) => {
                seen.extend(alerts.alerts.iter().map(|alert| alert.sequence));
            }
            Some(Message::CaughtUp(_)) => return (seen, response.cursor),
            _ => {}
        }
    }
}
