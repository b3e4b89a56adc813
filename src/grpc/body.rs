//! A response whose messages are framed already, in place of one that tonic would encode for each subscriber anew.
//!
//! The generated service reads the request as ever, and its answer carries the frames along; [`Framed`] around it makes them
//! the answer's body.

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tonic::Status;
use tonic::server::NamedService;
use tower_service::Service;

type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// Frames of messages, then the status in the trailers.
struct Frames(Option<Messages>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(frames) = &mut self.0 else { return Poll::Ready(None) };
        let status = match ready!(frames.as_mut().poll_next(context)) {
            Some(Ok(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        self.0 = None;
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers).expect("our statuses are valid headers");
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

/// What an answer carries along. Taken once; extensions must be cloneable and shared.
#[derive(Clone)]
struct Carried(Arc<Mutex<Option<Frames>>>);

/// An answer of a streaming method that carries its frames along.
pub(super) fn carry<T>(
    answer: T,
    frames: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> tonic::Response<T> {
    let mut response = tonic::Response::new(answer);
    let frames = Frames(Some(Box::pin(frames)));
    response.extensions_mut().insert(Carried(Arc::new(Mutex::new(Some(frames)))));
    response
}

/// A service whose answers may carry frames.
#[derive(Clone)]
pub(super) struct Framed<S>(pub(super) S);

impl<S: NamedService> NamedService for Framed<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<tonic::body::Body>> for Framed<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            if let Some(Carried(frames)) = answer.extensions_mut().remove() {
                let frames = frames.lock().unwrap_or_else(PoisonError::into_inner).take();
                *answer.body_mut() =
                    tonic::body::Body::new(frames.expect("an answer is sent only once"));
            }
            Ok(answer)
        })
    }
}
