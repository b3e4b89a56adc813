//! Browser connections: HTTP/1.1, or HTTP/2 if encrypted; counted, limited and closed like all
//! others.

use super::grpc_connection::{
    CALLS_PER_CONNECTION, CallExecutor, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
};
use super::listener::{self, ConnectionError, ListenerConfig};
use super::security::ListenerSecurity;
use super::tls::Protocols;
use crate::grpc::{self, Peer};
use crate::metrics::Metrics;
use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tower_service::Service;

/// How much of an HTTP/1.1 request is buffered, including its headers, in bytes; a request with
/// more headers is rejected with 431.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Serves connections until the server drains and every connection has ended.
pub(super) async fn serve(
    listener: TcpListener,
    config: ListenerConfig,
    security: ListenerSecurity,
    router: Router,
    metrics: Arc<Metrics>,
) {
    let settings = config.clone();
    let each = move |stream, peer, deadline| {
        let (security, router) = (security.clone(), router.clone());
        serve_connection(stream, deadline, settings.clone(), security, router, peer)
    };
    listener::serve(listener, config, metrics, each).await;
}

/// Performs the TLS handshake, if connections are encrypted, and serves a connection to its end.
async fn serve_connection(
    stream: TcpStream,
    deadline: Instant,
    config: ListenerConfig,
    security: ListenerSecurity,
    router: Router,
    peer: Peer,
) -> Result<(), ConnectionError> {
    let Some(encryption) = security.encryption else {
        return serve_http(stream, config, router, peer).await;
    };
    let (drain, protocols) = (&config.drain, Protocols::Http2OrHttp1);
    let encrypted = listener::encrypt(stream, &encryption, protocols, deadline, drain, peer);
    let (stream, peer) = encrypted.await?;
    serve_http(stream, config, router, peer).await
}

async fn serve_http<S>(
    stream: S,
    config: ListenerConfig,
    router: Router,
    peer: Peer,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let builder = http_builder(&config);
    let connection_peer = peer.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let (mut router, should_close) = (router.clone(), peer.should_close());
        async move {
            if should_close {
                return Err(ConnectionError::TooManyAbandonedCalls);
            }
            router.call(request).await.map_err(|never| match never {})
        }
    });
    // A call of HTTP/1.1 runs as a part of its connection; those of HTTP/2 are tasks.
    let served = grpc::run_call(async {
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = config.drain.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    });
    let ended = served.await.ok_or(ConnectionError::TransferTimeout)?;
    ended.map_err(|error| {
        if connection_peer.should_close() {
            ConnectionError::TooManyAbandonedCalls
        } else {
            ConnectionError::Browser(error)
        }
    })
}

fn http_builder(config: &ListenerConfig) -> Builder<CallExecutor> {
    let mut builder = Builder::new(CallExecutor::default());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.handshake_timeout)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(config.streams_max.saturating_add(CALLS_PER_CONNECTION));
    builder
}
