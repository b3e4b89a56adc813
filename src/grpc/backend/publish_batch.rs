//! One batch of updates, from its message to its result: for `Publish` and `PublishStream` alike.

use super::api::Api;
use crate::grpc::admission::Peer;
use crate::grpc::codec::{parse, render};
use crate::grpc::pb::{self, feed_service_server::SERVICE_NAME};
use crate::grpc::status;
use crate::traces::{self, TraceParent, TraceSpan};
use lodewatch_core::domain::outcome::BatchOutcome;
use lodewatch_core::domain::update::{Batch, Payload, Rejection};
use lodewatch_core::engine::BatchResult;
use std::sync::Arc;
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Instrument;
use uuid::Uuid;

/// Sequences of alerts that a response lists; further ones are only counted.
const SEQUENCES_MAX: u64 = 10_000;

/// The most alerts that a batch of several updates may cause, by the estimate of
/// [`lodewatch_core::engine::State::alerts_max`]: an appended batch must be applied, and all other
/// publishers wait meanwhile. One update is always accepted.
const ALERTS_PER_BATCH_MAX: u64 = 100_000;

/// Publishes one batch; returns once it is durable and applied.
///
/// The journal accepts the batch when the future is polled for the first time, unless the journal's
/// queue is full.
pub(in crate::grpc) async fn publish_batch(
    api: &Api,
    peer: &Peer,
    method: &'static str,
    request: pb::PublishRequest,
) -> Result<pb::PublishResponse, Status> {
    let caller = peer.caller.as_ref();
    let mut work = api.traces.start_call(SERVICE_NAME, method, peer.address(), caller);
    let trace = work.as_ref().map(TraceSpan::trace).or_else(|| caller.map(TraceParent::trace));
    let logged = traces::log_span(trace);
    let result = accept(api, peer, request, work.as_ref()).instrument(logged.clone()).await;
    logged.in_scope(|| match &result {
        Ok(response) => tracing::debug!(request_id = response.request_id, "batch published"),
        Err(status) => {
            tracing::debug!(code = ?status.code(), error = status.message(), "batch rejected");
        }
    });
    if let Some(work) = &mut work {
        let status = result.as_ref().err();
        work.set_status(
            status.map_or(Code::Ok, Status::code).into(),
            status.and_then(status::fault),
        );
    }
    result
}

async fn accept(
    api: &Api,
    peer: &Peer,
    request: pb::PublishRequest,
    work: Option<&TraceSpan>,
) -> Result<pb::PublishResponse, Status> {
    let mut batch = parse::publish_by(&request, Uuid::new_v4, api.clock.newest_day())?;
    let publisher = peer.publisher();
    publisher.check_batch(&batch).map_err(|denied| status::publish_denied(&denied))?;
    batch.sender = Some(publisher.sender());
    batch.trace = work.map(TraceSpan::trace);
    if api.drain.is_cancelled() {
        return Err(status::draining());
    }
    api.limits.count_updates(peer, batch.updates.len(), Instant::now())?;
    let (id, digest) = (batch.request_id, batch.digest);
    let result = match api.view.read_state(|state| state.result_of(&batch).cloned()) {
        Some(result) => result,
        None => append(api, batch, work).await?,
    };
    if result.digest != digest {
        return Err(status::rejected(&Rejection::RequestIdReused { first: result.entry }.into()));
    }
    api.wait_until_applied(result.entry).await?;
    match &result.outcome {
        BatchOutcome::Rejected(rejected) => Err(status::rejected(rejected)),
        BatchOutcome::Accepted(outcomes) => {
            let (first, count) = result.alerts;
            Ok(pb::PublishResponse {
                cursor: api.cursor(result.entry),
                request_id: Uuid::from_u128(id.0).to_string(),
                results: outcomes.iter().map(render::update_result).collect(),
                alert_sequences: (first..first.saturating_add(count.min(SEQUENCES_MAX))).collect(),
                alerts_total: count,
            })
        }
    }
}

/// Appends a batch, waits until it is durable and applied, and reads its answer from the state.
async fn append(
    api: &Api,
    batch: Batch,
    work: Option<&TraceSpan>,
) -> Result<Arc<BatchResult>, Status> {
    let (sender, id) = (batch.sender.clone(), batch.request_id);
    if let Some(stall) = api.view.stall() {
        return Err(status::stalled(&stall));
    }
    let alerts = api.view.read_state(|state| state.alerts_max(&batch));
    if alerts > ALERTS_PER_BATCH_MAX && batch.updates.len() > 1 {
        return Err(status::batch_too_large(alerts, ALERTS_PER_BATCH_MAX));
    }
    let now = api.clock.stamp().map_err(|jump| status::clock(&jump))?;
    let part = work.and_then(|work| work.start_child("append"));
    let appended = api.journal.append(now, Payload::Batch(batch)).await;
    drop(part);
    let entry = appended.map_err(|error| status::journal(&error))?;
    api.wait_until_applied(entry).await?;
    let sender = sender.as_ref().map(|sender| &*sender.name);
    let result = api.view.read_state(|state| state.recent_batches().get(sender, id).cloned());
    // Forgotten already only when thousands of batches of this identity came after it within this
    // moment.
    result.ok_or_else(|| {
        status::unavailable("RESULT_EXPIRED", "batch applied, but its result is no longer kept")
    })
}
