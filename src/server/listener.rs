//! Accepts connections: each is counted, limited and served, and closed at the latest when the
//! drain times out. `grpc_connection`, `browser_connection` and `pages` know the protocols.

use super::error::Error;
use super::proxy_header;
use super::tls::{self, Encryption, HandshakeError, Protocols};
use crate::grpc::{ABANDONED_CALLS_LIMIT, AddressLimits, Peer, TrustedProxies};
use crate::metrics::{HandshakeFailure, Metrics};
use crate::repeated_log::RepeatedLog;
use std::error::{self, Error as _};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// Connections to a port for operators, such as for probes; one more is closed at once.
pub(super) const OPERATOR_CONNECTIONS_MAX: usize = 100;

/// The pause after a connection could not be accepted, for example for lack of file descriptors;
/// it doubles until one is.
const ACCEPT_RETRY_INTERVAL_MIN: Duration = Duration::from_millis(10);
const ACCEPT_RETRY_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// The limits and the timeouts of a port's connections.
#[derive(Clone)]
pub(super) struct ListenerConfig {
    /// The setting that holds the port's address.
    pub(super) port: &'static str,
    /// Open connections; one more is closed at once.
    pub(super) connections_max: usize,
    /// The setting that holds this limit.
    pub(super) limit: &'static str,
    /// The limits per client address, and the proxies that say what it is.
    pub(super) addresses: Arc<AddressLimits>,
    /// Streams per connection.
    pub(super) streams_max: u32,
    pub(super) is_encrypted: bool,
    /// How long a client may take for a PROXY header, the TLS handshake and to start HTTP.
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
            addresses: operator_limits(),
            is_encrypted: false,
            ..self.clone()
        }
    }
}

/// The limits per address of a port for operators: none but on all its connections.
pub(super) fn operator_limits() -> Arc<AddressLimits> {
    let proxies = TrustedProxies::default();
    Arc::new(AddressLimits::new(OPERATOR_CONNECTIONS_MAX, u32::MAX, proxies))
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
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Browser(Box<dyn error::Error + Send + Sync>),
    #[error("no HTTP within server.handshake_timeout")]
    HttpTimeout,
    #[error("the server is shutting down")]
    Draining,
    #[error("the client did not receive the end of its call within server.transfer_timeout")]
    TransferTimeout,
    #[error("the client abandoned too many calls ({ABANDONED_CALLS_LIMIT})")]
    TooManyAbandonedCalls,
}

impl ConnectionError {
    /// The setting of the limit for which the connection was closed.
    fn limit(&self) -> Option<&'static str> {
        matches!(self, Self::TooManyAbandonedCalls).then_some(ABANDONED_CALLS_LIMIT)
    }

    /// Whether the client broke the protocol. A client that disconnected did not.
    fn is_protocol_error(&self) -> bool {
        let error = match self {
            Self::Http(error) => Some(error),
            Self::Browser(error) => error.downcast_ref(),
            Self::HttpTimeout => return true,
            Self::Handshake(error) => {
                let failures = [HandshakeFailure::Protocol, HandshakeFailure::Timeout];
                return failures.contains(&error.failure);
            }
            Self::Socket(_)
            | Self::Draining
            | Self::TransferTimeout
            | Self::TooManyAbandonedCalls => None,
        };
        let Some(error) = error else { return false };
        let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
        error.is_parse() || cause.is_some_and(h2::Error::is_library)
    }

    fn handshake_failure(&self) -> Option<HandshakeFailure> {
        if let Self::Handshake(error) = self { Some(error.failure) } else { None }
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
        () = drain.cancelled() => return Err(ConnectionError::Draining),
        stream = Box::pin(handshake) => stream.map_err(|_| HandshakeError::TIMEOUT)??,
    };
    let peer = peer.with_certificate(tls::client_names(&stream));
    Ok((stream, peer))
}

/// What every connection to a port needs.
struct ConnectionServer<E> {
    config: ListenerConfig,
    metrics: Arc<Metrics>,
    /// Failures to accept a connection, and connections of proxies that fail.
    failures: RepeatedLog<Option<IpAddr>>,
    handshakes: RepeatedLog<(HandshakeFailure, IpAddr)>,
    each: E,
}

