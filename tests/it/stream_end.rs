//! How streams end, and that nothing is lost by it.

use crate::access::{ROLES, identities};
use crate::raw_http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, Raw, call, frame, header,
};
use lodewatch::access::token::TokenHash;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{GoAwayReason, Start, SubscribeRequest};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::samples::swing;
use lodewatch_testkit::server::Server;
use std::time::Duration;
use tonic::{Code, Request};

fn from_head() -> SubscribeRequest {
    SubscribeRequest { start: Start::Head.into(), ..SubscribeRequest::default() }
}

#[tokio::test]
async fn the_calls_own_deadline_ends_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let mut request = Request::new(from_head());
    request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let mut stream = server.alerts().subscribe(request).await.unwrap().into_inner();
    let status = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ends as if all were well"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_that_cannot_be_read_is_rejected_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let mut request = Request::new(from_head());
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let status = server.alerts().subscribe(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("grpc-timeout"), "{}", status.message());
    server.stop().await;
}

#[tokio::test]
async fn an_old_stream_is_asked_to_come_again_and_resumes_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.stream_age_max = Some(Duration::from_millis(500));
    })
    .await;
    let mut stream = server.subscribe(from_head()).await.unwrap();
    stream.until_caught_up().await;
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    let (mut seen, away) = stream.until(|one| matches!(one, Message::GoAway(_))).await;
    let Some(Message::GoAway(said)) = away.message else { panic!("asked for") };
    assert_eq!(said.reason(), GoAwayReason::MaxAge);
    assert_eq!(
        stream.next().await.unwrap_err().code(),
        Code::Ok,
        "the goodbye is the last message"
    );
    let request = SubscribeRequest {
        start: Start::Cursor.into(),
        cursor: away.cursor,
        ..SubscribeRequest::default()
    };
    server.publish(vec![swing("gallium", 1)]).await.unwrap();
    let mut stream = server.subscribe(request).await.unwrap();
    seen.extend(stream.until_caught_up().await.0);
    assert_eq!(seen, server.all_alerts().await);
    server.stop().await;
}

/// A connection on which the server may send no data, and one call on it.
async fn stalled(server: &Server, path: &str, more: &[(&str, &str)]) -> Raw {
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    let mut raw = Raw::connect(&server.address, &[0, 4, 0, 0, 0, 0]).await;
    let more = more.iter().flat_map(|(name, value)| header(name, value));
    let headers: Vec<u8> = call(path).into_iter().chain(more).collect();
    raw.send(&frame(HEADERS, END_HEADERS, 1, &headers)).await.unwrap();
    raw.send(&frame(DATA, END_STREAM, 1, &[0; 5])).await.unwrap();
    raw
}

/// Reads until stream 1 is reset; its connection must live on.
async fn until_reset(mut raw: Raw) {
    let read = async {
        while raw.next().await.expect("the connection lives").kind != RST_STREAM {}
        raw.send(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
        while raw.next().await.expect("the connection lives").kind != PING {}
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the stream is reset");
}

#[tokio::test]
async fn a_stream_whose_reader_takes_nothing_is_reset_and_its_place_is_free() {
    const SUBSCRIBE: &str = "/lodewatch.v1.AlertService/Subscribe";
    const WATCH: &str = "/lodewatch.v1.MarketService/WatchMarkets";
    const PUBLISH: &str = "/lodewatch.v1.FeedService/PublishStream";
    const FETCH: &str = "/lodewatch.v1.ReplicaService/FetchArchive";
    const HEALTH: &str = "/grpc.health.v1.Health/Watch";
    let deadline = ("grpc-timeout", "100m");
    let age = Some(Duration::from_millis(100));
    for (path, age, header) in [
        (SUBSCRIBE, age, None),
        (SUBSCRIBE, None, Some(deadline)),
        (WATCH, age, None),
        (WATCH, None, Some(deadline)),
        (PUBLISH, None, Some(deadline)),
        (HEALTH, age, None),
        // It ends by itself, as fast as it is read.
        (FETCH, None, None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start_with(dir.path(), "2026-01-01", |config| {
            config.server.streams_max = 1;
            config.server.stream_age_max = age;
            config.server.transfer_timeout_ms = 100;
        })
        .await;
        until_reset(stalled(&server, path, header.as_slice()).await).await;
        let again = async { while server.subscribe(from_head()).await.is_err() {} };
        tokio::time::timeout(PATIENCE, again).await.expect("the place is free");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_response_that_its_caller_does_not_take_is_reset() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.transfer_timeout_ms = 100;
    })
    .await;
    until_reset(stalled(&server, "/lodewatch.v1.PolicyService/GetPolicy", &[]).await).await;
    server.stop().await;
}

#[tokio::test]
async fn a_stalled_stream_is_reset_when_its_credentials_are_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let file = identities(dir.path(), &ROLES);
    let server = Server::start_with(&dir.path().join("data"), "2026-01-01", |config| {
        config.access.identities = Some(file);
        config.reload.interval_ms = 10;
        config.server.stream_age_max = None;
        config.server.transfer_timeout_ms = 100;
    })
    .await;
    let path = "/lodewatch.v1.AlertService/Subscribe";
    let mut raw = stalled(&server, path, &[("authorization", "Bearer subscriber")]).await;
    while raw.next().await.unwrap().kind != HEADERS {}
    let path = dir.path().join("identities.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (old, new) = (TokenHash::of("subscriber"), TokenHash::of("another"));
    let text = text.replace(&old.to_string(), &new.to_string());
    std::fs::write(dir.path().join("identities.new"), text).unwrap();
    std::fs::rename(dir.path().join("identities.new"), path).unwrap();
    until_reset(raw).await;
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_does_not_arrive_whole_is_answered_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.transfer_timeout_ms = 100;
    })
    .await;
    let mut raw = Raw::connect(&server.address, &[]).await;
    let path = "/lodewatch.v1.PolicyService/GetPolicy";
    raw.send(&frame(HEADERS, END_HEADERS, 1, &call(path))).await.unwrap();
    let read = async { while raw.next().await.expect("the connection lives").kind != HEADERS {} };
    tokio::time::timeout(PATIENCE, read).await.expect("it is answered");
    server.stop().await;
}
