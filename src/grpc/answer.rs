//! What every call has in common: who makes it, how long it may take, and what tonic refuses before a service sees it.

use super::counted::counted;
use super::deadline::Deadline;
use super::peer::Peer;
use super::status;
use crate::access::{Credentials, Gate, Malformed};
use crate::metrics::CallMetrics;
use crate::traces::{self, TraceParent};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use std::sync::Arc;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_service::Service;

/// Answers one call of a peer, and counts it.
pub async fn answer(
    routes: Routes,
    gate: &Gate,
    calls: &Arc<CallMetrics>,
    peer: Peer,
    request: Request<Body>,
) -> Response<Body> {
    let (call, effort) = (calls.start(request.uri().path()), peer.effort());
    let answer = admit(routes, gate, peer, request).await;
    if !comes_to_nothing(answer.headers()) {
        effort.spent();
    }
    counted(answer, call)
}

/// Answers one call of a peer, where the gate lets it pass. One that takes longer than its caller waits is dropped; once a
/// stream has begun, it sees to that itself.
async fn admit(
    mut routes: Routes,
    gate: &Gate,
    mut peer: Peer,
    mut request: Request<Body>,
) -> Response<Body> {
    peer.caller = TraceParent::from_headers(request.headers());
    let bearer = bearer(request.headers());
    let credentials = Credentials { certificate: &peer.certificate, bearer };
    let path = request.uri().path();
    match gate.admit(path, credentials).await {
        Ok(identity) => peer.identity = identity,
        Err(denied) => {
            let log = || gate.log(&denied, peer.address(), path);
            traces::log_span(peer.caller.as_ref().map(TraceParent::trace)).in_scope(log);
            return status::denied(&denied, path).into_http();
        }
    }
    // Nobody behind this needs it.
    request.headers_mut().remove(AUTHORIZATION);
    let deadline = match Deadline::parse(request.headers()) {
        Ok(deadline) => deadline,
        Err(violations) => return Status::from(violations).into_http(),
    };
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(deadline);
    tokio::select! {
        answer = routes.call(request) => match answer {
            Ok(answer) => status::name_size_limit(answer),
            Err(never) => match never {},
        },
        () = deadline.passed() => status::deadline().into_http(),
    }
}

/// Whether an answer says that nobody known asked, or only that the request did not come whole, as where its caller has gone: no
/// service of ours answers so.
fn comes_to_nothing(headers: &HeaderMap) -> bool {
    let nothing = [Code::Unauthenticated, Code::Cancelled, Code::Unknown, Code::Internal];
    status::code(headers).is_some_and(|code| nothing.contains(&code))
}

/// The bearer token of a call, if it has one.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, Malformed>> {
    const SCHEME: &str = "bearer ";
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (first, more) = (values.next()?, values.next().is_some());
    let token = || {
        let (scheme, token) = first.to_str().ok()?.split_at_checked(SCHEME.len())?;
        (scheme.eq_ignore_ascii_case(SCHEME) && !more).then(|| token.trim_start())
    };
    Some(token().ok_or(Malformed))
}

#[cfg(test)]
mod tests {
    use super::super::peer::Addresses;
    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use std::convert::Infallible;
    use std::future::{Pending, pending};
    use std::net::Ipv4Addr;
    use std::task::{Context, Poll};
    use tonic::server::NamedService;

    /// Takes calls and answers none.
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

    async fn answered(timeout: &str) -> Status {
        let request = Request::post("/lodewatch.v1.PolicyService/GetPolicy");
        let request = request.header("grpc-timeout", timeout).body(Body::empty()).unwrap();
        let addresses = Arc::new(Addresses::new(1, 1));
        let arrival = addresses.arrive(Ipv4Addr::LOCALHOST.into(), 1).unwrap();
        let peer = arrival.peer();
        let gate = Gate::open(&Config::built_in().access, Clock::system(0), "local").unwrap();
        let calls = Arc::new(CallMetrics::new([]));
        let answer = answer(Routes::new(Silent), &gate, &calls, peer, request).await;
        Status::from_header_map(answer.headers()).unwrap()
    }

    #[tokio::test]
    async fn a_call_ends_at_its_deadline_although_its_service_does_not_answer() {
        assert_eq!(answered("1m").await.code(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn a_timeout_that_is_none_is_refused_whatever_is_called() {
        let status = answered("soon").await;
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
            assert_eq!(read(bad), Some(Err(Malformed)), "{bad:?}");
        }
    }
}
