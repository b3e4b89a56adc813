//! The real server: updates published to the real binary, durable before their alerts are
//! delivered.

use super::batches::Batches;
use super::process;
use lodewatch::grpc::json::from_json;
use lodewatch_proto::v1 as pb;
use lodewatch_testkit::process::Process;
use pb::feed_service_client::FeedServiceClient;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Each is mined and refined, so there are twice as many markets.
const MINERALS: [&str; 96] = [
    "alumina",
    "aluminium",
    "ammonia",
    "antimony",
    "arsenic",
    "asbestos",
    "barite",
    "bauxite",
    "beryllium",
    "bismuth",
    "boron",
    "bromine",
    "cadmium",
    "cement",
    "chromium",
    "bentonite",
    "fullers_earth",
    "kaolin",
    "cobalt",
    "copper",
    "diamond_gem",
    "diamond_industrial",
    "diatomite",
    "feldspar",
    "fluorspar",
    "gallium",
    "garnet",
    "germanium",
    "gold",
    "graphite_natural",
    "graphite_anode",
    "gypsum",
    "hafnium",
    "helium",
    "indium",
    "iodine",
    "iron_ore",
    "iron_oxide_pigments",
    "krypton",
    "kyanite",
    "lead",
    "lime",
    "lithium",
    "magnesite",
    "magnesium",
    "manganese",
    "mercury",
    "mica_flake",
    "mica_sheet",
    "molybdenum",
    "neon",
    "nickel",
    "niobium",
    "peat",
    "perlite",
    "phosphate_rock",
    "pig_iron",
    "palladium",
    "platinum",
    "potash",
    "pumice",
    "dysprosium",
    "neodymium",
    "praseodymium",
    "terbium",
    "scandium",
    "yttrium",
    "raw_steel",
    "rhenium",
    "salt",
    "sand_industrial",
    "selenium",
    "ferrosilicon",
    "silicon_metal",
    "silver",
    "soda_ash_natural",
    "strontium",
    "sulfur",
    "talc",
    "tantalum",
    "tellurium",
    "tin",
    "titanium_ilmenite",
    "titanium_rutile",
    "titanium_sponge",
    "tungsten",
    "uranium",
    "vanadium",
    "vermiculite",
    "wollastonite",
    "xenon",
    "zeolites",
    "zinc",
    "zirconium",
    "soda_ash",
    "clays",
];

/// One rule, so that every update causes one alert.
const SETTINGS: &str = r#"
[server]
listen = "127.0.0.1:0"
streams_max = 200000
streams_per_identity_max = 100000
streams_per_connection_max = 1000
[console]
listen = ""
[log]
level = "info"
[[rules]]
name = "top1-share"
metric = "top1_share"
levels = [{ level = "warning", raise = 0.65, reset = 0.63 }]
"#;

/// A running server with its own journal, and a stream of batches to it.
pub(crate) struct Server {
    pub(crate) process: Process,
    batches: Batches,
    /// Batches to publish in a cycle: an alert that one batch raises, one of the next cycle clears.
    rounds: Vec<pb::PublishRequest>,
    published: usize,
    answered: usize,
    publisher: Option<Runtime>,
    _dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // In the background, because a runtime cannot block on another.
        if let Some(publisher) = self.publisher.take() {
            publisher.shutdown_background();
        }
    }
}

impl Server {
    /// Starts on an empty journal. Every message has one alert.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let process = serve(dir.path(), "");
        // On its own thread, so that subscribers of this process do not delay it.
        let publisher = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = process.address.clone();
        let open = publisher.spawn(async move {
            let channel = lodewatch_client::connect(&address).await.unwrap();
            Batches::open(FeedServiceClient::new(channel)).await
        });
        let batches = open.await.unwrap();
        let rounds = [share_of(0.9), share_of(0.3)];
        let rounds = rounds.iter().flat_map(|rows| {
            (0..MINERALS.len() * 2).map(move |market| request(updates(market, 1, rows)))
        });
        let rounds = rounds.collect();
        Self {
            process,
            batches,
            rounds,
            published: 0,
            answered: 0,
            publisher: Some(publisher),
            _dir: dir,
        }
    }

    /// Starts to publish entries; waits only if the server grants no more credit.
    pub(crate) async fn publish(&mut self, messages: usize) {
        for _ in 0..messages {
            let batch = &self.rounds[self.published % self.rounds.len()];
            while !self.batches.send(batch).await {
                self.batches.answered().await;
                self.answered += 1;
            }
            self.published += 1;
        }
    }

    /// Waits for all replies: everything is durable and applied.
    pub(crate) async fn settle(&mut self) {
        while self.answered < self.published {
            self.batches.answered().await;
            self.answered += 1;
        }
    }
}

/// Starts a server on a directory, with settings in addition to the benchmarks' own.
pub(crate) fn serve(dir: &Path, more: &str) -> Process {
    let settings = dir.join("settings.toml");
    std::fs::write(&settings, format!("{SETTINGS}{more}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lodewatch"));
    command.args(["serve", "--config"]).arg(&settings).arg("--data-dir").arg(dir);
    process::start(&mut command, "listening address=")
}

/// A batch without a name.
pub(crate) fn request(updates: Vec<pb::Update>) -> pb::PublishRequest {
    let (request_id, feed) = (String::new(), "bench".to_owned());
    pb::PublishRequest { request_id, feed, updates, exercise: false }
}

/// Rows of a report in which one country has this share.
pub(crate) fn share_of(share: f64) -> String {
    format!(
        r#"[{{"country":"CHN","share":{share:.2}}},{{"country":"AUS","share":0.08}},{{"country":"CHL","share":0.01}}]"#
    )
}

/// Reports of this number of consecutive markets.
pub(crate) fn updates(first: usize, count: usize, rows: &str) -> Vec<pb::Update> {
    let markets = MINERALS.iter().flat_map(|mineral| [(mineral, "MINING"), (mineral, "REFINING")]);
    let update = |(mineral, stage)| {
        from_json(&format!(
            r#"{{"report":{{"mineral":"{mineral}","stage":"STAGE_{stage}","source":"USGS","period":"2025",
            "vintage":"2026-01-31","rows":{rows}}}}}"#
        ))
        .unwrap()
    };
    markets.skip(first).take(count).map(update).collect()
}
