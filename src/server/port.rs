//! Ports: whoever comes is counted and served, every connection has an end, and those that are left are cut when the drain is
//! over. What is spoken on them, `connection`, `web` and `pages` know.

use super::tls::{self, Encryption, Inside};
use crate::grpc::{AddressLimits, Peer};
use crate::metrics::Metrics;
use std::error::{self, Error as _};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// After a connection could not be accepted, as when there are no file descriptors left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How connections begin and end.
#[derive(Clone)]
pub(super) struct ListenerConfig {
    /// The setting that says where the port is.
    pub(super) port: &'static str,
    /// Open connections; one more is closed at once.
    pub(super) connections_max: usize,
    /// The name of that limit.
    pub(super) limit: &'static str,
    /// Those of one address, and how much of what it asks for may come to nothing.
    pub(super) addresses: Arc<AddressLimits>,
    /// Streams of one connection.
    pub(super) streams_max: u32,
    /// Whether its connections are encrypted.
    pub(super) is_encrypted: bool,
    /// How long a client may take to agree on security, where connections are encrypted, and to begin to say what it wants.
    pub(super) handshake: Duration,
    /// From here on nothing begins: connections without a call are closed, others finish what is under way.
    pub(super) drain: CancellationToken,
    /// From here on every connection fails, whatever its client does.
    pub(super) cut: CancellationToken,
}

/// Why a connection has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Browser(Box<dyn error::Error + Send + Sync>),
    #[error("no TLS handshake or no HTTP in time")]
    Silent,
    #[error("too many of its calls came to nothing (server.abandoned_calls_per_second_max)")]
    Wasteful,
}

impl Error {
    /// Whether the client broke the protocol; one that has gone did not.
    fn is_breach(&self) -> bool {
        let Self::Http(error) = self else { return matches!(self, Self::Silent) };
        let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
        cause.is_some_and(h2::Error::is_library)
    }
}

/// Makes a connection an encrypted one, by this instant and unless the server drains; its peer is whom the certificate proves.
pub(super) async fn encrypt(
    stream: TcpStream,
    encryption: &Encryption,
    inside: Inside,
    by: Instant,
    drain: &CancellationToken,
    peer: Peer,
) -> Result<(TlsStream<TcpStream>, Peer), Error> {
    let handshake = timeout_at(by, encryption.accept(stream, inside));
    let stream = tokio::select! {
        () = drain.cancelled() => return Err(Error::Silent),
        stream = Box::pin(handshake) => stream.map_err(|_| Error::Silent)??,
    };
    let peer = peer.with_certificate(tls::client_names(&stream));
    Ok((stream, peer))
}

/// Has each connection served until told to drain, and then waits until each of them has ended.
pub(super) async fn serve<F>(
    listener: TcpListener,
    config: ListenerConfig,
    metrics: &Metrics,
    each: impl Fn(TcpStream, Peer) -> F,
) where
    F: Future<Output = Result<(), Error>> + Send + 'static,
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
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
            let (port, limit) = (config.port, config.limit);
            metrics.calls.count_limit_hit(limit);
            tracing::warn!(%address, port, limit, "too many connections; one more is closed");
            continue;
        };
        let admitted = match config.addresses.admit(address.ip(), config.streams_max) {
            Ok(admitted) => admitted,
            Err(rejected) => {
                let limit = rejected.limit();
                metrics.calls.count_limit_hit(limit);
                // Not louder: who is refused comes again at once.
                tracing::debug!(%address, limit, "one more connection is closed");
                continue;
            }
        };
        let open = metrics.connections.open(config.port, config.is_encrypted);
        let begun = stream.set_nodelay(true).map(|()| each(stream, admitted.peer()));
        connections.spawn(async move {
            let _places = (permit, open);
            let ended = match begun {
                Ok(served) => served.await,
                Err(error) => Err(Error::from(error)),
            };
            if let Err(error) = ended {
                if error.is_breach() {
                    admitted.peer().record_protocol_error();
                }
                tracing::debug!(%address, %error, "a connection has failed");
            }
        });
    }
    drop(listener);
    tokio::select! {
        () = config.cut.cancelled() => connections.shutdown().await,
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
}
