//! What the client does for those who use it.

use crate::harness::{PATIENCE, Server, batch};
use crate::samples::{removal, report, swing};
use lodewatch_client::{MarketWatch, Publisher, Resumed, Servers, Subscription};
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{Start, SubscribeRequest, SubscribeResponse, WatchMarketsRequest};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Status};

/// The next thing that a subscription hands over.
async fn next(subscription: &mut Subscription) -> Result<Resumed<SubscribeResponse>, Status> {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("something in time")
}

#[tokio::test]
async fn a_server_that_is_gone_or_silent_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    // Takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = format!("127.0.0.1:1,{},{}", silent.local_addr().unwrap(), server.address);
    let servers = Servers::parse([addresses.as_str()]).unwrap();
    let request = SubscribeRequest {
        start: Start::Oldest.into(),
        heartbeat_seconds: 1,
        ..SubscribeRequest::default()
    };
    let mut subscription = Subscription::new(servers, request);
    let mut lost = Vec::new();
    loop {
        match next(&mut subscription).await.unwrap() {
            Resumed::Message(_) => break,
            Resumed::Lost(status) => lost.push(status.message().to_owned()),
        }
    }
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert_eq!(lost[1], "two heartbeats are missing");
    let addresses = format!("127.0.0.1:1,{}", server.address);
    let mut publisher = Publisher::new(Servers::parse([addresses.as_str()]).unwrap());
    let mut request = batch(vec![swing("gallium", 0)]);
    request.request_id = String::new();
    let answer = publisher.publish(request).await.unwrap();
    assert_ne!(answer.request_id, "");
    server.stop().await;
}

#[tokio::test]
async fn a_publisher_waits_for_a_limit_and_gives_up_on_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.updates_per_second_max = 1000;
    })
    .await;
    let mut publisher = Publisher::new(server.servers());
    let spent = batch(vec![removal("NEVER-THERE"); 1000]);
    assert_eq!(publisher.publish(spent).await.unwrap_err().code(), Code::NotFound);
    publisher.publish(batch(vec![swing("gallium", 0); 200])).await.unwrap();
    let bad = batch(vec![report("unobtainium", "2024", &[("CHN", 0.9)])]);
    assert_eq!(publisher.publish(bad).await.unwrap_err().code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_subscription_is_not_tried_again_and_a_full_server_is() {
    let dir = tempfile::tempdir().unwrap();
    let server =
        Server::start_with(dir.path(), "2026-01-01", |config| config.server.streams_max = 1).await;
    let bad = SubscribeRequest { heartbeat_seconds: 61, ..SubscribeRequest::default() };
    let refused = next(&mut Subscription::new(server.servers(), bad)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let first = server.subscribe(SubscribeRequest::default()).await.unwrap();
    let mut waiting = Subscription::new(server.servers(), SubscribeRequest::default());
    let Resumed::Lost(full) = next(&mut waiting).await.unwrap() else { panic!("it is full") };
    assert_eq!(full.code(), Code::ResourceExhausted);
    drop(first);
    loop {
        let Resumed::Message(message) = next(&mut waiting).await.unwrap() else { continue };
        assert!(matches!(message.message, Some(Message::Opened(_))));
        break;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_watch_of_markets_resumes_by_itself_with_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    server.publish(vec![swing("gallium", 0), swing("indium", 0)]).await.unwrap();
    // Between both, so that the connection can be cut.
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let servers = Servers::parse([between.local_addr().unwrap().to_string().as_str()]).unwrap();
    let mut watch = MarketWatch::new(servers, WatchMarketsRequest::default());
    for turn in 0..3 {
        let address = server.address.clone();
        let carried = async {
            let (mut client, _) = between.accept().await.unwrap();
            let mut server = TcpStream::connect(address).await.unwrap();
            // Ends with an error where it is cut.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        };
        let told = async {
            let told = tokio::time::timeout(PATIENCE, watch.next());
            told.await.expect("something in time").unwrap()
        };
        let first = tokio::select! {
            () = carried => panic!("cut before anything was told"),
            first = told => first,
        };
        let Resumed::Message(message) = first else { panic!("{turn}: {first:?}") };
        assert_eq!(message.markets.len(), 2, "all of them, though nothing has changed");
        let lost = tokio::time::timeout(PATIENCE, watch.next()).await.expect("word in time");
        assert!(matches!(lost.unwrap(), Resumed::Lost(_)), "{turn}");
    }
    server.stop().await;
}
