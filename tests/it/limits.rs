//! Limits, each rejected by its name.

use crate::raw_http2::{DATA, END_HEADERS, HEADERS, Raw, call, frame};
use futures_util::future::join_all;
use lodewatch::config::Config;
use lodewatch_client::Publisher;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::{
    PublishRequest, PublishStreamRequest, SubscribeRequest, SubscribeResponse,
};
use lodewatch_testkit::samples::{removal, swing};
use lodewatch_testkit::server::{Server, batch};
use std::collections::BTreeSet;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_types::StatusExt;

/// The setting that a rejection names.
pub(crate) fn limit(status: &Status) -> String {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let failure = status.get_details_quota_failure().expect("a quota failure");
    let named = &status.get_details_error_info().expect("a reason").metadata["limit"];
    assert_eq!(&failure.violations[0].subject, named);
    named.clone()
}

async fn start(dir: &tempfile::TempDir, change: impl FnOnce(&mut Config)) -> Server {
    Server::start_with(dir.path(), "2026-01-01", change).await
}

/// Opens as many subscriptions as go, on these connections in turn; gives them and the rejection.
async fn open_all(channels: &[Channel]) -> (Vec<Streaming<SubscribeResponse>>, Status) {
    let mut open = Vec::new();
    for channel in channels.iter().cycle() {
        let mut client = AlertServiceClient::new(channel.clone());
        match client.subscribe(SubscribeRequest::default()).await {
            Ok(stream) => open.push(stream.into_inner()),
            Err(status) => return (open, status),
        }
    }
    unreachable!("cycles for ever")
}

#[tokio::test]
async fn streams_are_bounded_on_a_connection_of_an_address_and_in_all() {
    let dir = tempfile::tempdir().unwrap();
    let check = async |change: fn(&mut Config), count: usize, expected: &str| {
        let server = start(&dir, change).await;
        let other = lodewatch_client::connect(&server.address).await.unwrap();
        let (open, rejected) = open_all(&[server.channel.clone(), other]).await;
        assert_eq!((open.len(), limit(&rejected).as_str()), (count, expected));
        assert!(rejected.get_details_retry_info().is_some());
        server.publish(vec![swing("gallium", 0)]).await.expect("other calls are still answered");
        drop(open);
        server.stop().await;
    };
    // The last place is for another address.
    check(|config| config.server.streams_max = 3, 2, "server.streams_max").await;
    let per_identity: fn(&mut Config) = |config| config.server.streams_per_identity_max = 5;
    check(per_identity, 5, "server.streams_per_identity_max").await;
    let per_connection: fn(&mut Config) = |config| config.server.streams_per_connection_max = 2;
    check(per_connection, 4, "server.streams_per_connection_max").await;
}

#[tokio::test]
async fn an_ended_stream_makes_room_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir, |config| config.server.streams_max = 1).await;
    for _ in 0..5 {
        let (open, rejected) = open_all(std::slice::from_ref(&server.channel)).await;
        assert_eq!(limit(&rejected), "server.streams_max");
        drop(open);
        // Waits for the server to hear that the stream before is gone; hangs where it never gives
        // its place back.
        while server.alerts().subscribe(SubscribeRequest::default()).await.is_err() {}
    }
    server.stop().await;
}

#[tokio::test]
async fn updates_beyond_the_rate_wait_as_long_as_retry_info_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir, |config| config.server.updates_per_second_max = 1000).await;
    // Small ones, so that the second batch comes well within the second of the first.
    let many = || vec![removal("NEVER-THERE"); 1000];
    assert_eq!(server.publish(many()).await.unwrap_err().code(), Code::NotFound);
    let rejected = server.publish(many()).await.unwrap_err();
    assert_eq!(limit(&rejected), "server.updates_per_second_max");
    let wait = rejected.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(!wait.is_zero() && wait.as_millis() <= 1000, "{wait:?}");
    server.stop().await;
}

#[tokio::test]
async fn streams_of_batches_are_bounded_in_all() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir, |config| config.server.publish_streams_max = 3).await;
    let open = async |batches| {
        server.feed().publish_stream(ReceiverStream::<PublishStreamRequest>::new(batches)).await
    };
    let ended = || mpsc::channel(1).1;
    let ((_send, first), (end, second)) = (mpsc::channel(1), mpsc::channel(1));
    let _open = (open(first).await.unwrap(), open(second).await.unwrap());
    assert_eq!(limit(&open(ended()).await.unwrap_err()), "server.publish_streams_max");
    server.subscribe(SubscribeRequest::default()).await.expect("other streams have their place");
    drop(end);
    // Waits for the server to hear that the second has ended; hangs where it never gives its place
    // back.
    while open(ended()).await.is_err() {}
    server.stop().await;
}

#[tokio::test]
async fn streams_of_batches_are_bounded_per_identity() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir, |_| {}).await;
    let mut open = Vec::new();
    let rejected = loop {
        let (send, batches) = mpsc::channel::<PublishStreamRequest>(1);
        match server.feed().publish_stream(ReceiverStream::new(batches)).await {
            Ok(answers) => open.push((send, answers)),
            Err(status) => break status,
        }
    };
    let Config { server: defaults, .. } = Config::built_in();
    assert_eq!(open.len(), defaults.publish_streams_per_identity_max);
    assert_eq!(limit(&rejected), "server.publish_streams_per_identity_max");
    assert!(defaults.publish_streams_per_identity_max <= defaults.publish_streams_max / 4);
    assert!(defaults.streams_per_identity_max <= defaults.streams_max / 4);
    server.stop().await;
}

