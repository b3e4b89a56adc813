//! The answers that are kept for retries: they are bounded in bytes, belong to one identity each,
//! and survive restarts with and without an intact snapshot.

use crate::access::{connect_as, identities};
use futures_util::stream::{StreamExt, iter};
use lodewatch_core::domain::outcome::RejectedBatch;
use lodewatch_core::engine::{RecentBatches, State};
use lodewatch_proto::v1::PublishRequest;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_testkit::samples::{ban, removal};
use lodewatch_testkit::server::{Server, batch};
use rusqlite::Connection;
use std::path::Path;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Publishes so many batches at once.
const CONCURRENT: usize = 32;

/// Batches of 1,000 removals that are all rejected, with names as long as allowed.
fn hopeless_batches(count: usize) -> Vec<PublishRequest> {
    let all = (0..count).map(|number| {
        let id = format!("{number:0>64}");
        batch(vec![removal(&id); 1000])
    });
    all.collect()
}

/// Publishes batches that are all rejected; returns the rejections in the same order.
async fn publish_rejected(server: &Server, batches: &[PublishRequest]) -> Vec<Status> {
    let calls = batches.iter().map(|batch| {
        let (mut feed, batch) = (server.feed(), batch.clone());
        async move { feed.publish(batch).await.unwrap_err() }
    });
    iter(calls).buffered(CONCURRENT).collect().await
}

fn assert_same(retries: &[Status], first: &[Status]) {
    assert_eq!(retries.len(), first.len());
    for (retry, first) in retries.iter().zip(first) {
        assert_eq!(
            (retry.code(), retry.message(), retry.details()),
            (first.code(), first.message(), first.details())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_batches_are_kept_in_bounded_bytes_and_answered_again_after_restarts() {
    const BATCHES: usize = 1500;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let batches = hopeless_batches(BATCHES);
    let first = publish_rejected(&server, &batches).await;
    for status in &first {
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().ends_with("; and 990 more"), "{}", status.message());
        let fields = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(fields.len(), RejectedBatch::FIRST_MAX);
    }
    let (bytes, snapshot) = server.view.read_state(|state| {
        (state.recent_batches().bytes(), state.snapshot_pieces().collect::<Vec<_>>())
    });
    let length = snapshot.iter().map(Vec::len).sum::<usize>();
    assert!(bytes <= RecentBatches::IDENTITY_BYTES_MAX, "{bytes} bytes");
    assert!(length <= BATCHES * (RejectedBatch::FIRST_BYTES_MAX + 100), "{length} bytes");
    assert!(snapshot.len() > 1, "the test needs several pieces");
    let state = snapshot.concat();
    server.stop().await;

    // From the snapshot, in pieces.
    let server = Server::start(dir.path(), "2026-01-01").await;
    assert!(server.view.read_state(State::to_snapshot) == state, "the state differs");
    assert_same(&publish_rejected(&server, &batches).await, &first);
    assert!(server.view.read_state(State::to_snapshot) == state, "a retry is no entry");
    server.stop().await;

    // From the journal, because the snapshot lacks a piece.
    execute(dir.path(), "DELETE FROM snapshot_pieces WHERE piece = 1");
    let server = Server::start(dir.path(), "2026-01-01").await;
    assert!(server.view.read_state(State::to_snapshot) == state, "the state differs");
    assert_same(&publish_rejected(&server, &batches[..100]).await, &first[..100]);
    server.stop().await;
}

#[tokio::test]
async fn the_same_request_id_of_another_identity_is_another_batch() {
    let dir = tempfile::tempdir().unwrap();
    let publisher = "roles = [\"publisher\"]\nfeeds = [\"test\"]";
    let file = identities(dir.path(), &[("alice", publisher), ("bob", publisher)]);
    let server = Server::start_with(&dir.path().join("data"), "2026-01-01", |config| {
        config.access.identities = Some(file);
    })
    .await;
    let mut alice = FeedServiceClient::new(connect_as(&server, "alice").await);
    let mut bob = FeedServiceClient::new(connect_as(&server, "bob").await);
    let of_alice = batch(vec![ban("T-1", "CHN", "all", "gallium", "2025-01-01")]);
    let mut of_bob = batch(vec![ban("T-2", "CHN", "all", "gallium", "2025-01-01")]);
    of_bob.request_id.clone_from(&of_alice.request_id);
    let first = alice.publish(of_alice.clone()).await.unwrap().into_inner();
    let other = bob.publish(of_bob.clone()).await.unwrap().into_inner();
    assert_ne!(first.cursor, other.cursor);
    assert_eq!(alice.publish(of_alice.clone()).await.unwrap().into_inner(), first);
    assert_eq!(bob.publish(of_bob).await.unwrap().into_inner(), other);
    let changed = PublishRequest { updates: vec![removal("T-1")], ..of_alice };
    let reused = alice.publish(changed).await.unwrap_err();
    assert_eq!(reused.get_details_error_info().unwrap().reason, "REQUEST_ID_REUSED");
    assert_eq!(server.view.read_state(|state| state.recent_batches().identities()), 2);
    drop((alice, bob));
    server.stop().await;
}

#[tokio::test]
async fn the_largest_rejection_fits_into_the_headers_that_clients_accept() {
    const HEADERS_BYTES_MAX: usize = 8 * 1024;
    /// What HTTP/2 counts for a header beside its name and value.
    const HEADER_BYTES: usize = 32;
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(64);
    let of_alice = format!("roles = [\"publisher\"]\nfeeds = [\"{long}\"]");
    let of_bob = "roles = [\"publisher\"]\nfeeds = [\"test\"]";
    let file = identities(dir.path(), &[("alice", &of_alice), ("bob", of_bob)]);
    let server = Server::start_with(&dir.path().join("data"), "2026-01-01", |config| {
        config.access.identities = Some(file);
    })
    .await;
    let mut alice = FeedServiceClient::new(connect_as(&server, "alice").await);
    let mut bob = FeedServiceClient::new(connect_as(&server, "bob").await);
    let ban = ban(&long, "CHN", "all", "gallium", "2025-01-01");
    alice.publish(PublishRequest { feed: long.clone(), ..batch(vec![ban]) }).await.unwrap();
    let rejected = bob.publish(batch(vec![removal(&long); 1000])).await.unwrap_err();
    assert_eq!(rejected.code(), Code::PermissionDenied);
    let fields = rejected.get_details_bad_request().unwrap().field_violations;
    assert!(fields.len() > 3 && fields.len() < RejectedBatch::FIRST_MAX, "limited by bytes");
    assert!(rejected.message().ends_with(&format!("and {} more", 1000 - fields.len())));
    let response = rejected.into_http::<()>();
    let headers = response.headers().iter();
    let bytes: usize =
        headers.map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES).sum();
    assert!(bytes < HEADERS_BYTES_MAX, "{bytes} bytes");
    drop((alice, bob));
    server.stop().await;
}

fn execute(dir: &Path, sql: &str) {
    let changed = Connection::open(dir.join("archive.db")).unwrap().execute(sql, []).unwrap();
    assert!(changed > 0, "{sql} changed nothing");
}
