//! Cursors that the server never issued, and snapshots that are read late.

use crate::large_state::{big_report, minerals};
use lodewatch_proto::v1::SubscribeRequest;
use lodewatch_proto::v1::subscribe_response::Message as Event;
use lodewatch_testkit::server::Server;
use std::collections::BTreeSet;
use tonic::Code;

/// A cursor that the server never issued: inside an entry that has fewer alerts, or none, or does
/// not exist.
#[tokio::test]
async fn a_forged_cursor_is_rejected_or_passed_and_never_read_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let swing = lodewatch_testkit::samples::swing;
    let early = server.publish(vec![swing("gallium", 0)]).await.unwrap().cursor;
    let head = server.publish(vec![swing("gallium", 1)]).await.unwrap().cursor;
    let after = |cursor: String| SubscribeRequest { cursor, ..SubscribeRequest::default() };
    let lost = server.subscribe(after(forged(&head, 5))).await.err().unwrap();
    assert_eq!(lost.code(), Code::OutOfRange, "{lost:?}");
    for alerts in [1, 5, u32::MAX] {
        let mut stream = server.subscribe(after(forged(&early, alerts))).await.unwrap();
        let (_, reached) = stream.until_caught_up().await;
        assert_eq!(reached, head);
    }
    server.stop().await;
}

/// A cursor with another number of alerts, and the check that belongs to it.
fn forged(cursor: &str, alerts: u32) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
    bytes.truncate(17);
    bytes.extend(alerts.to_be_bytes());
    let check = xxhash_rust::xxh3::xxh3_64(&bytes).to_be_bytes();
    bytes.extend(&check[..4]);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn a_snapshot_is_as_of_its_begin_however_late_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let reports = minerals().iter().map(|one| big_report(one, "TEST", 2024, 50.0)).collect();
    server.publish(reports).await.unwrap();
    let mut unread = Vec::new();
    for _ in 0..20 {
        unread.push(server.subscribe(SubscribeRequest::default()).await.unwrap());
    }
    let before = server.view.read_state(lodewatch_core::engine::State::open_alerts);
    for mut stream in unread.drain(..10) {
        let (alerts, _) = stream.until(|message| matches!(message, Event::SnapshotEnd(_))).await;
        assert_eq!(alerts.iter().map(|one| one.sequence).collect::<BTreeSet<_>>(), before);
    }
    for mineral in minerals() {
        server.publish(vec![big_report(&mineral, "TEST", 2025, 0.1)]).await.unwrap();
    }
    for mut stream in unread {
        let (alerts, _) = stream.until(|message| matches!(message, Event::SnapshotEnd(_))).await;
        assert_eq!(alerts.iter().map(|one| one.sequence).collect::<BTreeSet<_>>(), before);
    }
    server.stop().await;
}
