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
