//! While a majority of the NATS servers is gone, the remaining one answers reads and rejects
//! writes.

use crate::load::request;
use crate::together::until_ready;
use crate::world::{STREAM, World};
use lodewatch_client::connect;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_testkit::PATIENCE;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Longer than the remaining server needs to detect the loss of the others.
const MISSED: Duration = Duration::from_secs(8);
/// Longer than that server needs to step down as leader.
const LONG: Duration = Duration::from_secs(15);

async fn assert_rejected(channel: &Channel) {
    let mut feed = FeedServiceClient::new(channel.clone());
    let rejected = timeout(PATIENCE, feed.publish(request("nickel", 0))).await;
    assert_eq!(rejected.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_replica_is_not_ready_while_a_majority_of_the_servers_is_gone() {
    let world = World::start().await;
    let leader = world.cluster.leader(STREAM).await;
    let followers = || (0..world.cluster.servers.len()).filter(|number| *number != leader);
    let mut channels = Vec::new();
    for replica in &world.replicas {
        channels.push(connect(replica.address()).await.unwrap());
    }
    followers().for_each(|number| world.cluster.servers[number].stop());
    let begun = Instant::now();
    while begun.elapsed() < MISSED {
        assert_rejected(&channels[0]).await;
    }
    for channel in &channels {
        until_ready(channel, false).await;
    }
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        assert_rejected(&channels[0]).await;
        for channel in &channels {
            let mut health = HealthClient::new(channel.clone());
            let said = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
            let after = begun.elapsed();
            assert_eq!(said.status(), ServingStatus::NotServing, "after {after:?}");
        }
    }
    followers().for_each(|number| world.cluster.servers[number].go_on());
    for channel in &channels {
        until_ready(channel, true).await;
    }
}
