//! Pages over HTTP/1.1, for operators, on ports of their own.
//!
//! A client that sends nothing, sends slowly, or takes nothing of an answer is let go: each of these may take as long as a
//! handshake, and so may a connection that is kept for another request.

use super::port::{self, Error, ListenerConfig};
use super::{OPERATORS_MAX, bind};
use crate::grpc::AddressLimits;
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

/// The headers of a request, in bytes; one with more is refused with 431.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Where no setting says it: how long a connection may take to begin, and to take what it asked for.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves connections, in the clear, until told to drain, and then until each of them has ended.
pub(super) async fn serve(
    listener: TcpListener,
    config: ListenerConfig,
    pages: Router,
    metrics: Arc<Metrics>,
) {
    let begun = config.clone();
    let each = move |stream, _| run(stream, begun.clone(), pages.clone());
    port::serve(listener, config, &metrics, each).await;
}

/// Serves pages of a process that is no server, where its flag says, for as long as it lives.
///
/// # Errors
///
/// Where the port cannot be had.
pub async fn serve_alone(
    flag: &'static str,
    address: SocketAddr,
    pages: Router,
) -> Result<impl Future<Output = ()>, super::Error> {
    let listener = bind(flag, Some(address)).await?.expect("there is an address");
    let config = ListenerConfig {
        port: flag,
        connections_max: OPERATORS_MAX,
        limit: flag,
        addresses: Arc::new(AddressLimits::new(OPERATORS_MAX, u32::MAX)),
        streams_max: 1,
        is_encrypted: false,
        handshake: HANDSHAKE,
        drain: CancellationToken::new(),
        cut: CancellationToken::new(),
    };
    // Its own connections are not among what it tells.
    Ok(serve(listener, config, pages, Arc::new(Metrics::new([]))))
}

async fn run(stream: TcpStream, config: ListenerConfig, pages: Router) -> Result<(), Error> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(config.handshake));
    let service = service_fn(|request: Request<Incoming>| pages.clone().call(request));
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.handshake)
        .max_header_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = &mut connection => return Ok(ended?),
        () = config.drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}
