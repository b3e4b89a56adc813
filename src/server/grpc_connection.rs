//! gRPC connections: closed if they do not start HTTP/2 in time.
//!
//! They are served by hyper and not by tonic's server, because the end of each poll of a connection
//! must be visible: the [`CorkedSocket`] then writes the frames of that poll.

use super::listener::{self, ConnectionError, ListenerConfig};
use super::socket::CorkedSocket;
use super::tls::{Encryption, Protocols};
use crate::grpc::{self, GatedServices, Peer};
use crate::metrics::Metrics;
use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;

/// Size of what an HTTP/2 client sends first: `PRI * HTTP/2.0` and some empty lines.
const PREFACE_BYTES: u64 = 24;
/// HTTP/2 pings detect clients that are gone.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls of one connection besides its streams. A stream over its limit is rejected with a reason;
/// over this limit of HTTP/2 a client waits without notice.
pub(super) const CALLS_PER_CONNECTION: u32 = 100;

/// Serves connections until the server drains and every connection has ended.
pub(super) async fn serve(
    listener: TcpListener,
    config: ListenerConfig,
    encryption: Option<Arc<Encryption>>,
    services: GatedServices,
    metrics: Arc<Metrics>,
) {
    let executor = CallExecutor::default();
    let http2 = http2_builder(executor.clone(), config.streams_max);
    let settings = config.clone();
    let each = move |stream, peer, deadline| {
        let connection = GrpcConnection {
            http2: http2.clone(),
            config: settings.clone(),
            encryption: encryption.clone(),
            services: services.clone(),
        };
        serve_connection(stream, deadline, connection, peer)
    };
    listener::serve(listener, config, metrics, each).await;
    // The connections have ended, so the calls end as well.
    executor.0.close();
    executor.0.wait().await;
}

fn http2_builder(executor: CallExecutor, streams: u32) -> Builder<CallExecutor> {
    let mut http2 = Builder::new(executor);
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(streams.saturating_add(CALLS_PER_CONNECTION));
    http2
}

/// Runs calls, each until its end is overdue, and waits until all have ended.
#[derive(Clone, Default)]
pub(super) struct CallExecutor(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for CallExecutor {
    fn execute(&self, call: F) {
        self.0.spawn(grpc::run_call(call));
    }
}

/// What serves one connection.
struct GrpcConnection {
    http2: Builder<CallExecutor>,
    config: ListenerConfig,
    encryption: Option<Arc<Encryption>>,
    services: GatedServices,
}

/// Performs the TLS handshake, if connections are encrypted, and serves a connection to its end.
///
/// Each step is boxed, to save memory per connection: an unencrypted connection has no room for
/// TLS, and an encrypted one frees that of its handshake.
fn serve_connection(
    stream: TcpStream,
    deadline: Instant,
    connection: GrpcConnection,
    peer: Peer,
) -> Pin<Box<dyn Future<Output = Result<(), ConnectionError>> + Send>> {
    let Some(encryption) = connection.encryption.clone() else {
        return Box::pin(connection.run(stream, deadline, peer));
    };
    Box::pin(async move {
        let (drain, protocols) = (&connection.config.drain, Protocols::Http2);
        let encrypted = listener::encrypt(stream, &encryption, protocols, deadline, drain, peer);
        let (stream, peer) = encrypted.await?;
        Box::pin(connection.run(stream, deadline, peer)).await
    })
}

impl GrpcConnection {
    /// Serves one connection to its end. The client must start HTTP/2 before `deadline`.
    async fn run<S>(self, stream: S, deadline: Instant, peer: Peer) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self { http2, config, services, .. } = self;
        let connection_peer = peer.clone();
        let socket = CorkedSocket::new(stream);
        let service = service_fn(move |request: Request<Incoming>| {
            // Boxed, so that its memory is freed once a stream has started.
            let response = Box::pin(services.clone().answer(peer.clone(), request.map(Body::new)));
            async { Ok::<_, Infallible>(response.await) }
        });
        let mut connection = pin!(http2.serve_connection(TokioIo::new(socket.clone()), service));
        let mut no_preface = Box::pin(no_preface(&socket, deadline, &config.drain));
        let mut is_draining = false;
        loop {
            let turn = poll_fn(|context| {
                let ended = connection.as_mut().poll(context);
                if connection_peer.should_close() {
                    return Poll::Ready(Err(ConnectionError::TooManyAbandonedCalls));
                }
                if ended.is_pending() {
                    ready!(socket.end_turn(context))?;
                }
                ended.map_err(ConnectionError::from)
            });
            tokio::select! {
                biased;
                ended = turn => return ended,
                () = config.drain.cancelled(), if !is_draining => {
                    is_draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = &mut no_preface => return Err(ConnectionError::HttpTimeout),
            }
        }
    }
}

/// Returns at the deadline if the client has not started HTTP/2 by then; otherwise never.
async fn no_preface<S>(socket: &CorkedSocket<S>, deadline: Instant, drain: &CancellationToken) {
    tokio::select! {
        () = sleep_until(deadline) => {}
        () = drain.cancelled() => {}
    }
    if socket.bytes_read() >= PREFACE_BYTES {
        std::future::pending::<()>().await;
    }
}
