//! The proof that what the stream acknowledges is durable: every server that keeps it says that it syncs every write.
//!
//! By default NATS acknowledges first and syncs two minutes later, so that a power cut takes what was acknowledged. The setting
//! of a server shows at its monitoring endpoint only.

use super::stream::Store;
use crate::fetch::{self, Bounds};
use async_nats::jetstream::stream::Info;
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How much an endpoint may answer, and how long it may take.
const ANSWER: Bounds = Bounds { bytes: 1 << 20, time: Duration::from_secs(2) };

/// What a server says of itself, as far as it matters.
#[derive(Deserialize)]
struct Varz {
    server_name: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Deserialize, Default)]
struct JetStream {
    #[serde(default)]
    config: Config,
}

#[derive(Deserialize, Default)]
struct Config {
    #[serde(default)]
    sync_always: bool,
}

/// Why it is not proved that the stream is durable; empty where it is. Of servers that are down nothing can be known: they
/// are asked again when they are back.
pub(super) async fn doubts(store: &Store, info: &Info, monitors: &[String]) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut syncs = BTreeMap::new();
    for monitor in monitors {
        match varz(monitor).await {
            Ok(varz) => {
                syncs.insert(varz.server_name, varz.jetstream.config.sync_always);
            }
            Err(why) => {
                tracing::warn!(monitor, why, "a server's monitoring endpoint does not answer");
            }
        }
    }
    for server in servers(store, info) {
        match syncs.get(&server) {
            Some(true) => {}
            Some(false) => doubts.push(format!(
                "server {server} does not sync every write (jetstream {{ sync_interval: always }} in its configuration)"
            )),
            None => doubts.push(format!(
                "server {server} does not show whether it syncs every write (its monitoring endpoint in \
                 journal.jetstream.monitors)"
            )),
        }
    }
    doubts
}

/// The servers that keep the stream and are up, by name.
fn servers(store: &Store, info: &Info) -> Vec<String> {
    let Some(cluster) = info.cluster.as_ref().filter(|cluster| cluster.leader.is_some()) else {
        return vec![store.context.client().server_info().server_name];
    };
    let others = cluster.replicas.iter().filter(|peer| !peer.offline).map(|peer| peer.name.clone());
    cluster.leader.clone().into_iter().chain(others).collect()
}

async fn varz(monitor: &str) -> Result<Varz, String> {
    let uri = format!("{}/varz", monitor.trim_end_matches('/'));
    let uri = uri.parse().map_err(|error| format!("it is no address: {error}"))?;
    let bytes = fetch::get(HttpConnector::new(), uri, ANSWER).await?;
    serde_json::from_slice(&bytes).map_err(|error| format!("it answers something else: {error}"))
}
