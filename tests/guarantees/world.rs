//! A server, and the network around it.

use lodewatch_testkit::process::Process;
use lodewatch_testkit::proxy::{Proxy, Weather};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

/// The server's settings file, beside its data.
pub(crate) const SETTINGS: &str = "settings.toml";

/// A server with its data, reached through proxies only.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    settings: Vec<(&'static str, String)>,
    pub(crate) process: Option<Process>,
    /// One per subscriber.
    pub(crate) subscribers: Vec<Proxy>,
    pub(crate) publisher: Proxy,
}

impl World {
    /// Starts a server on its own directory, with one proxy per subscriber. All randomness follows
    /// from the seed.
    pub(crate) async fn start(
        seed: u64,
        subscribers: usize,
        frail_one_in: u32,
        settings: Vec<(&'static str, String)>,
    ) -> Self {
        Self::start_with(seed, subscribers, frail_one_in, settings, "").await
    }

    /// The same with a settings file.
    pub(crate) async fn start_with(
        seed: u64,
        subscribers: usize,
        frail_one_in: u32,
        settings: Vec<(&'static str, String)>,
        file: &str,
    ) -> Self {
        let weather = Weather { frail_one_in, ..Weather::default() };
        let mut ways = Vec::new();
        for number in (0..).take(subscribers + 1) {
            ways.push(Proxy::open(seed.wrapping_mul(31) + number, weather).await);
        }
        let publisher = ways.remove(0);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(SETTINGS), file).unwrap();
        let mut world = Self { dir, settings, process: None, subscribers: ways, publisher };
        world.run().await;
        world
    }

    fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.subscribers.iter().chain([&self.publisher])
    }

    /// Starts or restarts the server.
    pub(crate) async fn run(&mut self) {
        let (dir, settings) = (self.dir.path().to_owned(), self.settings.clone());
        let process = spawn_blocking(move || {
            Process::serve_with_environment(&dir, &dir.join(SETTINGS), &settings)
        });
        let process = process.await.unwrap();
        let address = process.address.parse().unwrap();
        self.process = Some(process);
        self.proxies().for_each(|proxy| proxy.turn(|now| now.server = Some(address)));
    }

    /// Stops the server.
    pub(crate) async fn end(&mut self, how: fn(&mut Process)) {
        self.proxies().for_each(|proxy| proxy.turn(|now| now.server = None));
        let mut process = self.process.take().expect("it runs");
        spawn_blocking(move || how(&mut process)).await.unwrap();
    }

    /// Removes all faults of the network.
    pub(crate) fn fair(&self) {
        let fair = |now: &mut Weather| Weather { bytes_per_ms: None, frail_one_in: 0, ..*now };
        self.subscribers.iter().for_each(|proxy| proxy.turn(|now| *now = fair(now)));
    }
}
