//! The other end of the wire: a connection made for streams, and a subscription that resumes by itself.

mod subscription;

pub use subscription::{Resumed, Subscription};

use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// Window of one stream: small, so that an unread stream cannot take the connection's window from the others.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Window of the connection.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address.
    #[error("{address:?} is not an address; write HOST:PORT or http://HOST:PORT")]
    Address {
        /// As given.
        address: String,
    },
    /// Nobody answers.
    #[error(
        "no connection to {address}; is a server running there? start one with `lodewatch serve`"
    )]
    Connect {
        /// As given.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
}

/// Connects to `HOST:PORT` or `http://HOST:PORT`.
///
/// # Errors
///
/// When the address is none, or nobody answers within five seconds.
pub async fn connect(address: &str) -> Result<Channel, Error> {
    let unreadable = || Error::Address { address: address.to_owned() };
    let uri =
        if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let endpoint = Endpoint::from_shared(uri).map_err(|_| unreadable())?;
    if endpoint.uri().port().is_none() {
        return Err(unreadable());
    }
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .tcp_nodelay(true);
    endpoint
        .connect()
        .await
        .map_err(|source| Error::Connect { address: address.to_owned(), source })
}
