//! One call of a peer: authenticated, bounded in time, answered by a service, and counted.

use super::call_metrics::count_end;
use super::deadline::Deadline;
use crate::access::{CallCredentials, Gate, MalformedHeader};
use crate::grpc::admission::Peer;
use crate::grpc::status;
use crate::metrics::{self, Metrics};
use crate::traces::{self, TraceParent};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_service::Service;

/// Answers one call of a peer, and counts it.
pub async fn handle_call(
    routes: Routes,
    gate: &Gate,
    calls: &Arc<metrics::CallMetrics>,
    peer: Peer,
    request: Request<Body>,
) -> Response<Body> {
    let (call, guard) = (calls.start(request.uri().path()), peer.guard_call());
    let mut response = route_call(routes, gate, peer, request).await;
    status::fit_trailers(response.headers_mut());
    if !is_abandoned(response.headers()) {
        guard.complete();
    }
    count_end(response, call)
}

/// Calls the service, where the gate allows it. A unary call is dropped at its deadline; a stream
/// that has begun ends itself.
async fn route_call(
    mut routes: Routes,
    gate: &Gate,
    mut peer: Peer,
    mut request: Request<Body>,
) -> Response<Body> {
    peer.caller = TraceParent::from_headers(request.headers());
    let bearer = bearer(request.headers());
    let credentials = CallCredentials { certificate: &peer.certificate, bearer };
    let path = request.uri().path();
    match gate.admit(path, credentials).await {
        Ok(identity) => peer.identity = identity,
        Err(denied) => {
            let log = || gate.log(&denied, peer.address(), path);
            traces::log_span(peer.caller.as_ref().map(TraceParent::trace)).in_scope(log);
            return status::denied(&denied, path).into_http();
        }
    }
    // Services do not need the secret.
    request.headers_mut().remove(AUTHORIZATION);
    let deadline = match Deadline::parse(request.headers()) {
        Ok(deadline) => deadline,
        Err(violations) => return Status::from(violations).into_http(),
    };
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(deadline);
    tokio::select! {
        response = routes.call(request) => match response {
            Ok(response) => status::name_size_limit(response),
            Err(never) => match never {},
        },
        () = deadline.passed() => status::deadline().into_http(),
    }
}

/// Whether a response only says that the caller is not authenticated, or that its request did not
/// arrive whole, as when it is gone. No service of ours responds with these codes.
fn is_abandoned(headers: &HeaderMap) -> bool {
    let codes = [Code::Unauthenticated, Code::Cancelled, Code::Unknown, Code::Internal];
    status::code(headers).is_some_and(|code| codes.contains(&code))
}

/// The bearer token of a call; `None` without the header.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, MalformedHeader>> {
    const SCHEME: &str = "bearer ";
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (first, more) = (values.next()?, values.next().is_some());
    let token = || {
        let (scheme, token) = first.to_str().ok()?.split_at_checked(SCHEME.len())?;
        (scheme.eq_ignore_ascii_case(SCHEME) && !more).then(|| token.trim_start())
    };
    Some(token().ok_or(MalformedHeader))
}

/// All services behind the gate, for calls that arrive by another protocol, such as gRPC-Web. Every
/// request carries its [`Peer`].
#[derive(Clone)]
pub struct GatedServices {
    routes: Routes,
    gate: Arc<Gate>,
    calls: Arc<metrics::CallMetrics>,
}

impl GatedServices {
    pub fn new(routes: Routes, gate: Arc<Gate>, metrics: &Metrics) -> Self {
        Self { routes: routes.prepare(), gate, calls: Arc::clone(&metrics.calls) }
    }
}

impl<B> Service<Request<B>> for GatedServices
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
        let peer = peer.expect("the server adds the peer to every request");
        let (routes, gate, calls) =
            (self.routes.clone(), Arc::clone(&self.gate), Arc::clone(&self.calls));
        let request = request.map(Body::new);
        Box::pin(async move { Ok(handle_call(routes, &gate, &calls, peer, request).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::grpc::admission::AddressLimits;
    use std::future::{Pending, pending};
    use std::net::Ipv4Addr;
    use tonic::server::NamedService;

    /// Accepts calls and answers none.
    #[derive(Clone)]
    struct Silent;

    impl NamedService for Silent {
        const NAME: &'static str = "lodewatch.v1.PolicyService";
    }

    impl Service<Request<Body>> for Silent {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Pending<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            pending()
        }
    }

    async fn call_with(timeout: &str) -> Status {
        let request = Request::post("/lodewatch.v1.PolicyService/GetPolicy");
        let request = request.header("grpc-timeout", timeout).body(Body::empty()).unwrap();
        let limits = Arc::new(AddressLimits::new(1, 1));
        let connection = limits.admit(Ipv4Addr::LOCALHOST.into(), 1).unwrap();
        let peer = connection.peer();
        let gate = Gate::open(&Config::built_in().access, Clock::system(0), "local").unwrap();
        let calls = Arc::new(metrics::CallMetrics::new([]));
        let response = handle_call(Routes::new(Silent), &gate, &calls, peer, request).await;
        Status::from_header_map(response.headers()).unwrap()
    }

    #[tokio::test]
    async fn a_call_ends_at_its_deadline_although_its_service_does_not_answer() {
        assert_eq!(call_with("1m").await.code(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn a_malformed_timeout_is_rejected_for_every_method() {
        let status = call_with("soon").await;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("grpc-timeout"), "{}", status.message());
    }

    #[test]
    fn a_bearer_token_is_read_in_one_way_only() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(|token| token.map(str::to_owned))
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Bearer abc"]), Some(Ok("abc".into())));
        assert_eq!(read(&["bearer abc"]), Some(Ok("abc".into())));
        for bad in [&["abc"][..], &["Basic abc"], &["Bearer"], &["Bearer a", "Bearer a"]] {
            assert_eq!(read(bad), Some(Err(MalformedHeader)), "{bad:?}");
        }
    }
}
