//! Readiness: whether a load balancer should send calls here.

use super::api::Api;
use std::sync::Arc;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The name under which a process that answers at all is well. What restarts a container asks this: a journal out of reach does
/// not come back by a restart, and a node that differs from the others stays to be looked at.
const LIVE: &str = "lodewatch.live";

/// The name under which it shows whether what is acknowledged is durable, as the store proves it.
const DURABILITY: &str = "lodewatch.durability";

/// Keeps the health service as things are, until the server shuts down.
///
/// A node answers calls only once it is recovered, and ends when its journal or its loop does. It is not ready while its journal
/// is out of reach, over a damaged journal, and where another replica differs; for as much as it has it answers all the same.
pub(super) async fn keep(health: HealthReporter, api: Arc<Api>) {
    let (mut reach, mut durable) = (api.journal.reach(), api.journal.durability());
    loop {
        reach.mark_unchanged();
        durable.mark_unchanged();
        tell(&health, &api).await;
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

/// Says how things are.
pub(super) async fn tell(health: &HealthReporter, api: &Api) {
    health.set_service_status(LIVE, ServingStatus::Serving).await;
    health.set_service_status("", status(api.is_ready())).await;
    let is_durable = *api.journal.durability().borrow();
    health.set_service_status(DURABILITY, status(is_durable)).await;
}

fn status(is_well: bool) -> ServingStatus {
    if is_well { ServingStatus::Serving } else { ServingStatus::NotServing }
}
