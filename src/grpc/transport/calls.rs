//! One call of a peer: authenticated, bounded in time, answered by a service, and counted.

use super::call_body::{CallBody, is_finite_stream};
use super::call_end::{CallEnd, StreamEnd};
use super::deadline::Deadline;
use super::request_body::RequestBody;
use crate::access::{
    CallCredentials, CallDenied, Gate, MalformedHeader, MethodAccess, find_method,
};
use crate::grpc::admission::{CallGuard, Limits, Peer, StreamPermit};
use crate::grpc::status;
use crate::grpc::trailers::fit_trailers;
use crate::metrics::{self, Metrics, OngoingCall};
use crate::traces::{self, TraceParent};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service;

/// All services behind the gate, and what bounds their calls.
#[derive(Clone)]
pub struct GatedServices {
    routes: Routes,
    gate: Arc<Gate>,
    limits: Arc<Limits>,
    ends: CallEndSettings,
    calls: Arc<metrics::CallMetrics>,
}

/// When calls end that do not end by themselves.
#[derive(Debug, Clone, Copy)]
pub struct CallEndSettings {
    /// The age at which a stream ends; `None` for no limit.
    pub stream_age_max: Option<Duration>,
    /// How long a caller may take to send a unary request, and to receive a response or the end of
    /// a stream.
    pub timeout: Duration,
}

impl GatedServices {
    pub fn new(
        routes: Routes,
        gate: Arc<Gate>,
        limits: Arc<Limits>,
        ends: CallEndSettings,
        metrics: &Metrics,
    ) -> Self {
        Self { routes: routes.prepare(), gate, limits, ends, calls: Arc::clone(&metrics.calls) }
    }

    /// Answers one call of a peer, and counts it.
    pub async fn answer(self, peer: Peer, mut request: Request<Body>) -> Response<Body> {
        let (call, limits) = (self.calls.start(request.uri().path()), Arc::clone(&self.limits));
        let mut guard = CallGuard::new(peer.for_call(request.headers()));
        let mut permit = None;
        let mut response = match self.admit(&mut guard, &mut request, &call).await {
            Ok((deadline, stream)) => {
                permit = stream;
                self.route(deadline, request).await
            }
            Err(rejected) => rejected,
        };
        fit_trailers(response.headers_mut());
        CallBody::wrap(response, call, guard, permit, limits)
    }

    /// Checks who calls, and whether a stream may begin; sets when the call ends at the latest.
    async fn admit(
        &self,
        guard: &mut CallGuard,
        request: &mut Request<Body>,
        call: &OngoingCall,
    ) -> Result<(Deadline, Option<StreamPermit>), Response<Body>> {
        let peer = &mut guard.peer;
        let bearer = bearer(request.headers());
        let credentials = CallCredentials { certificate: &peer.certificate, bearer };
        let path = request.uri().path();
        match self.gate.admit(path, credentials).await {
            Ok(identity) => peer.identity = identity,
            Err(denied) => {
                let log = || self.gate.log(&denied, peer.address(), path);
                traces::log_span(peer.caller.as_ref().map(TraceParent::trace)).in_scope(log);
                if matches!(denied, CallDenied::Unauthenticated { .. }) {
                    guard.count_unauthenticated();
                }
                return Err(status::denied(&denied, path).into_http());
            }
        }
        if find_method(path).is_some_and(|row| row.access != MethodAccess::Anyone) {
            guard.check_rate().map_err(Status::into_http)?;
        }
        let peer = &guard.peer;
        // Services do not need the secret.
        request.headers_mut().remove(AUTHORIZATION);
        let deadline = Deadline::parse(request.headers())
            .map_err(|violations| Status::from(violations).into_http())?;
        let permit = call.is_stream().then(|| self.limits.acquire_stream(peer)).transpose();
        let permit = permit.map_err(Status::into_http)?;
        self.set_end(call, peer, deadline);
        if !call.is_stream() {
            let (limits, due) = (Arc::clone(&self.limits), Instant::now() + self.ends.timeout);
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = RequestBody::wrap(body, limits, peer.clone(), due);
        }
        request.extensions_mut().insert(peer.clone());
        request.extensions_mut().insert(deadline);
        Ok((deadline, permit))
    }

    /// Sets when the call is dropped, if its caller does not take its end.
    fn set_end(&self, call: &OngoingCall, peer: &Peer, deadline: Deadline) {
        let (end, timeout) = (CallEnd::current(), self.ends.timeout);
        let (calls, method) = (Arc::clone(call.calls()), call.method_name());
        let caller = peer.clone();
        let count = move || {
            let limit = "server.transfer_timeout";
            calls.count_limit_hit(limit);
            caller.log_limit(limit);
            let address = caller.address();
            tracing::debug!(%address, method, "call reset: its caller does not receive its end");
        };
        let stream_end = |age_max| StreamEnd { deadline, age_max, revocation: peer.revocation() };
        if !call.is_stream() {
            let stalled = end.clone().stalled(timeout);
            return end.set(async move {
                stalled.await;
                count();
            });
        }
        if !is_finite_stream(call.method_name()) {
            let overdue = stream_end(self.ends.stream_age_max).overdue(timeout);
            return end.set(async move {
                overdue.await;
                count();
            });
        }
        let (stalled, overdue) = (end.clone().stalled(timeout), stream_end(None).overdue(timeout));
        end.set(async move {
            tokio::select! {
                () = stalled => {}
                () = overdue => {}
            }
            count();
        });
    }

    /// Calls the service. A unary call is dropped at its deadline; a stream that has begun ends
    /// itself.
    async fn route(mut self, deadline: Deadline, request: Request<Body>) -> Response<Body> {
        tokio::select! {
            response = self.routes.call(request) => match response {
                Ok(response) => status::name_size_limit(response),
                Err(never) => match never {},
            },
            () = deadline.passed() => status::deadline().into_http(),
        }
    }
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

/// For calls that arrive by another protocol, such as gRPC-Web. Every request carries its [`Peer`].
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
        let (services, request) = (self.clone(), request.map(Body::new));
        Box::pin(async move { Ok(services.answer(peer, request).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::limits_of_bytes;
    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use std::future::{Pending, pending};
    use tonic::Code;
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
        let (limits, peer) = limits_of_bytes(1);
        let gate = Gate::open(&Config::built_in().access, Clock::system(0), "local").unwrap();
        let ends = CallEndSettings { stream_age_max: None, timeout: Duration::from_secs(1) };
        let (routes, metrics) = (Routes::new(Silent), Metrics::new([]));
        let services = GatedServices::new(routes, Arc::new(gate), limits, ends, &metrics);
        let response = services.answer(peer, request).await;
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
