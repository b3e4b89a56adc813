//! Pages over HTTP/1.1, for operators, on ports of their own.
//!
//! A client that sends nothing, sends slowly, or does not read the response is disconnected: each
//! of these may take as long as a handshake, and so may the wait for a further request.

use super::error::Error;
use super::listener::{
    self, ConnectionError, ListenerConfig, OPERATOR_CONNECTIONS_MAX, bind, operator_limits,
};
use crate::metrics::Metrics;
use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

/// The headers of a request, in bytes; a request with more is rejected with 431.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// How long a connection may take to send a request and to read the response, in a process without
/// `server.handshake_timeout`.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves unencrypted connections until the server drains and every connection has ended.
pub(super) async fn serve(
    listener: TcpListener,
    config: ListenerConfig,
    pages: Router,
    metrics: Arc<Metrics>,
) {
    let settings = config.clone();
    let each = move |stream, _, _| serve_connection(stream, settings.clone(), pages.clone());
    listener::serve(listener, config, metrics, each).await;
}

/// Serves the pages of a process that is not a server, at the address of its flag, as long as the
/// process runs.
///
/// # Errors
///
/// If the port cannot be opened.
pub async fn serve_alone(
    flag: &'static str,
    address: SocketAddr,
    pages: Router,
) -> Result<impl Future<Output = ()>, Error> {
    let listener = bind(flag, Some(address)).await?.expect("there is an address");
    let config = ListenerConfig {
        port: flag,
        connections_max: OPERATOR_CONNECTIONS_MAX,
        limit: flag,
        addresses: operator_limits(),
        streams_max: 1,
        is_encrypted: false,
        handshake_timeout: HANDSHAKE_TIMEOUT,
        drain: CancellationToken::new(),
        close: CancellationToken::new(),
    };
    // The connections to this port are not in the exported metrics.
    Ok(serve(listener, config, pages, Arc::new(Metrics::new([]))))
}

async fn serve_connection(
    stream: TcpStream,
    config: ListenerConfig,
    pages: Router,
) -> Result<(), ConnectionError> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(config.handshake_timeout));
    let service = service_fn(|request: Request<Incoming>| pages.clone().call(request));
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.handshake_timeout)
        .max_header_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = &mut connection => return Ok(ended?),
        () = config.drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}
