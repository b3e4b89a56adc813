//! Connections, each with an end: counted, dropped when they do not speak HTTP/2 in time, cut when the drain is over.
//!
//! They are served by hyper itself and not by tonic's server, since a connection's turns must be seen: at the end of each, the
//! [`Socket`] writes what the turn has to say.

use super::keys::Keys;
use super::socket::Socket;
use super::tls;
use crate::grpc::{self, Addresses, Peer, TooMany};
use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::service::Routes;

/// How many bytes a client sends before anything else: `PRI * HTTP/2.0` and some empty lines.
const PREFACE_BYTES: u64 = 24;
/// After a connection could not be accepted, as when there are no file descriptors left.
pub(super) const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// HTTP/2 pings to a silent client, so that a dead one is noticed.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls of one connection besides its streams. Streams are refused by name; over this a client would wait unknowingly.
pub(super) const CALLS_PER_CONNECTION: u32 = 100;

/// How connections begin and end.
#[derive(Clone)]
pub(super) struct Ends {
    /// Open connections; one more is closed at once.
    pub(super) connections_max: usize,
    /// Those of one address, and how much of what it asks for may come to nothing.
    pub(super) addresses: Arc<Addresses>,
    /// Streams of one connection.
    pub(super) streams_max: u32,
    /// How long a client may take to agree on keys, where connections are encrypted, and to send the preface of HTTP/2.
    pub(super) handshake: Duration,
    /// From here on nothing begins: connections without a preface are closed, others finish what is under way.
    pub(super) drain: CancellationToken,
    /// From here on every connection fails, whatever its client does.
    pub(super) cut: CancellationToken,
}

/// Serves connections until told to drain, and then until each of them has ended.
pub(super) async fn serve(listener: TcpListener, ends: Ends, keys: Keys, routes: Routes) {
    let free = Arc::new(Semaphore::new(ends.connections_max));
    let calls = Calls(TaskTracker::new());
    let http2 = http2(calls.clone(), ends.streams_max);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = ends.drain.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
            tracing::warn!(%address, limit = "server.connections_max", "too many connections; one more is closed");
            continue;
        };
        let arrival = match ends.addresses.arrive(address.ip(), ends.streams_max) {
            Ok(arrival) => arrival,
            Err(too_many) => {
                refuse(address, too_many);
                continue;
            }
        };
        let (http2, ends) = (http2.clone(), ends.clone());
        let (keys, routes) = (keys.clone(), routes.clone());
        connections.spawn(async move {
            let _permit = permit;
            let by = Instant::now() + ends.handshake;
            let peer = arrival.peer();
            let ended = match stream.set_nodelay(true) {
                Ok(()) => begin(stream, by, Connection { http2, ends, keys, routes }, peer).await,
                Err(error) => Err(Error::from(error)),
            };
            if let Err(error) = ended {
                if error.is_breach() {
                    arrival.peer().has_breached();
                }
                tracing::debug!(%address, %error, "a connection has failed");
            }
        });
    }
    drop(listener);
    tokio::select! {
        () = ends.cut.cancelled() => connections.shutdown().await,
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
    // Their connections are gone, and so they end.
    calls.0.close();
    calls.0.wait().await;
}

/// Said as rarely as it must be: who is refused comes again at once.
pub(super) fn refuse(address: SocketAddr, too_many: TooMany) {
    let limit = match too_many {
        TooMany::Connections => "server.connections_per_address_max",
        TooMany::Wasted => "server.wasted_calls_per_second_max",
    };
    tracing::debug!(%address, limit, "one more connection is closed");
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
    ends: Ends,
    keys: Keys,
    routes: Routes,
}

/// Agrees on keys, where connections are encrypted, and serves a connection to its end.
///
/// Boxed one by one: a connection in the clear holds nothing of what TLS needs, nor an encrypted one its handshake.
fn begin(
    stream: TcpStream,
    by: Instant,
    connection: Connection,
    peer: Peer,
) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
    let Some(encryption) = connection.keys.encryption.clone() else {
        return Box::pin(connection.run(stream, by, peer));
    };
    Box::pin(async move {
        let handshake = timeout_at(by, encryption.accept(stream));
        let stream = tokio::select! {
            () = connection.ends.drain.cancelled() => return Err(Error::Silent),
            stream = Box::pin(handshake) => stream.map_err(|_| Error::Silent)??,
        };
        let peer = peer.proved(tls::client_names(&stream));
        Box::pin(connection.run(stream, by, peer)).await
    })
}

impl Connection {
    /// Serves one connection, whose client speaks HTTP/2 by then, to its end.
    async fn run<S>(self, stream: S, by: Instant, peer: Peer) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self { http2, ends, keys, routes } = self;
        let this = peer.clone();
        let socket = Socket::new(stream);
        let service = service_fn(move |request: Request<Incoming>| {
            let (routes, gate, peer) = (routes.clone(), Arc::clone(&keys.gate), peer.clone());
            let request = request.map(Body::new);
            // Boxed: what it takes is given back once a stream has begun.
            let answer = Box::pin(async move { grpc::answer(routes, &gate, peer, request).await });
            async { Ok::<_, Infallible>(answer.await) }
        });
        let mut connection = pin!(http2.serve_connection(TokioIo::new(socket.clone()), service));
        let mut silence = Box::pin(silence(&socket, by, &ends.drain));
        let mut is_draining = false;
        loop {
            let turn = poll_fn(|context| {
                let ended = connection.as_mut().poll(context);
                if this.is_wasteful() {
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
                () = ends.drain.cancelled(), if !is_draining => {
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

/// Why a connection has failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
    #[error("no TLS handshake or no HTTP/2 preface in time")]
    Silent,
    #[error("too many of its calls came to nothing (server.wasted_calls_per_second_max)")]
    Wasteful,
}

impl Error {
    /// Whether the client broke the protocol; one that has gone did not.
    fn is_breach(&self) -> bool {
        let Self::Http2(error) = self else { return matches!(self, Self::Silent) };
        let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
        cause.is_some_and(h2::Error::is_library)
    }
}
