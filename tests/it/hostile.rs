//! Clients that mean harm below gRPC: each with what it may cost.
//!
//! The server is the real binary with the default settings, so that its memory can be read; it is a
//! debug build, so the bounds are generous. During each attack another client is still served.

use crate::addresses::{forward, policy};
use crate::limits::limit;
use crate::raw_http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, HOSTILE, PING, RST_STREAM, Raw,
    call, frame, header,
};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::process::Process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;
use tokio::net::TcpStream;
use tokio::time::{Instant, interval_at};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

const ENHANCE_YOUR_CALM: u32 = 11;
const CHECK: &str = "/grpc.health.v1.Health/Check";
const SUBSCRIBE: &str = "/lodewatch.v1.AlertService/Subscribe";
/// An empty message of gRPC.
const EMPTY: [u8; 5] = [0; 5];
/// What one attack may add to the server's memory, in KiB.
const ATTACK_KIB_MAX: u64 = 64 * 1024;
/// What an idle connection may add, in KiB.
const CONNECTION_KIB_MAX: u64 = 32;

/// A server, and its memory before the first client.
pub(crate) struct Target {
    _dir: tempfile::TempDir,
    process: Process,
    before_kib: u64,
}

impl Target {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let process = Process::serve(dir.path());
        let target = Self { _dir: dir, process, before_kib: 0 };
        target.assert_answers().await;
        Self { before_kib: target.process.memory_kb(), ..target }
    }

    pub(crate) fn address(&self) -> &str {
        &self.process.address
    }

    /// Another client is served.
    pub(crate) async fn assert_answers(&self) {
        let channel = lodewatch_client::connect(self.address()).await.unwrap();
        let mut health = HealthClient::new(channel);
        let asked = health.check(HealthCheckRequest::default());
        tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap();
    }

    /// Another client is served, and memory was never over the bound.
    pub(crate) async fn assert_unharmed(&self) {
        self.assert_within(ATTACK_KIB_MAX).await;
    }

    async fn assert_within(&self, bound_kib: u64) {
        self.assert_answers().await;
        let most = self.process.memory_most_kb().saturating_sub(self.before_kib);
        println!("memory: {most} KiB more than before, at most {bound_kib}");
        assert!(most <= bound_kib, "{most} KiB more than before, at most {bound_kib}");
    }
}

/// Sends until the server closes, or has taken all; what it said at the end.
async fn flood(raw: &mut Raw, frames: impl Iterator<Item = Vec<u8>>) -> Option<u32> {
    let work = async {
        for bytes in frames {
            if raw.send(&bytes).await.is_err() {
                break;
            }
        }
        raw.until_goaway().await
    };
    tokio::time::timeout(PATIENCE, work).await.expect("the server ends it")
}

#[tokio::test]
async fn a_stream_reset_as_soon_as_it_is_opened_again_and_again_ends_the_connection() {
    let target = Target::start().await;
    let mut raw = Raw::connect(target.address(), &[]).await;
    let frames = (0..200_000_u32).map(|turn| {
        let stream = turn * 2 + 1;
        let mut both = frame(HEADERS, END_HEADERS, stream, &call(SUBSCRIBE));
        both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        both
    });
    let said = flood(&mut raw, frames).await;
    println!("rapid reset: the server said {said:?}");
    assert!(said.is_none_or(|error| error == ENHANCE_YOUR_CALM), "{said:?}");
    target.assert_unharmed().await;
}

#[tokio::test]
async fn headers_that_never_end_end_the_connection() {
    let target = Target::start().await;
    let mut raw = Raw::connect(target.address(), &[]).await;
    let first = frame(HEADERS, 0, 1, &call(CHECK));
    let more = header("x-more", &"a".repeat(16_000));
    let frames = (0..100_000).map(|_| frame(CONTINUATION, 0, 1, &more));
    flood(&mut raw, std::iter::once(first).chain(frames)).await;
    let mut raw = Raw::connect(target.address(), &[]).await;
    let first = frame(HEADERS, 0, 1, &call(CHECK));
    let frames = (0..1_000_000).map(|_| frame(CONTINUATION, 0, 1, &[]));
    flood(&mut raw, std::iter::once(first).chain(frames)).await;
    target.assert_unharmed().await;
}

#[tokio::test]
async fn headers_that_stop_before_their_end_end_the_connection() {
    let target = Target::start().await;
    let mut raw = Raw::connect(target.address(), &[]).await;
    raw.send(&frame(HEADERS, 0, 1, &call(CHECK))).await.unwrap();
    // Between headers and their end there is no answer to a ping, and the server sends one every 20
    // s.
    let ended = async { while raw.next().await.is_some() {} };
    tokio::time::timeout(2 * PATIENCE, ended).await.expect("the server ends it");
    target.assert_unharmed().await;
}

