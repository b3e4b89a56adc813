//! The port: what is served there, to whom, and for how long.

use crate::world::World;
use lodewatch_testkit::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connections to a port for operators.
const OPERATORS_MAX: usize = 100;

/// What a connection hears until it is closed, after it has said this.
async fn say(world: &World, words: &str) -> String {
    let mut stream = TcpStream::connect(world.metrics).await.unwrap();
    stream.write_all(words.as_bytes()).await.unwrap();
    heard(&mut stream).await
}

async fn heard(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    String::from_utf8(heard).unwrap()
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn metrics_are_read_and_nothing_else_is_there() {
    let world = World::start(|_| {}).await;
    let answer = say(&world, &request("GET", "/metrics")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("\nlodewatch_ready 1\n"), "{answer}");
    for (method, path, status) in [
        ("POST", "/metrics", "405"),
        ("DELETE", "/metrics", "405"),
        ("GET", "/", "404"),
        ("GET", "/metrics/", "404"),
        ("GET", "/grpc.health.v1.Health/Check", "404"),
    ] {
        let answer = say(&world, &request(method, path)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answer}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn who_says_nothing_or_does_not_come_to_an_end_is_let_go() {
    let world = World::start(|config| config.server.handshake_timeout_ms = 100).await;
    for words in
        ["", "GET /metrics HTTP/1.1\r\nhost: te", "GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n"]
    {
        say(&world, words).await;
    }
    let long = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", "x".repeat(20_000));
    assert!(say(&world, &long).await.starts_with("HTTP/1.1 431 "));
    world.server.stop().await;
}

#[tokio::test]
async fn one_connection_more_than_there_may_be_is_closed_at_once() {
    let world = World::start(|_| {}).await;
    let mut open = Vec::new();
    for _ in 0..OPERATORS_MAX {
        open.push(TcpStream::connect(world.metrics).await.unwrap());
    }
    let mut more = TcpStream::connect(world.metrics).await.unwrap();
    assert_eq!(heard(&mut more).await, "");
    drop(open.pop());
    // Waits for the server to hear that one is gone.
    while !say(&world, &request("GET", "/metrics")).await.starts_with("HTTP/1.1 200") {}
    world.server.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_kept_does_not_hold_up_the_drain() {
    let world = World::start(|_| {}).await;
    // Accepted before the one that gets an answer.
    let mut silent = TcpStream::connect(world.metrics).await.unwrap();
    let mut kept = TcpStream::connect(world.metrics).await.unwrap();
    kept.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    timeout(PATIENCE, kept.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    world.server.stop().await;
    heard(&mut kept).await;
    assert_eq!(heard(&mut silent).await, "");
}
