//! Accepts connections: each is counted, limited and served, and closed at the latest when the
//! drain times out. `grpc_connection`, `browser_connection` and `pages` know the protocols.

use super::error::Error;
use super::tls::{self, Encryption, Protocols};
use crate::grpc::{AddressLimits, Peer};
use crate::metrics::Metrics;
use std::error::{self, Error as _};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// Connections to a port for operators, such as for probes; one more is closed at once.
pub(super) const OPERATOR_CONNECTIONS_MAX: usize = 100;

/// The pause after a connection could not be accepted, for example for lack of file descriptors.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The limits and the timeouts of a port's connections.
#[derive(Clone)]
pub(super) struct ListenerConfig {
    /// The setting that holds the port's address.
    pub(super) port: &'static str,
    /// Open connections; one more is closed at once.
    pub(super) connections_max: usize,
    /// The setting that holds this limit.
    pub(super) limit: &'static str,
    /// The limits per client address.
    pub(super) addresses: Arc<AddressLimits>,
    /// Streams per connection.
    pub(super) streams_max: u32,
    pub(super) is_encrypted: bool,
    /// How long a client may take for the TLS handshake and to start HTTP.
    pub(super) handshake_timeout: Duration,
    /// From here on no call starts: idle connections are closed, others finish their calls.
    pub(super) drain: CancellationToken,
    /// From here on every connection is closed.
    pub(super) close: CancellationToken,
}

impl ListenerConfig {
    /// An unencrypted port for operators, beside this one. It counts addresses on its own: a probe
    /// may share its address with a hostile client.
    pub(super) fn for_operators(&self, port: &'static str) -> Self {
        Self {
            port,
            connections_max: OPERATOR_CONNECTIONS_MAX,
            limit: port,
            addresses: Arc::new(AddressLimits::new(OPERATOR_CONNECTIONS_MAX, u32::MAX)),
            is_encrypted: false,
            ..self.clone()
        }
    }
}

/// Listens on a port besides the main one, if it has an address.
pub(super) async fn bind(
    port: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, Error> {
    let Some(address) = address else { return Ok(None) };
    let failed = |cause| Error::Port { port, address, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(port, %address, "port opened");
    Ok(Some(listener))
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Browser(Box<dyn error::Error + Send + Sync>),
    #[error("no TLS handshake or no HTTP within server.handshake_timeout")]
    HandshakeTimeout,
    #[error("the client did not receive the end of its call within server.call_end_timeout")]
    CallEndTimeout,
    #[error("the client abandoned too many calls (server.abandoned_calls_per_second_max)")]
    TooManyAbandonedCalls,
}

impl ConnectionError {
    /// Whether the client broke the protocol. A client that disconnected did not.
    fn is_protocol_error(&self) -> bool {
        let Self::Http(error) = self else { return matches!(self, Self::HandshakeTimeout) };
        let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
        cause.is_some_and(h2::Error::is_library)
    }
}

/// Performs the TLS handshake, until `deadline` or until the server drains. The returned peer has
/// the names of the client certificate.
pub(super) async fn encrypt(
    stream: TcpStream,
    encryption: &Encryption,
    protocols: Protocols,
    deadline: Instant,
    drain: &CancellationToken,
    peer: Peer,
) -> Result<(TlsStream<TcpStream>, Peer), ConnectionError> {
    let handshake = timeout_at(deadline, encryption.accept(stream, protocols));
    let stream = tokio::select! {
        () = drain.cancelled() => return Err(ConnectionError::HandshakeTimeout),
        stream = Box::pin(handshake) => stream.map_err(|_| ConnectionError::HandshakeTimeout)??,
    };
    let peer = peer.with_certificate(tls::client_names(&stream));
    Ok((stream, peer))
}

/// Accepts connections and serves each with `each`, until the server drains; then waits until every
/// connection has ended.
pub(super) async fn serve<F>(
    listener: TcpListener,
    config: ListenerConfig,
    metrics: &Metrics,
    each: impl Fn(TcpStream, Peer) -> F,
) where
    F: Future<Output = Result<(), ConnectionError>> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(config.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = config.drain.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_RETRY_INTERVAL).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
            let (port, limit) = (config.port, config.limit);
            metrics.calls.count_limit_hit(limit);
            tracing::warn!(%address, port, limit, "too many connections, closing the new one");
            continue;
        };
        let admitted = match config.addresses.admit(address.ip(), config.streams_max) {
            Ok(admitted) => admitted,
            Err(rejected) => {
                let limit = rejected.limit();
                metrics.calls.count_limit_hit(limit);
                // Only at debug level: a rejected client reconnects at once.
                tracing::debug!(%address, limit, "address limit reached, closing the new connection");
                continue;
            }
        };
        let open = metrics.connections.open(config.port, config.is_encrypted);
        let begun = stream.set_nodelay(true).map(|()| each(stream, admitted.peer()));
        connections.spawn(async move {
            let _counted = (permit, open);
            let ended = match begun {
                Ok(served) => served.await,
                Err(error) => Err(ConnectionError::from(error)),
            };
            if let Err(error) = ended {
                if error.is_protocol_error() {
                    admitted.peer().record_protocol_error();
                }
                tracing::debug!(%address, %error, "connection failed");
            }
        });
    }
    drop(listener);
    tokio::select! {
        () = config.close.cancelled() => connections.shutdown().await,
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
}
