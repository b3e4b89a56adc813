//! `FeedService`: what goes in.

use super::api::Api;
use super::pb::{self, feed_service_server::FeedService};
use super::{parse, render, status};
use crate::domain::update::{Answer, Batch, Payload, Refusal};
use crate::engine::Answered;
use std::sync::Arc;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// Takes batches of updates.
pub(super) struct Feed(pub(super) Arc<Api>);

#[tonic::async_trait]
impl FeedService for Feed {
    async fn publish(
        &self,
        request: Request<pb::PublishRequest>,
    ) -> Result<Response<pb::PublishResponse>, Status> {
        let batch = parse::publish(&request.into_inner(), Uuid::new_v4)?;
        if self.0.drain.is_cancelled() {
            return Err(status::draining());
        }
        let (id, digest) = (batch.request_id, batch.digest);
        let answered = match self.0.view.look(|state| state.requests().get(id).cloned()) {
            Some(answered) => answered,
            None => self.append(batch).await?,
        };
        if answered.digest != digest {
            return Err(status::refused(&[Refusal::RequestIdReused { first: answered.entry }]));
        }
        self.0.reach(answered.entry).await?;
        match &answered.answer {
            Answer::Refused(refusals) => Err(status::refused(refusals)),
            Answer::Accepted(outcomes) => {
                let (first, count) = answered.alerts;
                Ok(Response::new(pb::PublishResponse {
                    cursor: self.0.cursor(answered.entry),
                    request_id: Uuid::from_u128(id.0).to_string(),
                    results: outcomes
                        .iter()
                        .map(|outcome| render::update_result(*outcome))
                        .collect(),
                    alert_sequences: (first..first.saturating_add(count)).collect(),
                }))
            }
        }
    }
}

impl Feed {
    /// Appends a batch, waits until it is durable and applied, and takes its answer from the state.
    async fn append(&self, batch: Batch) -> Result<Arc<Answered>, Status> {
        let id = batch.request_id;
        if let Some(trouble) = self.0.view.trouble() {
            return Err(status::trouble(&trouble));
        }
        let now = self.0.clock.stamp().map_err(|jumped| status::clock(&jumped))?;
        let appended = self.0.journal.append(now, Payload::Batch(batch)).await;
        let entry = appended.map_err(|error| status::journal(&error))?;
        self.0.reach(entry).await?;
        let answered = self.0.view.look(|state| state.requests().get(id).cloned());
        // Forgotten already only when tens of thousands of batches came after it within this moment.
        answered.ok_or_else(|| {
            status::unavailable("ANSWER_FORGOTTEN", "the batch was applied, its answer is gone")
        })
    }
}
