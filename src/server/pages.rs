//! Pages over HTTP/1.1, for operators, on ports of their own.
//!
//! A client that sends nothing, sends slowly, or takes nothing of an answer is let go: each of these may take as long as a
//! handshake, and so may a connection that is kept for another request.

use super::port::{self, Ends, Error};
use super::tls::{Encryption, Inside};
use crate::metrics::Metrics;
use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

/// The headers of a request, in bytes; one with more is refused with 431.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Serves connections until told to drain, and then until each of them has ended; encrypted where there is something to do it
/// with.
pub(super) async fn serve(
    listener: TcpListener,
    ends: Ends,
    encryption: Option<Arc<Encryption>>,
    pages: Router,
    metrics: Arc<Metrics>,
) {
    let begun = ends.clone();
    let each = move |stream, _| Ok(begin(stream, begun.clone(), encryption.clone(), pages.clone()));
    port::serve(listener, ends, &metrics, each).await;
}

/// Agrees on keys, where connections are encrypted, and serves a connection to its end.
async fn begin(
    stream: TcpStream,
    ends: Ends,
    encryption: Option<Arc<Encryption>>,
    pages: Router,
) -> Result<(), Error> {
    let Some(encryption) = encryption else { return run(stream, ends, pages).await };
    let handshake = timeout(ends.handshake, encryption.accept(stream, Inside::Http1));
    let stream = tokio::select! {
        () = ends.drain.cancelled() => return Err(Error::Silent),
        stream = handshake => stream.map_err(|_| Error::Silent)??,
    };
    run(stream, ends, pages).await
}

async fn run<S>(stream: S, ends: Ends, pages: Router) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite,
{
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
