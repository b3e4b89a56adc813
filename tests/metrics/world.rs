//! A server with a metrics port, and calls to it.

use lodewatch::config::Config;
use lodewatch_core::domain::Slug;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{GetAlertRequest, Start, SubscribeRequest, SubscribeResponse};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::metrics;
use lodewatch_testkit::samples::swing;
use lodewatch_testkit::server::Server;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

/// How many batches [`World::busy`] publishes, of one update each.
pub(crate) const PUBLISHED: usize = 5;

/// A running server.
pub(crate) struct World {
    pub(crate) server: Server,
    /// The address of its metrics.
    pub(crate) metrics: SocketAddr,
    dir: TempDir,
}

impl World {
    /// Starts a server with changed settings.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metrics = metrics::free_address();
        let server = Server::start_with(dir.path(), "2026-01-01", |config| {
            config.metrics.listen = Some(metrics);
            change(config);
        })
        .await;
        Self { server, metrics, dir }
    }

    /// Where the server keeps its data.
    pub(crate) fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// A server whose metrics all have a value: batches are published and rejected, alerts are
    /// delivered, limits are reached.
    pub(crate) async fn busy() -> (Self, Streaming<SubscribeResponse>) {
        let world = Self::start(|config| {
            config.policy.sources = vec![Slug::parse("TEST").unwrap()];
            config.archive.snapshot_every_entries = 2;
            config.server.streams_max = 1;
        })
        .await;
        let mut stream = world.subscribe().await.unwrap();
        for turn in 0..PUBLISHED {
            world.server.publish(vec![swing("gallium", turn)]).await.unwrap();
            until_alerts(&mut stream).await;
        }
        let rejected = world.server.publish(Vec::new()).await.unwrap_err();
        assert_eq!(rejected.code(), Code::InvalidArgument);
        let rejected = world.subscribe().await.unwrap_err();
        assert_eq!(rejected.code(), Code::ResourceExhausted);
        let mut history = world.server.alerts();
        let request = GetAlertRequest { sequence: 1_000_000, ..GetAlertRequest::default() };
        assert_eq!(history.get_alert(request).await.unwrap_err().code(), Code::NotFound);
        (world, stream)
    }

    pub(crate) async fn subscribe(&self) -> Result<Streaming<SubscribeResponse>, Status> {
        let request =
            SubscribeRequest { start: Start::Oldest.into(), ..SubscribeRequest::default() };
        let stream = self.server.alerts().subscribe(request).await?;
        Ok(stream.into_inner())
    }

    /// All metrics, as Prometheus gets them.
    pub(crate) async fn text(&self) -> String {
        metrics::read(self.metrics).await
    }
}

/// Reads until alerts arrive.
async fn until_alerts(stream: &mut Streaming<SubscribeResponse>) {
    loop {
        let response = timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
        if let Some(Message::Alerts(_)) = response.message {
            return;
        }
    }
}
