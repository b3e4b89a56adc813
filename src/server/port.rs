//! Ports: whoever comes is counted and served, every connection has an end, and those that are left are cut when the drain is
//! over. What is spoken on them, `connection` and `pages` know.

use crate::metrics::Metrics;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// After a connection could not be accepted, as when there are no file descriptors left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How connections begin and end.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// The setting that says where the port is.
    pub(super) port: &'static str,
    /// Open connections; one more is closed at once.
    pub(super) connections_max: usize,
    /// The name of that limit.
    pub(super) limit: &'static str,
    /// Whether its connections are encrypted.
    pub(super) is_encrypted: bool,
    /// How long a client may take to agree on keys, where connections are encrypted, and to begin to say what it wants.
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
    #[error("no TLS handshake or no HTTP in time")]
    Silent,
    #[error("too many of its calls came to nothing (server.wasted_calls_per_second_max)")]
    Wasteful,
}

/// Has each connection served until told to drain, and then waits until each of them has ended. Where `each` gives the name of a
/// limit instead, the connection is closed at once.
pub(super) async fn serve<F>(
    listener: TcpListener,
    ends: Ends,
    metrics: &Metrics,
    each: impl Fn(TcpStream, SocketAddr) -> Result<F, &'static str>,
) where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(ends.connections_max));
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
            let (port, limit) = (ends.port, ends.limit);
            metrics.calls.hit(limit);
            tracing::warn!(%address, port, limit, "too many connections; one more is closed");
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "a connection has failed");
            continue;
        }
        let served = match each(stream, address) {
            Ok(served) => served,
            Err(limit) => {
                metrics.calls.hit(limit);
                // Said as rarely as it must be: who is refused comes again at once.
                tracing::debug!(%address, limit, "one more connection is closed");
                continue;
            }
        };
        let open = metrics.connections.open(ends.port, ends.is_encrypted);
        connections.spawn(async move {
            let _places = (permit, open);
            let ended = served.await;
            if let Err(error) = ended {
                tracing::debug!(%address, %error, "a connection has failed");
            }
        });
    }
    drop(listener);
    tokio::select! {
        () = ends.cut.cancelled() => connections.shutdown().await,
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
}
