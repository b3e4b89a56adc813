//! All metrics of a server, and the page that Prometheus scrapes.

use super::{
    CallMetrics, ConnectionMetrics, DeliveryMetrics, Gauges, HandshakeMetrics, JournalMetrics,
    Method, PipelineMetrics, WorkMetrics,
};
use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// All metrics of a server.
pub struct Metrics {
    registry: Registry,
    pub calls: Arc<CallMetrics>,
    pub connections: ConnectionMetrics,
    pub handshakes: HandshakeMetrics,
    pub journal: JournalMetrics,
    pub pipeline: PipelineMetrics,
    pub delivery: DeliveryMetrics,
    pub work: WorkMetrics,
    pub gauges: Gauges,
}

impl Metrics {
    /// All metrics at zero. Calls of these methods are counted by name, all others together.
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut registry = new_registry();
        let calls = Arc::new(CallMetrics::new(methods));
        calls.register(&mut registry);
        let ours = registry.sub_registry_with_prefix("lodewatch");
        let connections = ConnectionMetrics::default();
        let handshakes = HandshakeMetrics::default();
        let (journal, pipeline) = (JournalMetrics::default(), PipelineMetrics::default());
        let (delivery, gauges) = (DeliveryMetrics::default(), Gauges::default());
        calls.register_ours(ours);
        connections.register(ours);
        handshakes.register(ours);
        journal.register(ours);
        pipeline.register(ours);
        delivery.register(ours);
        gauges.register(ours);
        let work = WorkMetrics::default();
        work.register(ours);
        Self { registry, calls, connections, handshakes, journal, pipeline, delivery, work, gauges }
    }

    /// The current values of all metrics, in Prometheus' text format.
    pub fn text(&self) -> String {
        encode_registry(&self.registry)
    }
}

/// A registry with the metrics that every process of Lodewatch exports.
pub(super) fn new_registry() -> Registry {
    let mut registry = Registry::default();
    #[cfg(target_os = "linux")]
    registry.register_collector(Box::new(super::process::ProcessCollector));
    let build = [("version", env!("CARGO_PKG_VERSION")), ("rustc", env!("BUILT_BY_RUSTC"))];
    let help = "The version that runs, and the compiler that built it";
    registry.sub_registry_with_prefix("lodewatch").register("build", help, Info::new(build));
    registry
}

pub(super) fn encode_registry(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_text::encode(&mut text, registry).expect("writing to a string cannot fail");
    text
}

/// A router that serves `/metrics` and nothing else. `text` may read files.
pub fn page(text: impl Fn() -> String + Send + Sync + 'static) -> Router {
    let text = Arc::new(text);
    let respond = async move || {
        let text = tokio::task::spawn_blocking(move || text()).await;
        ([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text.expect("no metric panics"))
    };
    Router::new().route("/metrics", get(respond))
}
