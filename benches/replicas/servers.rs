//! NATS servers, one or three, and the settings of a replica over them.

use lodewatch::config::{Credentials, JetStream};
use lodewatch_testkit::nats::{Cluster, Nats};
use std::time::Duration;

/// Servers that sync every write.
pub(crate) enum Servers {
    One(Nats),
    Three(Cluster),
}

impl Servers {
    pub(crate) async fn start(count: usize) -> Self {
        match count {
            1 => Self::One(Nats::alone()),
            _ => Self::Three(Cluster::start().await),
        }
    }

    fn all(&self) -> &[Nats] {
        match self {
            Self::One(nats) => std::slice::from_ref(nats),
            Self::Three(cluster) => &cluster.servers,
        }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.all().iter().map(Nats::url).collect()
    }

    /// How a journal in a stream of this name is reached.
    pub(crate) fn settings(&self, stream: &str) -> JetStream {
        JetStream {
            servers: self.urls(),
            stream: stream.to_owned(),
            replicas: self.all().len(),
            monitors: self.all().iter().map(Nats::monitor).collect(),
            timeout: Duration::from_secs(30),
            allow_weaker_durability: false,
            credentials: Credentials::None,
            ca_file: None,
            certificate: None,
        }
    }

    /// The same for a replica's file of settings.
    pub(crate) fn toml(&self, stream: &str) -> String {
        let JetStream { servers, replicas, monitors, .. } = self.settings(stream);
        format!(
            "[journal]\nstore = \"jetstream\"\n[journal.jetstream]\nstream = \"{stream}\"\nservers = {servers:?}\n\
             replicas = {replicas}\nmonitors = {monitors:?}\ntimeout = \"30s\"\n"
        )
    }
}
