//! Calls that come by way of other protocols, such as gRPC-Web: answered like any other, by the same gate.

use super::answer;
use super::peer::Peer;
use crate::access::Gate;
use crate::metrics::{self, Metrics};
use bytes::Bytes;
use http::{Request, Response};
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service;

/// All services behind the gate. Every request carries its [`Peer`].
#[derive(Clone)]
pub struct Calls {
    routes: Routes,
    gate: Arc<Gate>,
    counted: Arc<metrics::CallMetrics>,
}

impl Calls {
    /// Of these services, for whom the gate lets pass.
    pub fn new(routes: Routes, gate: Arc<Gate>, metrics: &Metrics) -> Self {
        Self { routes: routes.prepare(), gate, counted: Arc::clone(&metrics.calls) }
    }
}

impl<B> Service<Request<B>> for Calls
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let peer = request.extensions_mut().remove::<Peer>();
        let peer = peer.expect("the server's connections say who is there");
        let (routes, gate, counted) =
            (self.routes.clone(), Arc::clone(&self.gate), Arc::clone(&self.counted));
        let request = request.map(Body::new);
        Box::pin(async move { Ok(answer(routes, &gate, &counted, peer, request).await) })
    }
}
