//! A server that decodes batches and answers: neither durability nor engine.

use futures_core::Stream;
use lodewatch::grpc::pb;
use pb::feed_service_server::{FeedService, FeedServiceServer};
use pb::publish_stream_response::Answer;
use std::pin::Pin;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

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
        let answers = request.into_inner().map(|batch| {
            let accepted = Answer::Accepted(answer(&batch?.batch.unwrap_or_default()));
            Ok(pb::PublishStreamResponse { credits: None, answer: Some(accepted) })
        });
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
