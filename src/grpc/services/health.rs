//! Readiness: whether a load balancer should send calls here.

use crate::grpc::backend::Api;
use std::sync::Arc;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The name that is serving as long as the process answers at all. Liveness probes ask for it: a
/// restart does not make the journal reachable, and a diverged node must stay for inspection.
const LIVE: &str = "lodewatch.live";

/// The name that is serving while the store's durability is verified.
const DURABILITY: &str = "lodewatch.durability";

/// Updates the health service until the server shuts down.
///
/// A node answers calls only once it is recovered, and ends when its journal or its pipeline does.
/// It is not ready while its journal is unreachable, over a damaged journal, and when replicas have
/// diverged. It still answers reads from what it has, except after a divergence.
pub(super) async fn keep_updated(health: HealthReporter, api: Arc<Api>) {
    let (mut reach, mut durable) = (api.journal.reachable(), api.journal.durability_verified());
    loop {
        reach.mark_unchanged();
        durable.mark_unchanged();
        update(&health, &api).await;
        tokio::select! {
            () = api.drain.cancelled() => break,
            // Watches that are closed never change.
            Ok(()) = reach.changed() => {}
            Ok(()) = durable.changed() => {}
            _ = api.view.stopped(), if !api.view.is_stopped() => {}
        }
    }
    health.set_service_status("", ServingStatus::NotServing).await;
}

pub(super) async fn update(health: &HealthReporter, api: &Api) {
    health.set_service_status(LIVE, ServingStatus::Serving).await;
    health.set_service_status("", status(api.is_ready())).await;
    let is_durable = *api.journal.durability_verified().borrow();
    health.set_service_status(DURABILITY, status(is_durable)).await;
}

fn status(is_serving: bool) -> ServingStatus {
    if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}
