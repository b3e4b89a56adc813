//! A server that decodes batches and answers: neither durability nor engine.

use lodewatch::grpc::pb;
use pb::feed_service_server::{FeedService, FeedServiceServer};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

struct Null;

#[tonic::async_trait]
impl FeedService for Null {
    async fn publish(
        &self,
        request: Request<pb::PublishRequest>,
    ) -> Result<Response<pb::PublishResponse>, Status> {
        let applied = pb::UpdateResult { outcome: pb::Outcome::Applied.into() };
        let results = vec![applied; request.get_ref().updates.len()];
        Ok(Response::new(pb::PublishResponse { results, ..pb::PublishResponse::default() }))
    }
}

/// Serves for as long as it lives.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("listening on {}", listener.local_addr().unwrap());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(FeedServiceServer::new(Null));
    server.serve_with_incoming(incoming).await.unwrap();
}
