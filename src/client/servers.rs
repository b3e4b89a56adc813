//! Where to connect to.

use std::sync::Arc;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// Window of one stream: small, so that an unread stream cannot take the connection's window from the others.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Window of the connection.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The largest frame: with the protocol's default of 16 KiB, a server needs four times as many to send history.
const FRAME_BYTES: u32 = 64 * 1024;
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
        "no connection to {addresses}; is a server running there? start one with `lodewatch serve`"
    )]
    Connect {
        /// As given, with commas where they are several.
        addresses: String,
        /// Why the last of them could not be reached.
        source: tonic::transport::Error,
    },
}

/// Servers of one journal, at least one; any of them will do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Servers(Arc<[Server]>);

#[derive(Debug)]
struct Server {
    address: String,
    endpoint: Endpoint,
}

impl Servers {
    /// Reads `HOST:PORT` or `http://HOST:PORT`; several in one text are separated by commas.
    ///
    /// # Errors
    ///
    /// Where one is no address, or there is none.
    pub fn parse<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let parts = addresses.into_iter().flat_map(|address| address.split(','));
        let servers = parts.map(|part| server(part.trim())).collect::<Result<Arc<[_]>, _>>()?;
        if servers.is_empty() {
            return Err(Error::Address { address: String::new() });
        }
        Ok(Self(servers))
    }

    /// A connection to the first that answers.
    ///
    /// # Errors
    ///
    /// When nobody answers within five seconds each.
    pub async fn connect(&self) -> Result<Channel, Error> {
        let mut failed = None;
        for server in &*self.0 {
            match server.endpoint.connect().await {
                Ok(channel) => return Ok(channel),
                Err(error) => failed = Some(error),
            }
        }
        let addresses: Vec<&str> = self.0.iter().map(|server| server.address.as_str()).collect();
        let source = failed.expect("there is at least one server");
        Err(Error::Connect { addresses: addresses.join(", "), source })
    }

    /// The server whose turn it is; turns go round.
    pub(super) fn turn(&self, turn: usize) -> &Endpoint {
        let at = turn.checked_rem(self.0.len()).expect("there is at least one server");
        &self.0.get(at).expect("a remainder is less").endpoint
    }
}

/// Connects to `HOST:PORT` or `http://HOST:PORT`, or to the first that answers of several with commas between.
///
/// # Errors
///
/// When the address is none, or nobody answers within five seconds.
pub async fn connect(address: &str) -> Result<Channel, Error> {
    Servers::parse([address])?.connect().await
}

fn server(address: &str) -> Result<Server, Error> {
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
        .max_frame_size(FRAME_BYTES)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .tcp_nodelay(true);
    Ok(Server { address: address.to_owned(), endpoint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_one_by_one_or_with_commas() {
        let servers = Servers::parse(["a:1, http://b:2", "[::1]:3"]).unwrap();
        let uris: Vec<String> = (0..4).map(|turn| servers.turn(turn).uri().to_string()).collect();
        assert_eq!(uris, ["http://a:1/", "http://b:2/", "http://[::1]:3/", "http://a:1/"]);
        for bad in ["", "host", "a:1,", "a:1,b", "://", "a:99999"] {
            assert!(matches!(Servers::parse([bad]), Err(Error::Address { .. })), "{bad}");
        }
        assert!(Servers::parse([]).is_err());
    }
}
