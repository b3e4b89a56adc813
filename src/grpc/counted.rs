//! An answer whose end is counted, however it comes: with a status, or by a caller who has gone.

use super::status::{self, Why};
use crate::metrics::{CallMetrics, OngoingCall};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::body::Body;
use tonic::{Code, Status};

/// The answer, with a body that ends the call.
pub(super) fn counted(answer: Response<Body>, call: OngoingCall) -> Response<Body> {
    match status::code(answer.headers()) {
        // It has no body.
        Some(code) => {
            end(call, code, answer.headers());
            answer
        }
        None => answer.map(|body| Body::new(Counted { body, call: Some(call) })),
    }
}

/// A batch was refused on a stream that goes on.
pub(super) fn refused(calls: &CallMetrics, status: &Status) {
    let Why { reason, limit } = status::why(status);
    if let Some(reason) = reason {
        calls.count_rejection(&reason);
    }
    if let Some(limit) = limit {
        calls.count_limit_hit(&limit);
    }
}

/// A body, and the call that ends with it.
struct Counted {
    body: Body,
    call: Option<OngoingCall>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref()
                    && let Some(call) = self.call.take()
                {
                    end(call, status::code(trailers).unwrap_or(Code::Unknown), trailers);
                }
            }
            Some(Err(status)) => {
                if let Some(call) = self.call.take() {
                    refused(call.calls(), status);
                    call.end(name(status.code()));
                }
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn end(call: OngoingCall, code: Code, headers: &HeaderMap) {
    if code != Code::Ok
        && let Some(status) = Status::from_header_map(headers)
    {
        refused(call.calls(), &status);
    }
    call.end(name(code));
}

/// The name of a code, as other servers' metrics have it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
