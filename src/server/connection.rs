//! Connections of gRPC: dropped when they do not speak HTTP/2 in time.
//!
//! They are served by hyper itself and not by tonic's server, since a connection's turns must be seen: at the end of each, the
//! [`Socket`] writes what the turn has to say.

use super::keys::ListenerSecurity;
use super::port::{self, Error, ListenerConfig};
use super::socket::Socket;
use super::tls::Inside;
use crate::grpc::{self, Peer};
use crate::metrics::{self, Metrics};
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
use tonic::service::Routes;

/// How many bytes a client sends before anything else: `PRI * HTTP/2.0` and some empty lines.
const PREFACE_BYTES: u64 = 24;
/// HTTP/2 pings to a silent client, so that a dead one is noticed.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls of one connection besides its streams. Streams are refused by name; over this a client would wait unknowingly.
pub(super) const CALLS_PER_CONNECTION: u32 = 100;

/// Serves connections until told to drain, and then until each of them has ended.
pub(super) async fn serve(
    listener: TcpListener,
    config: ListenerConfig,
    security: ListenerSecurity,
    routes: Routes,
    metrics: Arc<Metrics>,
) {
    let calls = Calls(TaskTracker::new());
    let http2 = http2(calls.clone(), config.streams_max);
    let (begun, counts) = (config.clone(), Arc::clone(&metrics.calls));
    let each = move |stream, peer| {
        let by = Instant::now() + begun.handshake;
        let (http2, config) = (http2.clone(), begun.clone());
        let (security, routes, counted) = (security.clone(), routes.clone(), Arc::clone(&counts));
        begin(stream, by, Connection { http2, config, security, routes, counted }, peer)
    };
    port::serve(listener, config, &metrics, each).await;
    // Their connections are gone, and so they end.
    calls.0.close();
    calls.0.wait().await;
}

fn http2(calls: Calls, streams: u32) -> Builder<Calls> {
    let mut http2 = Builder::new(calls);
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(streams.saturating_add(CALLS_PER_CONNECTION));
    http2
}

/// Runs calls, and knows when all have ended.
#[derive(Clone)]
struct Calls(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Calls {
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}

/// What serves a connection.
struct Connection {
    http2: Builder<Calls>,
    config: ListenerConfig,
    security: ListenerSecurity,
    routes: Routes,
    counted: Arc<metrics::CallMetrics>,
}

/// Agrees on security, where connections are encrypted, and serves a connection to its end.
///
/// Boxed one by one: a connection in the clear holds nothing of what TLS needs, nor an encrypted one its handshake.
fn begin(
    stream: TcpStream,
    by: Instant,
    connection: Connection,
    peer: Peer,
) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
    let Some(encryption) = connection.security.encryption.clone() else {
        return Box::pin(connection.run(stream, by, peer));
    };
    Box::pin(async move {
        let drain = &connection.config.drain;
        let encrypted = port::encrypt(stream, &encryption, Inside::Http2, by, drain, peer);
        let (stream, peer) = encrypted.await?;
        Box::pin(connection.run(stream, by, peer)).await
    })
}

impl Connection {
    /// Serves one connection, whose client speaks HTTP/2 by then, to its end.
    async fn run<S>(self, stream: S, by: Instant, peer: Peer) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self { http2, config, security, routes, counted } = self;
        let this = peer.clone();
        let socket = Socket::new(stream);
        let service = service_fn(move |request: Request<Incoming>| {
            let (routes, gate, peer) = (routes.clone(), Arc::clone(&security.gate), peer.clone());
            let calls = Arc::clone(&counted);
            let request = request.map(Body::new);
            // Boxed: what it takes is given back once a stream has begun.
            let answer =
                Box::pin(
                    async move { grpc::handle_call(routes, &gate, &calls, peer, request).await },
                );
            async { Ok::<_, Infallible>(answer.await) }
        });
        let mut connection = pin!(http2.serve_connection(TokioIo::new(socket.clone()), service));
        let mut silence = Box::pin(silence(&socket, by, &config.drain));
        let mut is_draining = false;
        loop {
            let turn = poll_fn(|context| {
                let ended = connection.as_mut().poll(context);
                if this.should_close() {
                    return Poll::Ready(Err(Error::Wasteful));
                }
                if ended.is_pending() {
                    ready!(socket.end_turn(context))?;
                }
                ended.map_err(Error::from)
            });
            tokio::select! {
                biased;
                ended = turn => return ended,
                () = config.drain.cancelled(), if !is_draining => {
                    is_draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = &mut silence => return Err(Error::Silent),
            }
        }
    }
}

/// Waits until the client should have said that it speaks HTTP/2; for ever where it has.
async fn silence<S>(socket: &Socket<S>, by: Instant, drain: &CancellationToken) {
    tokio::select! {
        () = sleep_until(by) => {}
        () = drain.cancelled() => {}
    }
    if socket.read() >= PREFACE_BYTES {
        std::future::pending::<()>().await;
    }
}
