//! The metrics port: what it serves, to how many connections, and for how long.

use crate::world::World;
use lodewatch_testkit::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connections to a port for operators.
const OPERATORS_MAX: usize = 100;

/// Sends a request on a new connection, and reads until the server closes it.
async fn send(world: &World, request: &str) -> String {
    let mut stream = TcpStream::connect(world.metrics).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut received)).await.unwrap().unwrap();
    String::from_utf8(received).unwrap()
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn the_port_serves_metrics_and_nothing_else() {
    let world = World::start(|_| {}).await;
    let response = send(&world, &request("GET", "/metrics")).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.contains("content-type: text/plain; version=0.0.4"), "{response}");
    assert!(response.contains("\nlodewatch_ready 1\n"), "{response}");
    for (method, path, status) in [
        ("POST", "/metrics", "405"),
        ("DELETE", "/metrics", "405"),
        ("GET", "/", "404"),
        ("GET", "/metrics/", "404"),
        ("GET", "/grpc.health.v1.Health/Check", "404"),
    ] {
        let response = send(&world, &request(method, path)).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method} {path}: {response}"
        );
    }
    world.server.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_no_complete_request_is_disconnected() {
    let world = World::start(|config| config.server.handshake_timeout_ms = 100).await;
    for request in
        ["", "GET /metrics HTTP/1.1\r\nhost: te", "GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n"]
    {
        send(&world, request).await;
    }
    let long = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", "x".repeat(20_000));
    assert!(send(&world, &long).await.starts_with("HTTP/1.1 431 "));
    world.server.stop().await;
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_at_once() {
    let world = World::start(|_| {}).await;
    let mut open = Vec::new();
    for _ in 0..OPERATORS_MAX {
        open.push(TcpStream::connect(world.metrics).await.unwrap());
    }
    let mut more = TcpStream::connect(world.metrics).await.unwrap();
    assert_eq!(read_to_end(&mut more).await, "");
    drop(open.pop());
    // Until the server notices that one is closed.
    while !send(&world, &request("GET", "/metrics")).await.starts_with("HTTP/1.1 200") {}
    world.server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_drain() {
    let world = World::start(|_| {}).await;
    // Accepted before the connection that gets a response.
    let mut silent = TcpStream::connect(world.metrics).await.unwrap();
    let mut kept = TcpStream::connect(world.metrics).await.unwrap();
    kept.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    timeout(PATIENCE, kept.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    world.server.stop().await;
    read_to_end(&mut kept).await;
    assert_eq!(read_to_end(&mut silent).await, "");
}
