//! Three servers with three copies of every stream.

use super::port::Port;
use super::server::Nats;
use async_nats::ConnectOptions;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{ClusterInfo, Config};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

const SERVERS: usize = 3;
/// Longer than the servers need to elect a leader, which is up to ten seconds.
const PATIENCE: Duration = Duration::from_mins(1);
/// Time limit for one server's answer before the next is asked.
const ANSWER: Duration = Duration::from_secs(1);
/// Interval between requests.
const EVERY: Duration = Duration::from_millis(100);

/// Maximum lag of a server before it is restarted.
const BEHIND: Duration = Duration::from_secs(20);
/// Maximum number of restarts.
const STARTS_MAX: usize = 3;

/// A NATS cluster of three; killed when dropped.
pub struct Cluster {
    pub servers: Vec<Nats>,
    /// Held while the servers need them.
    _routes: Vec<Port>,
}

impl Cluster {
    /// Starts three servers, and waits until they take streams with a copy on each. A cluster has a
    /// leader, and answers, before all its servers have joined; and sometimes its leader goes on to
    /// find too few servers for a stream, for more than a minute. Then all are restarted.
    pub async fn start() -> Self {
        let routes: Vec<Port> = std::iter::repeat_with(Port::take).take(SERVERS).collect();
        let name = |number| format!("n{number}");
        let members =
            (1..).zip(&routes).map(|(number, own)| Nats::member(&name(number), own, &routes));
        let mut cluster = Self { servers: members.collect(), _routes: routes };
        for _ in 0..STARTS_MAX {
            cluster.servers.iter_mut().for_each(Nats::run);
            let placed = cluster.until(async |jetstream| places_three_copies(&jetstream).await);
            if timeout(BEHIND, placed).await.is_ok() {
                return cluster;
            }
            eprintln!("the servers take no stream with three copies; restarting them");
            cluster.servers.iter_mut().for_each(Nats::kill);
        }
        panic!("the servers take no stream after restarts; their logs:\n{}", cluster.logs());
    }

    /// The addresses of all servers, for a client.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Nats::url).collect()
    }

    /// The leader of a stream; waits until there is one.
    pub async fn leader(&self, stream: &str) -> usize {
        let name = self.until(async |jetstream| info(&jetstream, stream).await?.leader).await;
        self.servers.iter().position(|server| server.name() == name).expect("it is one of ours")
    }

    /// Waits until a stream has a leader, and the others have all its messages. A server that stays
    /// behind is restarted, as an operator would do, with a message: once, a server restarted under
    /// load was still behind after a minute.
    pub async fn until_healthy(&mut self, stream: &str) {
        let known = async |jetstream| info(&jetstream, stream).await;
        let is_whole = |info: &ClusterInfo| info.leader.is_some() && behind(info).is_empty();
        let whole = async |jetstream| info(&jetstream, stream).await.filter(|info| is_whole(info));
        for _ in 0..STARTS_MAX {
            if timeout(BEHIND, self.until(whole)).await.is_ok() {
                return;
            }
            let info = self.until(known).await;
            eprintln!("a server stays behind; restarting it: {info:?}");
            for name in behind(&info) {
                let server = self.servers.iter_mut().find(|server| server.name() == name);
                let server = server.expect("it is one of ours");
                server.kill();
                server.run();
            }
        }
        panic!("a server stays behind after a restart; the servers' logs:\n{}", self.logs());
    }

    /// Asks one server after the other, until one answers.
    async fn until<T>(&self, ask: impl AsyncFn(async_nats::jetstream::Context) -> Option<T>) -> T {
        let mut pace = interval(EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let asking = async {
            for server in self.servers.iter().cycle() {
                pace.tick().await;
                let answer = timeout(ANSWER, async {
                    let options = ConnectOptions::new().ignore_discovered_servers();
                    let client = options.connect(server.url()).await.ok()?;
                    ask(ContextBuilder::new().timeout(ANSWER).build(client)).await
                });
                if let Ok(Some(answer)) = answer.await {
                    return answer;
                }
            }
            unreachable!("there are three servers")
        };
        let answer = timeout(PATIENCE, asking).await;
        answer.unwrap_or_else(|_| {
            panic!("no leader in {PATIENCE:?}; the servers' logs:\n{}", self.logs())
        })
    }

    /// The end of each server's log.
    fn logs(&self) -> String {
        const LINES: usize = 20;
        let logs = self.servers.iter().map(|server| {
            let log = std::fs::read_to_string(server.log()).unwrap_or_default();
            let from = log.lines().count().saturating_sub(LINES);
            let end: Vec<&str> = log.lines().skip(from).collect();
            format!("{}:\n{}\n", server.name(), end.join("\n"))
        });
        logs.collect()
    }
}

/// Creates a stream with a copy on each server and deletes it; `None` where the servers cannot yet.
async fn places_three_copies(jetstream: &async_nats::jetstream::Context) -> Option<()> {
    const PROBE: &str = "PROBE";
    let config = Config { name: PROBE.to_owned(), num_replicas: SERVERS, ..Config::default() };
    let created = jetstream.create_stream(config).await;
    created.inspect_err(|error| eprintln!("no stream with three copies yet: {error}")).ok()?;
    jetstream.delete_stream(PROBE).await.ok().map(|_| ())
}

/// The servers' information about a stream; `None` if it has no leader or does not exist.
async fn info(jetstream: &async_nats::jetstream::Context, stream: &str) -> Option<ClusterInfo> {
    jetstream.get_stream(stream).await.ok()?.cached_info().cluster.clone()
}

/// The servers that lack messages of the leader.
fn behind(info: &ClusterInfo) -> Vec<String> {
    let behind = info.replicas.iter().filter(|one| !one.current || one.offline);
    behind.map(|one| one.name.clone()).collect()
}
