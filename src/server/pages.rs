//! Pages over HTTP/1.1, for operators, on ports of their own.
//!
//! A client that sends nothing, sends slowly, or takes nothing of an answer is let go: each of these may take as long as a
//! handshake, and so may a connection that is kept for another request.

use super::port::{self, Ends, Error};
use crate::metrics::Metrics;
use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::pin::pin;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

/// The headers of a request, in bytes; one with more is refused with 431.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Serves connections, in the clear, until told to drain, and then until each of them has ended.
pub(super) async fn serve(listener: TcpListener, ends: Ends, pages: Router, metrics: Arc<Metrics>) {
    let begun = ends.clone();
    let each = move |stream, _| run(stream, begun.clone(), pages.clone());
    port::serve(listener, ends, &metrics, each).await;
}

async fn run(stream: TcpStream, ends: Ends, pages: Router) -> Result<(), Error> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(ends.handshake));
    let service = service_fn(|request: Request<Incoming>| pages.clone().call(request));
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ends.handshake)
        .max_header_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = &mut connection => return Ok(ended?),
        () = ends.drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}
