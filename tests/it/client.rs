//! What the client does for those who use it.

use lodewatch_client::{MarketWatch, PublishStream, Publisher, Servers, StreamEvent, Subscription};
use lodewatch_proto::v1::publish_stream_response::Answer;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{Start, SubscribeRequest, SubscribeResponse, WatchMarketsRequest};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::samples::{removal, report, swing};
use lodewatch_testkit::server::{Server, batch};
use tokio::io::{AsyncReadExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Status};

/// The next event of a subscription.
async fn next(subscription: &mut Subscription) -> Result<StreamEvent<SubscribeResponse>, Status> {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("an event in time")
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
            StreamEvent::Message(_) => break,
            StreamEvent::Disconnected(status) => lost.push(status.message().to_owned()),
        }
    }
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert_eq!(lost[1], "no message within two heartbeat intervals");
    let addresses = format!("127.0.0.1:1,{}", server.address);
    let mut publisher = Publisher::new(Servers::parse([addresses.as_str()]).unwrap());
    let mut request = batch(vec![swing("gallium", 0)]);
    request.request_id = String::new();
    let answer = publisher.publish(request).await.unwrap();
    assert_ne!(answer.request_id, "");
    server.stop().await;
}

#[tokio::test]
async fn a_publisher_waits_for_a_limit_and_gives_up_on_a_rejection() {
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
async fn a_rejected_subscription_is_not_retried_and_a_full_server_is() {
    let dir = tempfile::tempdir().unwrap();
    let server =
        Server::start_with(dir.path(), "2026-01-01", |config| config.server.streams_max = 1).await;
    let bad = SubscribeRequest { heartbeat_seconds: 61, ..SubscribeRequest::default() };
    let rejected = next(&mut Subscription::new(server.servers(), bad)).await.unwrap_err();
    assert_eq!(rejected.code(), Code::InvalidArgument);
    let first = server.subscribe(SubscribeRequest::default()).await.unwrap();
    let mut waiting = Subscription::new(server.servers(), SubscribeRequest::default());
    let StreamEvent::Disconnected(full) = next(&mut waiting).await.unwrap() else {
        panic!("it is full")
    };
    assert_eq!(full.code(), Code::ResourceExhausted);
    drop(first);
    loop {
        let StreamEvent::Message(message) = next(&mut waiting).await.unwrap() else { continue };
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
        let event = async {
            let event = tokio::time::timeout(PATIENCE, watch.next());
            event.await.expect("an event in time").unwrap()
        };
        let first = tokio::select! {
            () = carried => panic!("cut before any event"),
            first = event => first,
        };
        let StreamEvent::Message(message) = first else { panic!("{turn}: {first:?}") };
        assert_eq!(message.markets.len(), 2, "all of them, though nothing has changed");
        let lost = tokio::time::timeout(PATIENCE, watch.next()).await.expect("word in time");
        assert!(matches!(lost.unwrap(), StreamEvent::Disconnected(_)), "{turn}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_publish_stream_gets_every_batch_applied_once_over_lost_connections() {
    const BATCHES: usize = 60;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    // Between both, so that connections can be cut: each carries on only for a while.
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = between.local_addr().unwrap().to_string();
    let upstream = server.address.clone();
    let proxy = tokio::spawn(async move {
        for carried_bytes in [2_000, 4_000, u64::MAX] {
            let (client, _) = between.accept().await.unwrap();
            let mut server = TcpStream::connect(&upstream).await.unwrap();
            let (from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.split();
            let mut from_client = from_client.take(carried_bytes);
            tokio::select! {
                _ = copy(&mut from_client, &mut to_server) => {}
                _ = copy(&mut from_server, &mut to_client) => {}
            }
        }
    });
    let mut stream = PublishStream::new(Servers::parse([address.as_str()]).unwrap());
    let pushed: Vec<String> =
        (0..BATCHES).map(|turn| stream.push(batch(vec![swing("gallium", turn)]))).collect();
    let (mut answered, mut lost) = (Vec::new(), 0);
    loop {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await.expect("an answer in time");
        match next.unwrap() {
            None => break,
            Some(StreamEvent::Disconnected(_)) => lost += 1,
            Some(StreamEvent::Message(message)) => {
                assert!(matches!(message.answer, Answer::Accepted(_)), "{message:?}");
                answered.push(message.request_id);
            }
        }
    }
    assert_eq!(answered, pushed, "one answer a batch, in order");
    assert_eq!(lost, 2, "both cut connections were noticed");
    assert_eq!(stream.unanswered(), 0);
    // The policy is the first entry; every batch is one more.
    assert_eq!(
        server.view.applied().0,
        1 + u64::try_from(BATCHES).unwrap(),
        "every batch was applied once"
    );
    proxy.abort();
    server.stop().await;
}

#[tokio::test]
async fn a_publish_stream_sends_again_what_a_limit_rejected_and_reports_what_is_invalid() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.updates_per_second_max = 1000;
    })
    .await;
    let mut stream = PublishStream::new(server.servers());
    // Three times a second's worth: the limit rejects some of them at first.
    let updates = |turn| vec![swing("gallium", turn); 600];
    let accepted: Vec<String> = (0..5).map(|turn| stream.push(batch(updates(turn)))).collect();
    let invalid = stream.push(batch(vec![report("unobtainium", "2024", &[("CHN", 0.9)])]));
    let (mut answers, mut limited) = (Vec::new(), 0);
    loop {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await.expect("an answer in time");
        match next.unwrap() {
            None => break,
            Some(StreamEvent::Disconnected(status)) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                limited += 1;
            }
            Some(StreamEvent::Message(message)) => {
                let is_accepted = matches!(message.answer, Answer::Accepted(_));
                answers.push((message.request_id, is_accepted));
            }
        }
    }
    assert!(limited > 0, "the limit was reached");
    let expected = accepted.into_iter().map(|id| (id, true)).chain([(invalid, false)]);
    assert_eq!(answers, expected.collect::<Vec<_>>());
    server.stop().await;
}
