//! The body of every response: counts the call's end, holds a stream's permit, and sees to it that
//! what the caller does not take can be dropped.

use super::call_end::CallEnd;
use super::call_metrics::{end_call, fail_call};
use crate::grpc::admission::{CallGuard, Limits, StreamPermit, TransferPermit};
use crate::grpc::status;
use crate::grpc::trailers::fit_trailers;
use crate::metrics::OngoingCall;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::{Code, Status};

/// Streams that end by themselves, as fast as their caller reads. Like a unary response, they are
/// reset if it stops.
const FINITE_STREAMS: &[&str] = &["Backtest", "FetchArchive"];

/// Data of more bytes than this is sent in two parts, of which the second is its last byte.
///
/// HTTP/2 takes all of a part as soon as the caller's window has room for one byte of it, and keeps
/// the rest even if the call is dropped after its last part. So a caller that takes nothing makes
/// the server hold at most this much for a call that has ended.
///
/// No more than this of a request or a response counts for nothing.
pub(super) const SMALL_BYTES_MAX: usize = 4096;

/// Whether a stream ends by itself.
pub(super) fn is_finite_stream(method: &str) -> bool {
    FINITE_STREAMS.contains(&method)
}

/// Whether a response only says that the request did not arrive whole, as when its caller is gone.
/// No service of ours responds with these codes.
fn is_incomplete_request(code: Code) -> bool {
    matches!(code, Code::Cancelled | Code::Unknown | Code::Internal)
}

/// A body, and the call that is answered by its first frame and ends with it.
pub(super) struct CallBody {
    body: Body,
    call: Option<OngoingCall>,
    guard: CallGuard,
    has_given_frame: bool,
    end: CallEnd,
    /// The last byte of the data before.
    held_back: Option<Bytes>,
    limits: Arc<Limits>,
    /// For the data before.
    data_permit: Option<TransferPermit>,
    /// Whether the call is reset when its caller stops receiving.
    ends_at_stall: bool,
    stream_permit: Option<StreamPermit>,
}

impl CallBody {
    /// The response, with this body.
    pub(super) fn wrap(
        response: Response<Body>,
        call: OngoingCall,
        mut guard: CallGuard,
        permit: Option<StreamPermit>,
        limits: Arc<Limits>,
    ) -> Response<Body> {
        let end = CallEnd::current();
        if let Some(code) = status::code(response.headers()) {
            // It has no body.
            if !is_incomplete_request(code) {
                guard.complete();
            }
            end_call(call, &guard.peer, code, response.headers());
            end.clear();
            return response;
        }
        let ends_at_stall = !call.is_stream() || is_finite_stream(call.method_name());
        let call = Some(call);
        response.map(|body| {
            Body::new(Self {
                body,
                call,
                guard,
                has_given_frame: false,
                end,
                held_back: None,
                limits,
                data_permit: None,
                ends_at_stall,
                stream_permit: permit,
            })
        })
    }

    /// The data, without its last byte if it is large; that is held back. A unary response for
    /// which there is no room becomes a rejection.
    fn split(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let mut data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return trailers,
        };
        if data.len() <= SMALL_BYTES_MAX {
            return Frame::data(data);
        }
        // Streams are limited in number.
        if self.stream_permit.is_none() {
            match self.limits.acquire_transfer(&self.guard.peer, data.len()) {
                Ok(permit) => self.data_permit = Some(permit),
                Err(rejection) => {
                    self.body = Body::empty();
                    let mut trailers = HeaderMap::new();
                    rejection.add_header(&mut trailers).expect("our statuses are valid headers");
                    return Frame::trailers(trailers);
                }
            }
        }
        self.held_back = Some(data.split_off(data.len().saturating_sub(1)));
        Frame::data(data)
    }

    fn poll_whole(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(last) = self.held_back.take() {
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        // Its caller has received the data before.
        self.data_permit = None;
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map(|frame| frame.map(|frame| frame.map(|frame| self.split(frame))))
    }
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // HTTP/2 holds at most one frame for which the caller's window has no room.
        if self.has_given_frame {
            self.guard.complete();
        }
        let mut polled = self.poll_whole(context);
        if self.ends_at_stall {
            self.end.set_untaken(polled.is_ready());
        }
        if polled.is_ready() {
            self.has_given_frame = true;
            if self.is_end_stream() {
                self.guard.complete();
            }
        }
        match &mut polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    if let Some(call) = self.call.take() {
                        self.guard.complete();
                        let code = status::code(trailers).unwrap_or(Code::Unknown);
                        end_call(call, &self.guard.peer, code, trailers);
                    }
                    fit_trailers(trailers);
                }
            }
            Poll::Ready(Some(Err(status))) => {
                if let Some(call) = self.call.take() {
                    fail_call(call, &self.guard.peer, status);
                }
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.held_back.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.held_back {
            None => self.body.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

impl Drop for CallBody {
    fn drop(&mut self) {
        self.end.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::limits_of_bytes;
    use super::*;
    use crate::metrics::CallMetrics;
    use http_body_util::{BodyExt, Full};

    #[tokio::test]
    async fn the_last_byte_of_large_data_comes_by_itself() {
        for (len, expected) in [
            (SMALL_BYTES_MAX, vec![SMALL_BYTES_MAX]),
            (SMALL_BYTES_MAX + 1, vec![SMALL_BYTES_MAX, 1]),
            (1_000_000, vec![999_999, 1]),
        ] {
            let sent: Bytes = (0..len).map(|at| (at % 251).to_le_bytes()[0]).collect();
            let response = Response::new(Body::new(Full::new(sent.clone())));
            let call = Arc::new(CallMetrics::new([])).start("/x/y");
            let (limits, peer) = limits_of_bytes(1_000_000);
            let guard = CallGuard::new(peer);
            let mut body = CallBody::wrap(response, call, guard, None, limits).into_body();
            let (mut parts, mut received) = (Vec::new(), Vec::new());
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                parts.push(data.len());
                received.extend(data);
            }
            assert_eq!(parts, expected);
            assert_eq!(received, sent);
        }
    }

    #[tokio::test]
    async fn a_unary_response_for_which_there_is_no_room_becomes_a_rejection() {
        let (limits, peer) = limits_of_bytes(100_000);
        let respond = |len| {
            let response = Response::new(Body::new(Full::new(Bytes::from(vec![0; len]))));
            let call = Arc::new(CallMetrics::new([])).start("/x/y");
            let guard = CallGuard::new(peer.clone());
            CallBody::wrap(response, call, guard, None, Arc::clone(&limits)).into_body()
        };
        let mut first = respond(80_000);
        assert!(first.frame().await.unwrap().unwrap().is_data());
        let mut second = respond(30_000);
        let trailers = second.frame().await.unwrap().unwrap().into_trailers().unwrap();
        let rejection = Status::from_header_map(&trailers).unwrap();
        assert_eq!(rejection.code(), Code::ResourceExhausted);
        assert!(rejection.message().contains("server.transfer_bytes_max"), "{rejection:?}");
        assert!(second.frame().await.is_none());
        assert!(respond(SMALL_BYTES_MAX).frame().await.unwrap().unwrap().is_data());
        // Its last byte, and that there is no more.
        assert!(first.frame().await.unwrap().unwrap().is_data());
        assert!(first.frame().await.is_none());
        assert!(respond(30_000).frame().await.unwrap().unwrap().is_data());
    }
}
