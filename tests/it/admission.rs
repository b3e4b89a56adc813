//! What an identity has open: for how long, and how much.

use crate::access::{ROLES, connect_as, identities, publish_as};
use crate::limits::limit;
use lodewatch::access::token::TokenHash;
use lodewatch_client::Connection;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{
    GoAwayReason, PublishStreamRequest, Start, SubscribeRequest, WatchMarketsRequest,
};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::samples::swing;
use lodewatch_testkit::server::{Server, Stream};
use std::fs;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

#[tokio::test]
async fn an_identity_that_is_removed_loses_its_open_streams_and_others_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let file = identities(dir.path(), &ROLES);
    let server = Server::start_with(&dir.path().join("data"), "2026-01-01", |config| {
        config.access.identities = Some(file);
        config.reload.interval_ms = 10;
    })
    .await;
    let (gone, stays) =
        (connect_as(&server, "subscriber").await, connect_as(&server, "operator").await);
    let subscribe = async |connection: &Connection| {
        let mut client = AlertServiceClient::new(connection.clone());
        let request = SubscribeRequest { start: Start::Head.into(), ..SubscribeRequest::default() };
        Stream::of(client.subscribe(request).await.unwrap().into_inner())
    };
    let (mut lost, mut kept) = (subscribe(&gone).await, subscribe(&stays).await);
    let mut markets = MarketServiceClient::new(gone.clone());
    let watched = markets.watch_markets(WatchMarketsRequest::default()).await.unwrap();
    let mut watched = watched.into_inner();
    let mut feed = FeedServiceClient::new(connect_as(&server, "publisher").await);
    let (_batches, open) = mpsc::channel(1);
    let answers = feed.publish_stream(ReceiverStream::<PublishStreamRequest>::new(open)).await;
    let mut answers = answers.unwrap().into_inner();
    // The publisher's token is replaced, the subscriber goes.
    let text = fs::read_to_string(dir.path().join("identities.toml")).unwrap();
    let text =
        text.replace(&TokenHash::of("publisher").to_string(), &TokenHash::of("newer").to_string());
    let text = text.replace("\"subscriber\"", "\"late\"").replace("[\"late\"]", "[\"subscriber\"]");
    fs::write(dir.path().join("identities.new"), text).unwrap();
    fs::rename(dir.path().join("identities.new"), dir.path().join("identities.toml")).unwrap();
    let (.., away) = lost.until(|message| matches!(message, Message::GoAway(_))).await;
    let Some(Message::GoAway(said)) = away.message else { panic!("{away:?}") };
    assert_eq!(said.reason(), GoAwayReason::Credentials);
    for ended in [until_end(&mut watched).await, until_end(&mut answers).await] {
        assert_eq!(ended.code(), Code::Unavailable);
        assert_eq!(ended.get_details_error_info().unwrap().reason, "CREDENTIALS_CHANGED");
    }
    let accepted = publish_as(&server, "newer", "test", vec![swing("gallium", 0)]).await.unwrap();
    kept.until_alert(accepted.alert_sequences[0]).await;
    server.stop().await;
}

/// How a stream ends.
async fn until_end<T>(stream: &mut Streaming<T>) -> Status {
    let end = async {
        loop {
            if let Err(status) = stream.message().await {
                return status;
            }
        }
    };
    tokio::time::timeout(PATIENCE, end).await.unwrap()
}

#[tokio::test]
async fn limits_count_for_an_identity_wherever_it_connects_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = identities(dir.path(), &ROLES);
    let server = Server::start_with(&dir.path().join("data"), "2026-01-01", |config| {
        config.access.identities = Some(file);
        config.server.streams_per_identity_max = 1;
    })
    .await;
    let subscribe = async |token: &str| {
        let mut client = AlertServiceClient::new(connect_as(&server, token).await);
        client.subscribe(SubscribeRequest::default()).await
    };
    let _one = subscribe("subscriber").await.unwrap();
    // By another connection.
    let rejected = subscribe("subscriber").await.unwrap_err();
    assert_eq!(limit(&rejected), "server.streams_per_identity_max");
    // From the same address.
    subscribe("operator").await.unwrap();
    server.stop().await;
}