/// Whether the server answers one of the calls, or closes, before it answers a second ping: by the
/// first it has begun them all.
async fn is_any_answered(raw: &mut Raw) -> bool {
    let answered = async {
        for _ in 0..2 {
            raw.send(&frame(PING, 0, 0, &[7; 8])).await.ok()?;
            loop {
                match raw.next().await?.kind {
                    HEADERS => return None,
                    PING => break,
                    _ => {}
                }
            }
        }
        Some(())
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("it is answered or closed").is_none()
}

#[tokio::test]
async fn an_address_that_abandons_calls_is_rejected_for_a_while_and_connections_in_use_continue() {
    let target = Target::start().await;
    // From the address of the attack.
    let beside = forward(target.address(), HOSTILE, Vec::new()).await;
    let friend = lodewatch_client::connect(&beside).await.unwrap();
    policy(&friend).await.unwrap();
    let mut connections = 0;
    // Ten seconds' worth of such calls are let pass: 2000.
    loop {
        let mut raw = Raw::connect(target.address(), &[]).await;
        connections += 1;
        let calls = (0..150_u32)
            .flat_map(|turn| frame(HEADERS, END_HEADERS, turn * 2 + 1, &call(SUBSCRIBE)));
        // Nothing answers a call without a message but its rejection.
        if raw.send(&calls.collect::<Vec<_>>()).await.is_err() || is_any_answered(&mut raw).await {
            break;
        }
        assert!(connections < 100);
    }
    println!("rejected after {connections} connections");
    policy(&friend).await.expect("it was answered before");
    target.assert_unharmed().await;
    let accepted = async {
        loop {
            let again = lodewatch_client::connect(&beside).await.unwrap();
            let Err(rejected) = policy(&again).await else { return };
            assert_eq!(limit(&rejected), "server.abandoned_calls_per_second_max");
            let wait = rejected.get_details_retry_info().unwrap().retry_delay.unwrap();
            interval_at(Instant::now() + wait, wait).tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, accepted).await.expect("the address is accepted again");
}

#[tokio::test]
async fn headers_larger_than_16_kib_are_rejected() {
    let target = Target::start().await;
    let mut raw = Raw::connect(target.address(), &[]).await;
    for turn in 0..50 {
        let (stream, mut large) = (turn * 2 + 1, call(CHECK));
        large.extend(header("x-bomb", &"a".repeat(15_000)));
        raw.send(&frame(HEADERS, 0, stream, &large)).await.unwrap();
        let more = header("x-bomb", &"a".repeat(15_000));
        raw.send(&frame(CONTINUATION, END_HEADERS, stream, &more)).await.unwrap();
    }
    let rejected = async {
        loop {
            match raw.next().await {
                Some(Frame { kind: HEADERS | RST_STREAM, .. }) | None => return,
                Some(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, rejected).await.unwrap();
    target.assert_unharmed().await;
}

#[tokio::test]
async fn pings_without_end_cost_nothing() {
    let target = Target::start().await;
    let mut raw = Raw::connect(target.address(), &[]).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    let work = async {
        // Never reads an answer, so that the server must stop reading in the end.
        for _ in 0..500 {
            if raw.send(&pings).await.is_err() {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(3), work).await;
    target.assert_unharmed().await;
}

#[tokio::test]
async fn subscribers_that_allow_not_a_byte_cost_no_more_than_others() {
    let target = Target::start().await;
    let mut all = Vec::new();
    for _ in 0..50 {
        // SETTINGS_INITIAL_WINDOW_SIZE is 0.
        let mut raw = Raw::connect(target.address(), &[0, 4, 0, 0, 0, 0]).await;
        for turn in 0..100 {
            let stream = turn * 2 + 1;
            raw.send(&frame(HEADERS, END_HEADERS, stream, &call(SUBSCRIBE))).await.unwrap();
            raw.send(&frame(DATA, END_STREAM, stream, &EMPTY)).await.unwrap();
        }
        all.push(raw);
    }
    target.assert_unharmed().await;
}

#[tokio::test]
async fn a_hundred_thousand_streams_in_turn_leave_nothing_behind() {
    const STREAMS: u32 = 100_000;
    const AT_ONCE: u32 = 50;
    let target = Target::start().await;
    let mut raw = Raw::connect(target.address(), &[]).await;
    let mut open = BTreeMap::new();
    let work = async {
        let (mut opened, mut ended) = (0_u32, 0_u32);
        while ended < STREAMS {
            let mut calls = Vec::new();
            while opened < STREAMS && opened - ended < AT_ONCE {
                let stream = opened * 2 + 1;
                calls.extend(frame(HEADERS, END_HEADERS, stream, &call(CHECK)));
                calls.extend(frame(DATA, END_STREAM, stream, &EMPTY));
                open.insert(stream, 0);
                opened += 1;
            }
            // The server's window is its own; each answer says twice that it has headers.
            raw.send(&calls).await.unwrap();
            let frame = raw.next().await.expect("the connection lives");
            if frame.kind == HEADERS {
                let seen = open.get_mut(&frame.stream).unwrap();
                *seen += 1;
                if *seen == 2 {
                    open.remove(&frame.stream);
                    ended += 1;
                }
            } else if frame.kind == DATA {
                // Gives the window back.
                let bytes = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
                raw.send(&crate::raw_http2::frame(8, 0, 0, &bytes)).await.unwrap();
            }
        }
    };
    tokio::time::timeout(2 * PATIENCE, work).await.expect("all are answered");
    target.assert_unharmed().await;
}

#[tokio::test]
async fn ten_thousand_idle_connections_are_held_and_others_are_answered() {
    const WANTED: u64 = 10_000;
    // The test has one end of each, and so has the server, which inherits the limit.
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit { current: Some(most.min(2 * WANTED)), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
    let count = WANTED.min(most.saturating_sub(500));
    if count < WANTED {
        println!("only {count} connections: the limit of open files is {most}");
    }
    let target = Target::start().await;
    let mut idle = Vec::new();
    for _ in 0..count {
        // They speak HTTP/2, so that they may stay.
        idle.push(Raw::connect(target.address(), &[]).await);
    }
    target.assert_within(ATTACK_KIB_MAX + count * CONNECTION_KIB_MAX).await;
    drop(idle);
    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(TcpStream::connect(target.address()).await.unwrap());
    }
    target.assert_within(ATTACK_KIB_MAX + count * CONNECTION_KIB_MAX).await;
}
