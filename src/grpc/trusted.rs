//! A service that answers nobody once replicas differ: what is known here may be wrong.

use super::api::Api;
use super::status;
use http::{Request, Response};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;

/// A service, for as long as what it knows can be trusted.
#[derive(Clone)]
pub(super) struct Trusted<S> {
    pub(super) service: S,
    pub(super) api: Arc<Api>,
}

impl<S: NamedService> NamedService for Trusted<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Trusted<S>
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
        match self.api.view.divergence() {
            None => Box::pin(self.service.call(request)),
            Some(divergence) => {
                let refusal = status::diverged(&divergence).into_http();
                Box::pin(std::future::ready(Ok(refusal)))
            }
        }
    }
}
