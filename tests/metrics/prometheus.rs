//! A real Prometheus, with the configuration and the rules of `deploy/prometheus`.

use crate::tools::program;
use crate::world::{PUBLISHED, World};
use lodewatch::fetch::{self, AnswerLimits};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::metrics::free_address;
use lodewatch_testkit::samples::swing;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use tokio::time::timeout;

/// A Prometheus that scrapes one server five times a second. Dropping it ends the process.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Self {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
        let shipped = std::fs::read_to_string(deploy.join("prometheus.yaml")).unwrap();
        let rules = deploy.join("rules.yaml").display().to_string();
        let config =
            [("127.0.0.1:9464", &*target.to_string()), ("15s", "200ms"), ("rules.yaml", &*rules)]
                .into_iter()
                .fold(shipped, |config, (shipped, here)| {
                    assert!(config.contains(shipped), "{shipped} is not in prometheus.yaml");
                    config.replace(shipped, here)
                });
        let (dir, address) = (tempfile::tempdir().unwrap(), free_address());
        let file = dir.path().join("prometheus.yaml");
        std::fs::write(&file, config).unwrap();
        let child = program("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address, _dir: dir }
    }

    /// Asks until the response is as expected, and returns it.
    async fn wait_for(&self, path: &str, is_expected: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                let from = format!("http://{}{path}", self.address).parse().unwrap();
                let connector = hyper_util::client::legacy::connect::HttpConnector::new();
                let limits = AnswerLimits { bytes_max: 4 << 20, timeout: PATIENCE };
                // It does not listen yet.
                let Ok(answer) = fetch::get(connector, from, limits).await else { continue };
                let answer: Value = serde_json::from_slice(&answer).unwrap();
                if is_expected(&answer["data"]) {
                    return answer["data"].clone();
                }
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{path}: no such response"))
    }

    /// Waits until the result of a query is this number.
    async fn wait_until(&self, query: &str, number: usize) {
        let path = format!("/api/v1/query?query={query}");
        let number = number.to_string();
        self.wait_for(&path, |data| data["result"][0]["value"][1] == *number).await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_real_prometheus_scrapes_the_metrics_and_evaluates_the_rules() {
    let (world, _stream) = World::busy().await;
    let prometheus = Prometheus::start(world.metrics);
    prometheus.wait_until("sum(up)", 1).await;
    prometheus.wait_until("sum(lodewatch_updates_total)", PUBLISHED).await;
    prometheus.wait_until("sum(lodewatch_applied_entry)", PUBLISHED + 1).await;
    prometheus.wait_until("sum(lodewatch_subscribers)", 1).await;
    let all_healthy = |data: &Value| {
        let groups = data["groups"].as_array().unwrap();
        let rules = || groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules().count() > 20 && rules().all(|rule| rule["health"] == "ok")
    };
    let data = prometheus.wait_for("/api/v1/rules", all_healthy).await;
    let text = data.to_string();
    assert!(!text.contains("\"state\":\"firing\""), "{text}");
    world.server.publish(vec![swing("gallium", PUBLISHED)]).await.unwrap();
    prometheus.wait_until("sum(lodewatch_updates_total)", PUBLISHED + 1).await;
    world.server.stop().await;
    prometheus.wait_until("sum(up)", 0).await;
}
