//! Connections of browsers: HTTP/1.1 in the clear, HTTP/2 where encrypted; counted, bounded and cut like all others.

use super::connection::{CALLS_PER_CONNECTION, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use super::keys::Keys;
use super::port::{self, Ends, Error};
use super::tls::Inside;
use crate::grpc::Peer;
use crate::metrics::Metrics;
use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tower_service::Service;

/// The most that is read ahead of a request of HTTP/1.1, its headers included, in bytes; one with more headers is refused with 431.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Serves connections until told to drain, and then until each of them has ended.
pub(super) async fn serve(
    listener: TcpListener,
    ends: Ends,
    keys: Keys,
    router: Router,
    metrics: Arc<Metrics>,
) {
    let begun = ends.clone();
    let each = move |stream, peer| begin(stream, begun.clone(), keys.clone(), router.clone(), peer);
    port::serve(listener, ends, &metrics, each).await;
}

/// Agrees on keys, where connections are encrypted, and serves a connection to its end.
async fn begin(
    stream: TcpStream,
    ends: Ends,
    keys: Keys,
    router: Router,
    peer: Peer,
) -> Result<(), Error> {
    let Some(encryption) = keys.encryption else { return run(stream, ends, router, peer).await };
    let by = Instant::now() + ends.handshake;
    let encrypted = port::encrypt(stream, &encryption, Inside::Either, by, &ends.drain, peer);
    let (stream, peer) = encrypted.await?;
    run(stream, ends, router, peer).await
}

async fn run<S>(stream: S, ends: Ends, router: Router, peer: Peer) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let builder = builder(&ends);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let (mut router, should_close) = (router.clone(), peer.should_close());
        async move {
            if should_close {
                return Err(Error::Wasteful);
            }
            router.call(request).await.map_err(|never| match never {})
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(Error::Browser),
        () = ends.drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(Error::Browser)
}

fn builder(ends: &Ends) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(ends.handshake)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(ends.streams_max.saturating_add(CALLS_PER_CONNECTION));
    builder
}
