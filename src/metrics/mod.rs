//! How it is, in numbers: counters, gauges and histograms for Prometheus.
//!
//! Made once, in `server`, and handed down; a leaf, so that whoever counts something may use it. Nothing here is global, and
//! what is not registered, as in a test of another module, counts for nobody.
//!
//! - [`Calls`]: what is asked of the server, and what it refuses · [`Connections`]: who is connected
//! - [`Journal`]: appending · [`Pipeline`]: applying · [`Delivery`]: handing over
//! - [`Standing`]: what is looked up when Prometheus asks
//! - [`Feeds`]: what a process does that keeps feeds in sync, which has none of the others
//! - `process`: the process, under the names that every exporter gives these figures
//! - [`page`]: where Prometheus asks
//!
//! Architecture invariant: labels are methods, codes, limits, levels and sources, of which there are as many as the program and
//! its settings name. What a client sends is never one.

mod calls;
mod connections;
mod delivery;
mod feeds;
mod histogram;
mod journal;
mod page;
mod pipeline;
#[cfg(target_os = "linux")]
mod process;
mod standing;

pub use calls::{Call, Calls, Method};
pub use connections::{Connection, Connections};
pub use delivery::Delivery;
pub use feeds::Feeds;
pub use histogram::Histogram;
pub use journal::Journal;
pub use page::page;
pub use pipeline::Pipeline;
pub use standing::Standing;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// All metrics of a server.
pub struct Metrics {
    registry: Registry,
    /// Calls, by method.
    pub calls: Arc<Calls>,
    /// Connections, by port.
    pub connections: Connections,
    /// Appending to the journal.
    pub journal: Journal,
    /// Applying the journal.
    pub pipeline: Pipeline,
    /// Handing alerts over.
    pub delivery: Delivery,
    /// How things stand.
    pub standing: Standing,
}

impl Metrics {
    /// All at zero. Calls of these methods are told apart, all others are one.
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut registry = registry();
        let calls = Arc::new(Calls::new(methods));
        calls.register(&mut registry);
        let ours = registry.sub_registry_with_prefix("lodewatch");
        let connections = Connections::default();
        let (journal, pipeline) = (Journal::default(), Pipeline::default());
        let (delivery, standing) = (Delivery::default(), Standing::default());
        calls.register_ours(ours);
        connections.register(ours);
        journal.register(ours);
        pipeline.register(ours);
        delivery.register(ours);
        standing.register(ours);
        Self { registry, calls, connections, journal, pipeline, delivery, standing }
    }

    /// All metrics as they are now, in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let written = prometheus_text::encode(&mut text, &self.registry);
        written.expect("a text can be written to");
        text
    }
}

/// With what every process of ours tells of itself.
fn registry() -> Registry {
    let mut registry = Registry::default();
    #[cfg(target_os = "linux")]
    registry.register_collector(Box::new(process::Process));
    let build = [("version", env!("CARGO_PKG_VERSION")), ("rustc", env!("BUILT_BY_RUSTC"))];
    let help = "What runs, and what it was built with";
    registry.sub_registry_with_prefix("lodewatch").register("build", help, Info::new(build));
    registry
}