/// Accepts connections and serves each with `each`, until the server drains; then waits until every
/// connection has ended. `each` gets the time by which the client must have started HTTP.
pub(super) async fn serve<F, E>(
    listener: TcpListener,
    config: ListenerConfig,
    metrics: Arc<Metrics>,
    each: E,
) where
    F: Future<Output = Result<(), ConnectionError>> + Send + 'static,
    E: Fn(TcpStream, Peer, Instant) -> F + Send + Sync + 'static,
{
    let (failures, handshakes) = (RepeatedLog::default(), RepeatedLog::default());
    let server = Arc::new(ConnectionServer { config, metrics, failures, handshakes, each });
    let config = &server.config;
    let free = Arc::new(Semaphore::new(config.connections_max));
    let mut connections = JoinSet::new();
    let mut retry_interval = ACCEPT_RETRY_INTERVAL_MIN;
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
                server.log_accept_error(error);
                // A connection that waits is accepted once a file descriptor is free again.
                let _ = timeout(retry_interval, config.drain.cancelled()).await;
                retry_interval = ACCEPT_RETRY_INTERVAL_MAX.min(retry_interval.saturating_mul(2));
                continue;
            }
        };
        retry_interval = ACCEPT_RETRY_INTERVAL_MIN;
        match Arc::clone(&free).try_acquire_owned() {
            Ok(permit) => {
                let connection = Arc::clone(&server).serve_connection(stream, address.ip());
                connections.spawn(async move {
                    let _permit = permit;
                    connection.await;
                });
            }
            Err(_) => server.count_limit_hit(config.limit, address.ip()),
        }
    }
    drop(listener);
    tokio::select! {
        () = config.close.cancelled() => connections.shutdown().await,
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
}

impl<F, E> ConnectionServer<E>
where
    F: Future<Output = Result<(), ConnectionError>>,
    E: Fn(TcpStream, Peer, Instant) -> F,
{
    /// Serves a connection to its end, if its client is within its limits.
    async fn serve_connection(self: Arc<Self>, mut stream: TcpStream, from: IpAddr) {
        let config = &self.config;
        let deadline = Instant::now() + config.handshake_timeout;
        let mut client = from;
        if config.addresses.is_proxy(from) {
            // Boxed, since few connections have room for it.
            match Box::pin(self.read_client(&mut stream, deadline)).await {
                Ok(read) => client = read.unwrap_or(from),
                Err(ConnectionError::Draining) => return,
                Err(error) => return self.log_proxy_error(from, error),
            }
        }
        let admitted = match config.addresses.admit(client, config.streams_max) {
            Ok(admitted) => admitted,
            Err(limit) => return self.count_limit_hit(limit, client),
        };
        let _open = self.metrics.connections.open(config.port, config.is_encrypted);
        let ended = match stream.set_nodelay(true) {
            Ok(()) => (self.each)(stream, admitted.peer(), deadline).await,
            Err(error) => Err(error.into()),
        };
        let Err(error) = ended else { return };
        if error.is_protocol_error() {
            admitted.peer().count_protocol_error();
        }
        if let Some(limit) = error.limit() {
            self.count_limit_hit(limit, client);
        }
        if let Some(failure) = error.handshake_failure() {
            self.count_failed_handshake(failure, client);
        }
        tracing::debug!(address = %client, %error, "connection failed");
    }

    async fn read_client(
        &self,
        stream: &mut TcpStream,
        deadline: Instant,
    ) -> Result<Option<IpAddr>, ConnectionError> {
        tokio::select! {
            () = self.config.drain.cancelled() => Err(ConnectionError::Draining),
            read = timeout_at(deadline, proxy_header::read_client(stream)) => {
                Ok(read.map_err(|_| ConnectionError::HttpTimeout)??)
            }
        }
    }
}

impl<E> ConnectionServer<E> {
    /// Counts and logs that a connection is closed at a limit.
    fn count_limit_hit(&self, limit: &str, address: IpAddr) {
        self.metrics.calls.count_limit_hit(limit);
        self.config.addresses.log_limit(limit, address);
    }

    /// Counts and logs a failed TLS handshake. A client that only disconnects leaves no line: a
    /// probe of the port does that.
    fn count_failed_handshake(&self, failure: HandshakeFailure, address: IpAddr) {
        self.metrics.handshakes.count(failure);
        if failure == HandshakeFailure::Disconnected {
            return;
        }
        self.handshakes.write((failure, address), || {
            Box::new(move |times| {
                let reason = failure.name();
                tracing::warn!(%address, reason, times, "TLS handshake failed");
            })
        });
    }

    fn log_proxy_error(&self, proxy: IpAddr, error: ConnectionError) {
        self.failures.write(Some(proxy), || {
            Box::new(move |times| {
                tracing::warn!(%proxy, %error, times, "cannot read the PROXY header");
            })
        });
    }

    fn log_accept_error(&self, error: io::Error) {
        let port = self.config.port;
        self.failures.write(None, || {
            Box::new(move |times| {
                tracing::warn!(port, %error, times, "cannot accept a connection");
            })
        });
    }
}
