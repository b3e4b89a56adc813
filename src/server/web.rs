//! Connections of browsers: HTTP/1.1 in the clear, HTTP/2 where encrypted; counted, bounded and cut like all others.

use super::connection::{CALLS_PER_CONNECTION, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use super::keys::ListenerSecurity;
use super::port::{self, Error, ListenerConfig};
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
    config: ListenerConfig,
    security: ListenerSecurity,
    router: Router,
    metrics: Arc<Metrics>,
) {
    let begun = config.clone();
    let each =
        move |stream, peer| begin(stream, begun.clone(), security.clone(), router.clone(), peer);
    port::serve(listener, config, &metrics, each).await;
}

/// Agrees on security, where connections are encrypted, and serves a connection to its end.
async fn begin(
    stream: TcpStream,
    config: ListenerConfig,
    security: ListenerSecurity,
    router: Router,
    peer: Peer,
) -> Result<(), Error> {
    let Some(encryption) = security.encryption else {
        return run(stream, config, router, peer).await;
    };
    let by = Instant::now() + config.handshake;
    let encrypted = port::encrypt(stream, &encryption, Inside::Either, by, &config.drain, peer);
    let (stream, peer) = encrypted.await?;
    run(stream, config, router, peer).await
}

async fn run<S>(stream: S, config: ListenerConfig, router: Router, peer: Peer) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let builder = builder(&config);
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
        () = config.drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(Error::Browser)
}

fn builder(config: &ListenerConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.handshake)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(config.streams_max.saturating_add(CALLS_PER_CONNECTION));
    builder
}
