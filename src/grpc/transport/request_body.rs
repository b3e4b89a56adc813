//! The body of a unary request: bounded in time and in bytes until it has arrived.

use super::call_body::SMALL_BYTES_MAX;
use crate::grpc::admission::{Limits, Peer, TransferPermit};
use crate::grpc::status;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;

/// A body that fails if it does not arrive in time, or if there is no room for its bytes. The room
/// is free again when it is dropped.
pub(super) struct RequestBody {
    body: Body,
    limits: Arc<Limits>,
    peer: Peer,
    due: Instant,
    /// Only a body that is not there yet needs one.
    alarm: Option<Pin<Box<Sleep>>>,
    bytes: usize,
    /// For what is above the bytes that do not count.
    permit: Option<TransferPermit>,
}

impl RequestBody {
    pub(super) fn wrap(body: Body, limits: Arc<Limits>, peer: Peer, due: Instant) -> Body {
        Body::new(Self { body, limits, peer, due, alarm: None, bytes: 0, permit: None })
    }

    fn count(&mut self, bytes: usize) -> Result<(), Status> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= SMALL_BYTES_MAX {
            return Ok(());
        }
        if let Some(permit) = &mut self.permit {
            return permit.grow(bytes);
        }
        self.permit = Some(self.limits.acquire_transfer(&self.peer, bytes)?);
        Ok(())
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let due = self.due;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        ready!(alarm.as_mut().poll(context));
        let cause = "the request did not arrive whole in time";
        Poll::Ready(status::exhausted("server.transfer_timeout", cause))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.poll_late(context).map(|late| Some(Err(late))),
        };
        let counted = frame.map(|frame| {
            let frame = frame?;
            self.count(frame.data_ref().map_or(0, Bytes::len))?;
            Ok(frame)
        });
        Poll::Ready(counted)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::limits_of_bytes;
    use super::*;
    use crate::grpc::status::rejection_labels;
    use http_body_util::{BodyExt, Full, StreamBody};
    use std::time::Duration;

    fn limit(failed: &Status) -> String {
        rejection_labels(failed).limit.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_arrive_fails_in_time() {
        let (limits, peer) = limits_of_bytes(100_000);
        let never = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Status>>());
        let begun = Instant::now();
        let due = begun + Duration::from_secs(7);
        let mut body = RequestBody::wrap(Body::new(never), limits, peer, due);
        let failed = body.frame().await.unwrap().unwrap_err();
        assert_eq!(limit(&failed), "server.transfer_timeout");
        assert_eq!(Instant::now(), due);
    }

    #[tokio::test]
    async fn requests_for_which_there_is_no_room_fail_until_another_has_ended() {
        let (limits, peer) = limits_of_bytes(100_000);
        let request = |len| {
            let body = Body::new(Full::new(Bytes::from(vec![0; len])));
            RequestBody::wrap(body, Arc::clone(&limits), peer.clone(), Instant::now())
        };
        let mut first = request(80_000);
        first.frame().await.unwrap().unwrap();
        let failed = request(30_000).frame().await.unwrap().unwrap_err();
        assert_eq!(limit(&failed), "server.transfer_bytes_max");
        request(SMALL_BYTES_MAX).frame().await.unwrap().unwrap();
        drop(first);
        request(30_000).frame().await.unwrap().unwrap();
    }
}
