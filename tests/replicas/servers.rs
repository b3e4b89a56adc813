//! Prerequisites of the other tests: servers and proxies behave as instructed.

use async_nats::ConnectOptions;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::Config;
use lodewatch_testkit::nats::{Cluster, Nats};
use lodewatch_testkit::proxy::{Proxy, Weather};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{interval, timeout};

const STREAM: &str = "TEST";
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one server, with the tests' patience.
async fn client(url: &str) -> Context {
    let options = ConnectOptions::new().ignore_discovered_servers();
    let client = options.connect(url).await.unwrap();
    ContextBuilder::new().timeout(PATIENCE).build(client)
}

async fn stream(jetstream: &Context, replicas: usize) {
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec!["test".to_owned()],
        num_replicas: replicas,
        ..Config::default()
    };
    jetstream.create_stream(config).await.unwrap();
}

/// Publishes, and waits for the acknowledgement; returns its sequence.
async fn publish(jetstream: &Context, text: &'static str) -> u64 {
    let sent = jetstream.publish("test", text.into()).await.unwrap();
    timeout(PATIENCE, sent).await.unwrap().unwrap().sequence
}

async fn read(jetstream: &Context, sequence: u64) -> String {
    let stream = jetstream.get_stream(STREAM).await.unwrap();
    let message = stream.get_raw_message(sequence).await.unwrap();
    String::from_utf8(message.payload.to_vec()).unwrap()
}

#[tokio::test]
async fn a_killed_server_restarts_with_everything_that_it_acknowledged() {
    let mut nats = Nats::alone();
    let jetstream = client(&nats.url()).await;
    stream(&jetstream, 1).await;
    assert_eq!(publish(&jetstream, "one").await, 1);
    nats.kill();
    nats.run();
    let jetstream = client(&nats.url()).await;
    assert_eq!(read(&jetstream, 1).await, "one");
    nats.terminate();
    nats.run();
    assert_eq!(publish(&client(&nats.url()).await, "two").await, 2);
}

#[tokio::test]
async fn a_cluster_elects_another_leader_when_its_own_is_killed() {
    let mut cluster = Cluster::start().await;
    stream(&client(&cluster.servers[0].url()).await, 3).await;
    let first = cluster.leader(STREAM).await;
    cluster.servers[first].kill();
    let second = cluster.leader(STREAM).await;
    assert_ne!(first, second);
    let jetstream = client(&cluster.servers[second].url()).await;
    assert_eq!(publish(&jetstream, "with two of three").await, 1);
    cluster.servers[first].run();
    cluster.until_healthy(STREAM).await;
    let jetstream = client(&cluster.servers[first].url()).await;
    assert_eq!(publish(&jetstream, "with all").await, 2);
}

#[tokio::test]
async fn a_partition_holds_messages_and_passes_them_when_it_ends() {
    let nats = Nats::alone();
    let weather = Weather { server: Some(nats.address()), ..Weather::default() };
    let proxy = Proxy::open(1, weather).await;
    let near = client(&nats.url()).await;
    stream(&near, 1).await;
    let far = client(&format!("nats://{}", proxy.address)).await;
    assert_eq!(publish(&far, "before").await, 1);
    proxy.turn(|now| now.partition = true);
    let held = far.publish("test", "held".into()).await.unwrap();
    far.client().flush().await.unwrap();
    // Enough time for held messages to arrive, if they were not held.
    for number in 2..200 {
        assert_eq!(publish(&near, "passes").await, number);
    }
    proxy.turn(|now| now.partition = false);
    assert_eq!(timeout(PATIENCE, held).await.unwrap().unwrap().sequence, 200);
    let connected = far.client().statistics();
    assert_eq!(connected.connects.load(Ordering::Relaxed), 1);
    proxy.turn(|now| now.cuts += 1);
    // After the cut, the client reconnects through the same port.
    let mut pace = interval(Duration::from_millis(10));
    let again = async {
        while connected.connects.load(Ordering::Relaxed) < 2 {
            pace.tick().await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
    assert_eq!(publish(&far, "after").await, 201);
}
