//! Verifies that acknowledged messages are durable: every server that stores the stream must report
//! that it syncs every write.
//!
//! By default NATS acknowledges first and syncs up to two minutes later, so that acknowledged
//! messages are lost on a power failure. Only a server's monitoring endpoint shows its setting.

use super::stream::StreamClient;
use crate::fetch::{self, AnswerLimits};
use async_nats::jetstream::stream::Info;
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The limits of an endpoint's answer.
const ANSWER_LIMITS: AnswerLimits =
    AnswerLimits { bytes_max: 1 << 20, timeout: Duration::from_secs(2) };

/// The fields of `/varz` that matter here.
#[derive(Deserialize)]
struct Varz {
    server_name: String,
    #[serde(default)]
    jetstream: VarzJetStream,
}

#[derive(Deserialize, Default)]
struct VarzJetStream {
    #[serde(default)]
    config: VarzConfig,
}

#[derive(Deserialize, Default)]
struct VarzConfig {
    #[serde(default)]
    sync_always: bool,
}

/// Why the durability of the stream is not verified; empty where it is. Servers that are down are
/// not asked; the monitor asks them when they are back.
pub(super) async fn find_faults(
    client: &StreamClient,
    info: &Info,
    monitors: &[String],
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut syncs = BTreeMap::new();
    for monitor in monitors {
        match varz(monitor).await {
            Ok(varz) => {
                syncs.insert(varz.server_name, varz.jetstream.config.sync_always);
            }
            Err(cause) => {
                tracing::warn!(monitor, cause, "cannot read a NATS server's monitoring endpoint");
            }
        }
    }
    for server in servers(client, info) {
        match syncs.get(&server) {
            Some(true) => {}
            Some(false) => faults.push(format!(
                "server {server} does not sync every write; set \
                 jetstream {{ sync_interval: always }} in its configuration"
            )),
            None => faults.push(format!(
                "cannot verify that server {server} syncs every write; add its monitoring endpoint \
                 to journal.jetstream.monitors"
            )),
        }
    }
    faults
}

/// The names of the servers that store the stream and are online.
fn servers(client: &StreamClient, info: &Info) -> Vec<String> {
    let Some(cluster) = info.cluster.as_ref().filter(|cluster| cluster.leader.is_some()) else {
        return vec![client.context.client().server_info().server_name];
    };
    let others = cluster.replicas.iter().filter(|peer| !peer.offline).map(|peer| peer.name.clone());
    cluster.leader.clone().into_iter().chain(others).collect()
}

async fn varz(monitor: &str) -> Result<Varz, String> {
    let uri = format!("{}/varz", monitor.trim_end_matches('/'));
    let uri = uri.parse().map_err(|error| format!("invalid address: {error}"))?;
    let bytes = fetch::get(HttpConnector::new(), uri, ANSWER_LIMITS).await?;
    serde_json::from_slice(&bytes).map_err(|error| format!("unexpected answer: {error}"))
}
