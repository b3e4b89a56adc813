//! How connections end, regardless of what their clients do.

use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::{Start, SubscribeRequest};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::samples::swing;
use lodewatch_testkit::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads until the server closes; what it said by then.
async fn until_closed(stream: &mut TcpStream) -> usize {
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    // A reset is an end as well.
    read.expect("the server closes in time").unwrap_or(said.len())
}

#[tokio::test]
async fn a_connection_that_sends_no_preface_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.handshake_timeout_ms = 50;
    })
    .await;
    let mut silent = TcpStream::connect(&server.address).await.unwrap();
    until_closed(&mut silent).await;
    let mut half = TcpStream::connect(&server.address).await.unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    until_closed(&mut half).await;
    server.publish(vec![swing("gallium", 0)]).await.expect("others are not dropped");
    server.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.connections_max = 2;
    })
    .await;
    let second = lodewatch_client::connect(&server.address).await.unwrap();
    let mut third = TcpStream::connect(&server.address).await.unwrap();
    assert_eq!(until_closed(&mut third).await, 0);
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    drop(second);
    server.stop().await;
}

#[tokio::test]
async fn a_drain_ends_in_time_with_any_client() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.server.drain_timeout_ms = 100;
        config.server.handshake_timeout_ms = 86_400_000;
    })
    .await;
    let mut silent = TcpStream::connect(&server.address).await.unwrap();
    // Opens a subscription, and never reads what it sends, so that its goodbye cannot be sent.
    let stuck = lodewatch_client::connect(&server.address).await.unwrap();
    let request = SubscribeRequest { start: Start::Oldest.into(), ..SubscribeRequest::default() };
    let unread = AlertServiceClient::new(stuck.clone()).subscribe(request).await.unwrap();
    for turn in 0..100 {
        server.publish(vec![swing("gallium", turn)]).await.unwrap();
    }
    server.drain();
    until_closed(&mut silent).await;
    // Fails where the server does not end within its time.
    server.stop().await;
    drop(unread);
}

#[tokio::test]
async fn a_connection_without_a_preface_does_not_hold_up_the_drain() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        // Longer than this test has patience.
        config.server.drain_timeout_ms = 86_400_000;
        config.server.handshake_timeout_ms = 86_400_000;
    })
    .await;
    let mut silent = TcpStream::connect(&server.address).await.unwrap();
    // Answered after the connection before it was accepted.
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    server.stop().await;
    until_closed(&mut silent).await;
}
