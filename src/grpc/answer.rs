//! What every call has in common: who makes it, how long it may take, and what tonic refuses before a service sees it.

use super::deadline::Deadline;
use super::limits::Peer;
use super::status;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service;

/// Answers one call of a peer. One that takes longer than its caller waits is dropped; once a stream has begun, it sees to that
/// itself.
pub async fn answer(mut routes: Routes, peer: Peer, mut request: Request<Body>) -> Response<Body> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::future::{Pending, pending};
    use std::net::Ipv4Addr;
    use std::task::{Context, Poll};
    use tonic::Code;
    use tonic::server::NamedService;

    /// Takes calls and answers none.
    #[derive(Clone)]
    struct Silent;

    impl NamedService for Silent {
        const NAME: &'static str = "silent";
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
        let request = Request::post("/silent/Call").header("grpc-timeout", timeout);
        let peer = Peer::new(Ipv4Addr::LOCALHOST.into(), 1);
        let answer = answer(Routes::new(Silent), peer, request.body(Body::empty()).unwrap()).await;
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
}
