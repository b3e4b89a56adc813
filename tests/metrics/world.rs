//! A server with a port for metrics, and what is done to it.

use lodewatch::clock::Clock;
use lodewatch::config::Config;
use lodewatch::fetch::{self, Bounds};
use lodewatch::grpc::json::from_json;
use lodewatch::server::{Error, Node};
use lodewatch_client::Servers;
use lodewatch_core::domain::Slug;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{
    GetAlertRequest, PublishRequest, Start, SubscribeRequest, SubscribeResponse, Update,
};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

/// Longer than anything here takes: a test that hangs fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How many batches [`World::busy`] publishes, of one update each.
pub(crate) const PUBLISHED: usize = 5;

/// A running server.
pub(crate) struct World {
    pub(crate) channel: Channel,
    /// Where its metrics are.
    pub(crate) metrics: SocketAddr,
    drain: CancellationToken,
    serving: JoinHandle<Result<(), Error>>,
    _dir: TempDir,
}

impl World {
    /// Starts one with other settings.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::built_in() };
        config.console.listen = None;
        let metrics = free();
        config.metrics.listen = Some(metrics);
        change(&mut config);
        let (clock, _) = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let node = Node::open(config, clock).await.unwrap();
        let drain = CancellationToken::new();
        let serving = tokio::spawn(node.serve(listener, drain.clone()));
        let channel = Servers::parse([address.as_str()]).unwrap().channel().await.unwrap();
        Self { channel, metrics, drain, serving, _dir: dir }
    }

    /// One of which every figure has a value: batches are published and refused, alerts handed
    /// over, limits hit.
    pub(crate) async fn busy() -> (Self, Streaming<SubscribeResponse>) {
        let world = Self::start(|config| {
            config.policy.sources = vec![Slug::parse("TEST").unwrap()];
            config.archive.snapshot_every_entries = 2;
            config.server.streams_max = 1;
        })
        .await;
        let mut stream = world.subscribe().await.unwrap();
        for turn in 0..PUBLISHED {
            world.publish(vec![swing(turn)]).await.unwrap();
            alerts(&mut stream).await;
        }
        let refused = world.publish(Vec::new()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let refused = world.subscribe().await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let mut history = AlertServiceClient::new(world.channel.clone());
        let request = GetAlertRequest { sequence: 1_000_000, ..GetAlertRequest::default() };
        assert_eq!(history.get_alert(request).await.unwrap_err().code(), Code::NotFound);
        (world, stream)
    }

    pub(crate) async fn publish(&self, updates: Vec<Update>) -> Result<(), Status> {
        let request_id = Uuid::new_v4().to_string();
        let batch =
            PublishRequest { request_id, feed: "test".to_owned(), updates, exercise: false };
        FeedServiceClient::new(self.channel.clone()).publish(batch).await.map(drop)
    }

    pub(crate) async fn subscribe(&self) -> Result<Streaming<SubscribeResponse>, Status> {
        let request =
            SubscribeRequest { start: Start::Oldest.into(), ..SubscribeRequest::default() };
        let stream = AlertServiceClient::new(self.channel.clone()).subscribe(request).await?;
        Ok(stream.into_inner())
    }

    /// All metrics, as Prometheus would get them.
    pub(crate) async fn text(&self) -> String {
        let bounds = Bounds { bytes: 1 << 20, time: PATIENCE };
        let from = format!("http://{}/metrics", self.metrics).parse().unwrap();
        let connector = hyper_util::client::legacy::connect::HttpConnector::new();
        let answer = fetch::get(connector, from, bounds).await.unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    }

    /// Tells it to shut down, and waits for the end.
    pub(crate) async fn stop(self) {
        drop(self.channel);
        self.drain.cancel();
        timeout(PATIENCE, self.serving).await.unwrap().unwrap().unwrap();
    }
}

/// Reads on until alerts come.
async fn alerts(stream: &mut Streaming<SubscribeResponse>) {
    loop {
        let response = timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
        if let Some(Message::Alerts(_)) = response.message {
            return;
        }
    }
}

/// A report of gallium by China alone, or by ten countries alike, so that every turn crosses
/// thresholds.
pub(crate) fn swing(turn: usize) -> Update {
    let alike = ["AUS", "BRA", "CAN", "CHL", "CHN", "DEU", "IND", "JPN", "MEX", "USA"];
    let alike = alike.map(|country| format!(r#"{{"country":"{country}","share":0.1}}"#)).join(",");
    let alone = r#"{"country":"CHN","share":0.9}"#;
    let rows = if turn.is_multiple_of(2) { alone } else { &alike };
    let update = format!(
        r#"{{"report":{{"mineral":"gallium","stage":"STAGE_REFINING","source":"TEST","period":"2024",
        "vintage":"2024-01-{:02}","rows":[{rows}]}}}}"#,
        turn + 1
    );
    from_json(&update).unwrap()
}

/// An address that was free a moment ago; a test fails loudly where another took it.
pub(crate) fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
