//! All services with what is around them: the limit on a request's size, and the rejection of every
//! call once replicas have diverged.

use super::alert::Alerts;
use super::feed::Feed;
use super::health;
use super::market::Markets;
use super::policy::Policies;
use super::replica::Replicas;
use crate::grpc::backend::Api;
use crate::grpc::codec::pages::MESSAGE_BYTES_MAX;
use crate::grpc::pb;
use crate::grpc::status;
use crate::grpc::transport::PreEncodedBody;
use crate::pipeline::PipelineView;
use http::{Request, Response};
use pb::alert_service_server::AlertServiceServer;
use pb::feed_service_server::FeedServiceServer;
use pb::market_service_server::MarketServiceServer;
use pb::policy_service_server::PolicyServiceServer;
use pb::replica_service_server::ReplicaServiceServer;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower_service::Service;

/// Bytes of a request of reflection or health, whose responses may repeat it.
const NAME_REQUEST_BYTES_MAX: usize = 16 * 1024;

/// The routes to all services, ours, health and reflection; and to health alone, for probes. A
/// request of more than `message_bytes_max` bytes is rejected. No response is larger than 1 MiB:
/// each method keeps to it, and here is where a mistake becomes an error of its call alone.
pub async fn routes(api: Arc<Api>, message_bytes_max: usize) -> (Routes, Routes) {
    let (health, health_service) = tonic_health::server::health_reporter();
    let health_service = health_service.max_decoding_message_size(NAME_REQUEST_BYTES_MAX);
    let feed = FeedServiceServer::new(Feed(Arc::clone(&api)))
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let alerts = AlertServiceServer::new(Alerts(Arc::clone(&api)))
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let markets = MarketServiceServer::new(Markets(Arc::clone(&api)))
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let policies = PolicyServiceServer::new(Policies(Arc::clone(&api)))
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let replicas = ReplicaServiceServer::new(Replicas(Arc::clone(&api)))
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    health::update(&health, &api).await;
    tokio::spawn(health::keep_updated(health, Arc::clone(&api)));
    let view = || api.view.clone();
    let all = Routes::new(RejectIfDiverged { service: feed, view: view() })
        .add_service(RejectIfDiverged { service: PreEncodedBody(alerts), view: view() })
        .add_service(RejectIfDiverged { service: markets, view: view() })
        .add_service(RejectIfDiverged { service: policies, view: view() })
        .add_service(RejectIfDiverged { service: replicas, view: view() })
        .add_service(health_service.clone())
        .add_service(
            reflection()
                .build_v1()
                .expect("our own descriptors can be read")
                .max_decoding_message_size(NAME_REQUEST_BYTES_MAX),
        )
        .add_service(
            reflection()
                .build_v1alpha()
                .expect("our own descriptors can be read")
                .max_decoding_message_size(NAME_REQUEST_BYTES_MAX),
        );
    (all, Routes::new(health_service))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// A service that rejects every call once replicas have diverged: what this node knows may be
/// wrong.
#[derive(Clone)]
struct RejectIfDiverged<S> {
    service: S,
    view: PipelineView,
}

impl<S: NamedService> NamedService for RejectIfDiverged<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for RejectIfDiverged<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.view.divergence() {
            None => Box::pin(self.service.call(request)),
            Some(divergence) => {
                let rejection = status::diverged(&divergence).into_http();
                Box::pin(std::future::ready(Ok(rejection)))
            }
        }
    }
}