#[tokio::test]
async fn streams_of_health_and_reflection_count_like_all_others() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir, |config| config.server.streams_per_identity_max = 2).await;
    let _first = server.subscribe(SubscribeRequest::default()).await.unwrap();
    let mut health = HealthClient::new(server.channel.clone());
    let _second = health.watch(HealthCheckRequest::default()).await.unwrap();
    let rejected = health.watch(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(limit(&rejected), "server.streams_per_identity_max");
    let (_send, requests) = mpsc::channel::<ServerReflectionRequest>(1);
    let mut reflection = ServerReflectionClient::new(server.channel.clone());
    let rejected = reflection.server_reflection_info(ReceiverStream::new(requests)).await;
    assert_eq!(limit(&rejected.unwrap_err()), "server.streams_per_identity_max");
    health.check(HealthCheckRequest::default()).await.expect("other calls are still answered");
    server.stop().await;
}

#[tokio::test]
async fn what_is_rejected_for_want_of_room_is_not_applied_until_it_is_sent_again() {
    const CALLS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let room = |config: &mut Config| config.server.publish_calls_bytes_max = 65_536;
    let server = start(&dir, room).await;
    let mut stream = server.subscribe(SubscribeRequest::default()).await.unwrap();
    stream.until_caught_up().await;
    let (mut cursors, mut rejected) = (BTreeSet::new(), Vec::new());
    // Until some are rejected, as good as certainly the first time: there is room for eight calls.
    while rejected.is_empty() {
        let batches: Vec<_> = (0..CALLS).map(|turn| batch(vec![swing("zinc", turn)])).collect();
        let call = async |batch: &PublishRequest| server.feed().publish(batch.clone()).await;
        let answers = join_all(batches.iter().map(call)).await;
        for (batch, answer) in batches.into_iter().zip(answers) {
            match answer {
                Ok(answer) => assert!(cursors.insert(answer.into_inner().cursor)),
                Err(status) => {
                    assert_eq!(limit(&status), "server.publish_calls_bytes_max");
                    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
                    rejected.push(batch);
                }
            }
        }
    }
    let entries = |batches: usize| u64::try_from(1 + batches).unwrap();
    assert_eq!(
        server.view.applied().0,
        entries(cursors.len()),
        "the policy, and what was answered"
    );
    let again = async |batch: PublishRequest| {
        Publisher::new(server.servers()).publish(batch).await.expect("it waits and sends again")
    };
    for answer in join_all(rejected.into_iter().map(again)).await {
        assert!(cursors.insert(answer.cursor), "an entry of its own");
    }
    assert_eq!(server.view.applied().0, entries(cursors.len()), "each is applied once");
    let all = server.all_alerts().await;
    let (alerts, _) = stream.until_alert(all.last().unwrap().sequence).await;
    assert_eq!(alerts, all, "subscribers get every alert");
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_too_large_names_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir, |config| config.server.message_bytes_max = 65_536).await;
    let large = || {
        let mut request = batch(vec![swing("gallium", 0)]);
        request.feed = "x".repeat(70_000);
        request
    };
    let rejected = server.feed().publish(large()).await.unwrap_err();
    assert_eq!(limit(&rejected), "server.message_bytes_max");
    server.stop().await;
}

#[tokio::test]
async fn bytes_under_way_are_bounded_and_small_calls_are_answered_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir, |config| config.server.transfer_bytes_max = 100_000).await;
    // The first 60,000 bytes of a request of 90,000, and then nothing.
    let mut raw = Raw::connect(&server.address, &[]).await;
    let path = "/lodewatch.v1.FeedService/Publish";
    raw.send(&frame(HEADERS, END_HEADERS, 1, &call(path))).await.unwrap();
    raw.send(&frame(DATA, 0, 1, &[&[0, 0, 1, 0x5f, 0x90][..], &[0; 10_000]].concat()))
        .await
        .unwrap();
    for _ in 0..5 {
        raw.send(&frame(DATA, 0, 1, &[0; 10_000])).await.unwrap();
    }
    let large = || batch(vec![removal(&"NEVER-THERE-".repeat(5)); 1000]);
    assert!((50_000..100_000).contains(&prost::Message::encoded_len(&large())));
    // Until the server has read them.
    let rejected = loop {
        match server.feed().publish(large()).await.unwrap_err() {
            status if status.code() == Code::ResourceExhausted => break status,
            status => assert_eq!(status.code(), Code::NotFound),
        }
    };
    assert_eq!(limit(&rejected), "server.transfer_bytes_max");
    server.publish(vec![swing("gallium", 0)]).await.expect("a small call is answered");
    drop(raw);
    while server.feed().publish(large()).await.unwrap_err().code() != Code::NotFound {}
    server.stop().await;
}
