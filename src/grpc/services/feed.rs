//! `FeedService`: updates come in.

use crate::grpc::admission::Peer;
use crate::grpc::backend::{Api, publish_batch};
use crate::grpc::pb::{self, feed_service_server::FeedService};
use crate::grpc::streams::{PublishStream, publish_batches};
use crate::grpc::transport::Deadline;
use prost::Message;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

pub(super) struct Feed(pub(super) Arc<Api>);

#[tonic::async_trait]
impl FeedService for Feed {
    async fn publish(
        &self,
        request: Request<pb::PublishRequest>,
    ) -> Result<Response<pb::PublishResponse>, Status> {
        let peer = Peer::of(request.extensions()).clone();
        let request = request.into_inner();
        // Held until the call ends, however it ends.
        let _permit = self.0.limits.acquire_publish_call(request.encoded_len())?;
        publish_batch(&self.0, &peer, "Publish", request).await.map(Response::new)
    }

    type PublishStreamStream = PublishStream;

    async fn publish_stream(
        &self,
        request: Request<Streaming<pb::PublishStreamRequest>>,
    ) -> Result<Response<PublishStream>, Status> {
        let peer = Peer::of(request.extensions()).clone();
        let permit = self.0.limits.acquire_publish_stream(&peer)?;
        let deadline = Deadline::of(request.extensions());
        let api = Arc::clone(&self.0);
        let batches = request.into_inner();
        Ok(Response::new(publish_batches(api, peer, permit, deadline, batches)))
    }
}
