//! Three replicas over three NATS servers, and the network between all of them and their clients.

use lodewatch::config;
use lodewatch::journal::JetStreamJournal;
use lodewatch_client::Servers;
use lodewatch_testkit::nats::Cluster;
use lodewatch_testkit::oracle::Oracle;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::proxy::{Proxy, Weather};
use std::fmt::Write as _;
use std::path::Path;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

/// A replica's settings file, beside its data.
pub(crate) const SETTINGS: &str = "settings.toml";
/// The stream with the journal.
pub(crate) const STREAM: &str = "FAULTS";

const REPLICAS: usize = 3;
/// Two rules that every turn of a market crosses, and a short maximum age of streams.
const RULES: &str = r#"
[server]
drain_timeout = "2s"

[archive]
snapshot_every_entries = 200

[[rules]]
name = "top1"
metric = "top1_share"
levels = [{ level = "watch", raise = 0.5 }, { level = "critical", raise = 0.8 }]

[[rules]]
name = "hhi"
metric = "hhi"
levels = [{ level = "critical", raise = 5000 }]
"#;

/// A replica with its own data, reached through `front`, which reaches each NATS server through its
/// own proxy.
pub(crate) struct Replica {
    pub(crate) dir: TempDir,
    front: Proxy,
    to_nats: Vec<Proxy>,
    process: Option<Process>,
}

impl Replica {
    async fn prepare(cluster: &Cluster) -> Self {
        let mut to_nats = Vec::new();
        for server in &cluster.servers {
            let weather = Weather { server: Some(server.address()), ..Weather::default() };
            to_nats.push(Proxy::open(0, weather).await);
        }
        let dir = tempfile::tempdir().unwrap();
        let ways: Vec<String> =
            to_nats.iter().map(|way| format!("nats://{}", way.address)).collect();
        write_settings(dir.path(), cluster, &ways);
        Self { dir, front: Proxy::open(0, Weather::default()).await, to_nats, process: None }
    }

    /// Starts or restarts it, and waits until it listens.
    pub(crate) async fn run(&mut self) {
        let dir = self.dir.path().to_owned();
        let process = spawn_blocking(move || Process::serve_with(&dir, &dir.join(SETTINGS)));
        let process = process.await.unwrap();
        let address = process.address.parse().unwrap();
        self.process = Some(process);
        self.front.turn(|now| now.server = Some(address));
    }

    /// Stops it.
    pub(crate) async fn end(&mut self, how: fn(&mut Process)) {
        let mut process = self.process.take().expect("it runs");
        spawn_blocking(move || how(&mut process)).await.unwrap();
        self.front.turn(|now| now.server = None);
    }

    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// Cuts it off from every NATS server, or reconnects it.
    pub(crate) fn partition(&self, is_on: bool) {
        self.to_nats.iter().for_each(|way| way.turn(|now| now.partition = is_on));
    }

    /// The address of its proxy for clients.
    pub(crate) fn address(&self) -> &str {
        &self.front.address
    }
}

/// Replicas, servers and proxies.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) replicas: Vec<Replica>,
}

impl World {
    /// Starts the servers and then the replicas.
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::start().await;
        let mut replicas = Vec::new();
        for _ in 0..REPLICAS {
            let mut replica = Replica::prepare(&cluster).await;
            replica.run().await;
            replicas.push(replica);
        }
        Self { cluster, replicas }
    }

    /// The addresses of all replicas, the one of this number first.
    pub(crate) fn addresses(&self, first: usize) -> String {
        let count = self.replicas.len();
        let all = (first..first + count).map(|number| self.replicas[number % count].address());
        all.collect::<Vec<_>>().join(",")
    }

    /// The same for a client.
    pub(crate) fn servers(&self, first: usize) -> Servers {
        Servers::parse([self.addresses(first).as_str()]).unwrap()
    }

    /// Everything that follows from the journal as the stream is now.
    pub(crate) async fn replay(&self) -> Oracle {
        let dir = tempfile::tempdir().unwrap();
        write_settings(dir.path(), &self.cluster, &self.cluster.urls());
        let settings = config::check(Some(&dir.path().join(SETTINGS))).unwrap();
        let config::Store::JetStream(settings) = settings.journal else { panic!("it is a stream") };
        Oracle::of(&JetStreamJournal::open(&settings, dir.path()).await.unwrap()).await
    }
}

fn write_settings(dir: &Path, cluster: &Cluster, servers: &[String]) {
    let monitors: Vec<String> =
        cluster.servers.iter().map(lodewatch_testkit::nats::Nats::monitor).collect();
    let mut text = String::new();
    writeln!(
        text,
        "[journal]\nstore = \"jetstream\"\n[journal.jetstream]\nstream = \"{STREAM}\"\nservers = {servers:?}\n\
         monitors = {monitors:?}\ntimeout = \"3s\"\n{RULES}"
    )
    .unwrap();
    std::fs::write(dir.join(SETTINGS), text).unwrap();
}
