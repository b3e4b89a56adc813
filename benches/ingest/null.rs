//! A server that decodes batches and answers: neither durability nor engine.

use futures_core::Stream;
use lodewatch::grpc::pb::feed_service_server::{FeedService, FeedServiceServer};
use lodewatch_proto::v1 as pb;
use pb::publish_stream_response::Answer;
use prost::Message;
use std::pin::Pin;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// As the real server grants by default.
const CREDITS: pb::Credits = pb::Credits { batches: 256, bytes: 8 * 1024 * 1024 };

struct Null;

#[tonic::async_trait]
impl FeedService for Null {
    async fn publish(
        &self,
        request: Request<pb::PublishRequest>,
    ) -> Result<Response<pb::PublishResponse>, Status> {
        Ok(Response::new(answer(request.get_ref())))
    }

    type PublishStreamStream =
        Pin<Box<dyn Stream<Item = Result<pb::PublishStreamResponse, Status>> + Send>>;

    async fn publish_stream(
        &self,
        request: Request<Streaming<pb::PublishStreamRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let first = pb::PublishStreamResponse { credits: Some(CREDITS), answer: None };
        let answers = request.into_inner().map(|batch| {
            let batch = batch?.batch.unwrap_or_default();
            let credits = pb::Credits { batches: 1, bytes: batch.encoded_len() as u64 };
            let answer = Some(Answer::Accepted(answer(&batch)));
            Ok(pb::PublishStreamResponse { credits: Some(credits), answer })
        });
        let answers = tokio_stream::once(Ok(first)).chain(answers);
        Ok(Response::new(Box::pin(answers)))
    }
}

fn answer(batch: &pb::PublishRequest) -> pb::PublishResponse {
    let applied = pb::UpdateResult { outcome: pb::Outcome::Applied.into() };
    let results = vec![applied; batch.updates.len()];
    pb::PublishResponse { results, ..pb::PublishResponse::default() }
}

/// Serves for as long as it lives.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("listening on {}", listener.local_addr().unwrap());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(FeedServiceServer::new(Null));
    server.serve_with_incoming(incoming).await.unwrap();
}
