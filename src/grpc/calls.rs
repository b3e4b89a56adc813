//! Calls that come by way of other protocols, such as gRPC-Web: answered like any other, by the same gate.

use super::answer;
use super::peer::Peer;
use crate::access::Gate;
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
}

impl Calls {
    /// Of these services, for whom the gate lets pass.
    pub fn new(routes: Routes, gate: Arc<Gate>) -> Self {
        Self { routes: routes.prepare(), gate }
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
        let (routes, gate) = (self.routes.clone(), Arc::clone(&self.gate));
        Box::pin(async move { Ok(answer(routes, &gate, peer, request.map(Body::new)).await) })
    }
}
