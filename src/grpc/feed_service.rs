//! `FeedService`: what goes in.

use super::api::Api;
use super::deadline::Deadline;
use super::pb::{
    self,
    feed_service_server::{FeedService, FeedServiceServer},
};
use super::peer::Peer;
use super::publish_stream::{self, PublishStream};
use super::{parse, render, status};
use crate::domain::update::{Batch, BatchOutcome, Payload, Rejection};
use crate::engine::BatchResult;
use crate::traces::{self, Caller, Work};
use prost::Message;
use std::sync::Arc;
use tokio::time::Instant;
use tonic::server::NamedService;
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::Instrument;
use uuid::Uuid;

/// Takes batches of updates.
pub(super) struct Feed(pub(super) Arc<Api>);

#[tonic::async_trait]
impl FeedService for Feed {
    async fn publish(
        &self,
        request: Request<pb::PublishRequest>,
    ) -> Result<Response<pb::PublishResponse>, Status> {
        let peer = Peer::of(request.extensions()).clone();
        let request = request.into_inner();
        // Given back when the call ends, however it ends.
        let _room = self.0.limits.publish_call(request.encoded_len())?;
        answer(&self.0, &peer, "Publish", request).await.map(Response::new)
    }

    type PublishStreamStream = PublishStream;

    async fn publish_stream(
        &self,
        request: Request<Streaming<pb::PublishStreamRequest>>,
    ) -> Result<Response<PublishStream>, Status> {
        let peer = Peer::of(request.extensions()).clone();
        let permit = self.0.limits.publish_stream(&peer)?;
        let deadline = Deadline::of(request.extensions());
        let api = Arc::clone(&self.0);
        Ok(Response::new(publish_stream::open(api, peer, permit, deadline, request.into_inner())))
    }
}

/// The answer to one batch, once it is durable and applied.
///
/// The batch is accepted by the journal when the future is polled for the first time, unless the journal is full of others.
pub(super) async fn answer(
    api: &Api,
    peer: &Peer,
    method: &'static str,
    request: pb::PublishRequest,
) -> Result<pb::PublishResponse, Status> {
    let caller = peer.caller.as_ref();
    let mut work = api.traces.call(FeedServiceServer::<Feed>::NAME, method, caller);
    let trace = work.as_ref().map(Work::trace).or_else(|| caller.map(Caller::trace));
    let logged = traces::logged(trace);
    let answer = take(api, peer, request, work.as_ref()).instrument(logged.clone()).await;
    logged.in_scope(|| match &answer {
        Ok(answer) => tracing::debug!(request_id = answer.request_id, "published"),
        Err(status) => {
            tracing::debug!(code = ?status.code(), why = status.message(), "not published");
        }
    });
    if let Some(work) = &mut work {
        let status = answer.as_ref().err();
        work.ended(status.map_or(Code::Ok, Status::code).into(), status.and_then(status::fault));
    }
    answer
}

async fn take(
    api: &Api,
    peer: &Peer,
    request: pb::PublishRequest,
    work: Option<&Work>,
) -> Result<pb::PublishResponse, Status> {
    let mut batch = parse::publish(&request, Uuid::new_v4)?;
    let publisher = peer.publisher();
    publisher.check(&batch).map_err(|overstep| status::overstep(&overstep))?;
    batch.sender = Some(publisher.sender());
    batch.trace = work.map(Work::trace);
    if api.drain.is_cancelled() {
        return Err(status::draining());
    }
    api.limits.updates(peer, batch.updates.len(), Instant::now())?;
    let (id, digest) = (batch.request_id, batch.digest);
    let answered = match api.view.look(|state| state.recent_batches().get(id).cloned()) {
        Some(answered) => answered,
        None => append(api, batch, work).await?,
    };
    if answered.digest != digest {
        return Err(status::refused(&[Rejection::RequestIdReused { first: answered.entry }]));
    }
    api.reach(answered.entry).await?;
    match &answered.outcome {
        BatchOutcome::Rejected(rejections) => Err(status::refused(rejections)),
        BatchOutcome::Accepted(outcomes) => {
            let (first, count) = answered.alerts;
            Ok(pb::PublishResponse {
                cursor: api.cursor(answered.entry),
                request_id: Uuid::from_u128(id.0).to_string(),
                results: outcomes.iter().map(|outcome| render::update_result(*outcome)).collect(),
                alert_sequences: (first..first.saturating_add(count)).collect(),
            })
        }
    }
}

/// Appends a batch, waits until it is durable and applied, and takes its answer from the state.
async fn append(api: &Api, batch: Batch, work: Option<&Work>) -> Result<Arc<BatchResult>, Status> {
    let id = batch.request_id;
    if let Some(trouble) = api.view.trouble() {
        return Err(status::trouble(&trouble));
    }
    let now = api.clock.stamp().map_err(|jumped| status::clock(&jumped))?;
    let part = work.and_then(|work| work.part("append"));
    let appended = api.journal.append(now, Payload::Batch(batch)).await;
    drop(part);
    let entry = appended.map_err(|error| status::journal(&error))?;
    api.reach(entry).await?;
    let answered = api.view.look(|state| state.recent_batches().get(id).cloned());
    // Forgotten already only when tens of thousands of batches came after it within this moment.
    answered.ok_or_else(|| {
        status::unavailable("RESULT_EXPIRED", "the batch was applied, its answer is gone")
    })
}
