//! When the work for a call must end, for work on threads that nothing cancels by dropping it.

use super::api::Api;
use crate::access::Revocation;
use crate::grpc::admission::Peer;
use crate::grpc::status;
use crate::grpc::transport::Deadline;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Extensions, Status};

/// The end of a call: its caller is gone, its deadline has passed, its credentials are revoked, or
/// the server shuts down. Work on a thread of its own asks for it often.
#[derive(Clone)]
pub(in crate::grpc) struct CallEnd {
    /// Cancelled with the drain, too.
    gone: CancellationToken,
    drain: CancellationToken,
    deadline: Deadline,
    revocation: Revocation,
}

impl CallEnd {
    pub(in crate::grpc) fn of(api: &Api, request: &Extensions) -> Self {
        let drain = api.drain.clone();
        Self { gone: drain.child_token(), drain, ..Self::without_drain(request) }
    }

    /// The end of a short call, which is answered although the server shuts down.
    pub(in crate::grpc) fn without_drain(request: &Extensions) -> Self {
        Self {
            gone: CancellationToken::new(),
            drain: CancellationToken::new(),
            deadline: Deadline::of(request),
            revocation: Peer::of(request).revocation(),
        }
    }

    /// The call ends when this is dropped: held where the caller's interest shows, in the call's
    /// future or in its response.
    pub(in crate::grpc) fn end_on_drop(&self) -> DropGuard {
        self.gone.clone().drop_guard()
    }

    pub(in crate::grpc) fn is_over(&self) -> bool {
        self.gone.is_cancelled()
            || self.deadline.at().is_some_and(|at| at <= Instant::now())
            || self.revocation.is_revoked()
    }

    /// Waits for the end.
    pub(in crate::grpc) async fn reached(&self) {
        tokio::select! {
            () = self.gone.cancelled() => {}
            () = self.deadline.passed() => {}
            () = self.revocation.revoked() => {}
        }
    }

    /// The status that says why, once it is over.
    pub(in crate::grpc) fn status(&self) -> Status {
        if self.drain.is_cancelled() {
            status::draining()
        } else if self.revocation.is_revoked() {
            status::credentials_revoked()
        } else if self.gone.is_cancelled() {
            Status::cancelled("the caller is gone")
        } else {
            status::deadline()
        }
    }
}
