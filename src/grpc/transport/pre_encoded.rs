//! Response bodies of messages that are encoded and framed already, shared by all subscribers.
//!
//! tonic would encode each message anew for each subscriber. The generated service reads the
//! request as ever, and its response carries the frames along in its extensions; [`PreEncodedBody`]
//! around the service makes them the response's body.

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

/// A body of frames, then the status in the trailers.
struct FrameBody(Option<Messages>);

impl Body for FrameBody {
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

/// The body that a response carries along, taken once. In a mutex, since extensions must be `Clone`
/// and `Sync`.
#[derive(Clone)]
struct CarriedBody(Arc<Mutex<Option<FrameBody>>>);

/// A streaming method's response that carries its frames along; `placeholder` is never read.
pub(in crate::grpc) fn respond_with<T>(
    placeholder: T,
    frames: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> tonic::Response<T> {
    let mut response = tonic::Response::new(placeholder);
    let body = FrameBody(Some(Box::pin(frames)));
    response.extensions_mut().insert(CarriedBody(Arc::new(Mutex::new(Some(body)))));
    response
}

/// A service whose responses may carry a body of frames.
#[derive(Clone)]
pub(in crate::grpc) struct PreEncodedBody<S>(pub(in crate::grpc) S);

impl<S: NamedService> NamedService for PreEncodedBody<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<tonic::body::Body>> for PreEncodedBody<S>
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
        let response = self.0.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            if let Some(CarriedBody(body)) = response.extensions_mut().remove() {
                let body = body.lock().unwrap_or_else(PoisonError::into_inner).take();
                *response.body_mut() =
                    tonic::body::Body::new(body.expect("a response is sent only once"));
            }
            Ok(response)
        })
    }
}
