//! Where to connect to.

use super::credentials::{Bearer, Credentials};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
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
    #[error(
        "{address:?} is not an address; write HOST:PORT, http://HOST:PORT or https://HOST:PORT"
    )]
    Address {
        /// As given.
        address: String,
    },
    /// The token is none.
    #[error("a token is one word of printable characters")]
    Token,
    /// Authorities, certificate or key cannot be used.
    #[error("the connection cannot be encrypted as asked for")]
    Tls(#[source] tonic::transport::Error),
    /// Nobody answers.
    #[error("no connection to {addresses}: {why}; {}", advice(why))]
    Connect {
        /// As given, with commas where they are several.
        addresses: String,
        /// Why the last of them could not be reached.
        why: String,
    },
}

/// Servers of one journal, at least one; any of them will do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Servers {
    all: Arc<[Server]>,
    bearer: Bearer,
}

#[derive(Debug)]
struct Server {
    address: String,
    endpoint: Endpoint,
}

/// A connection whose calls show who makes them.
pub type Connection = InterceptedService<Channel, Bearer>;

impl Servers {
    /// Reads `HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`; several in one text are separated by commas. Who calls, they
    /// are not told.
    ///
    /// # Errors
    ///
    /// Where one is no address, or there is none.
    pub fn parse<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        Self::parse_for(addresses, Credentials::default())
    }

    /// The same, for calls that show who makes them. `HOST:PORT` means `https://` where there is anything to show or an
    /// authority to trust, but for a token that does not leave this machine.
    ///
    /// # Errors
    ///
    /// Where one is no address, or there is none, or the credentials cannot be used.
    pub fn parse_for<'a>(
        addresses: impl IntoIterator<Item = &'a str>,
        credentials: Credentials,
    ) -> Result<Self, Error> {
        let parts = addresses.into_iter().flat_map(|address| address.split(','));
        let servers = parts.map(|part| server(part.trim(), &credentials));
        let all = servers.collect::<Result<Arc<[_]>, _>>()?;
        if all.is_empty() {
            return Err(Error::Address { address: String::new() });
        }
        Ok(Self { all, bearer: credentials.bearer })
    }

    /// A connection to the first that answers.
    ///
    /// # Errors
    ///
    /// When nobody answers within five seconds each.
    pub async fn connect(&self) -> Result<Connection, Error> {
        self.channel().await.map(|channel| self.showing(channel))
    }

    /// The same, whose calls show nothing.
    ///
    /// # Errors
    ///
    /// When nobody answers within five seconds each.
    pub async fn channel(&self) -> Result<Channel, Error> {
        let mut failed = None;
        for server in &*self.all {
            match server.endpoint.connect().await {
                Ok(channel) => return Ok(channel),
                Err(error) => failed = Some(error),
            }
        }
        let failed = failed.expect("there is at least one server");
        Err(unreached(self.to_string(), &failed))
    }

    /// A connection to the server whose turn it is; turns go round.
    pub(super) async fn connect_turn(&self, turn: usize) -> Result<Connection, Error> {
        let Server { address, endpoint } = self.turn(turn);
        let connected = endpoint.connect().await.map(|channel| self.showing(channel));
        connected.map_err(|error| unreached(address.clone(), &error))
    }

    fn turn(&self, turn: usize) -> &Server {
        let at = turn.checked_rem(self.all.len()).expect("there is at least one server");
        self.all.get(at).expect("a remainder is less")
    }

    fn showing(&self, channel: Channel) -> Connection {
        InterceptedService::new(channel, self.bearer.clone())
    }
}

/// Their addresses as given, with commas where they are several.
impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<&str> = self.all.iter().map(|server| server.address.as_str()).collect();
        f.write_str(&addresses.join(", "))
    }
}

/// Connects to `HOST:PORT` or `http://HOST:PORT`, or to the first that answers of several with commas between, without
/// credentials.
///
/// # Errors
///
/// When the address is none, or nobody answers within five seconds.
pub async fn connect(address: &str) -> Result<Channel, Error> {
    Servers::parse([address])?.channel().await
}

fn server(address: &str, credentials: &Credentials) -> Result<Server, Error> {
    let unreadable = || Error::Address { address: address.to_owned() };
    let uri = if address.contains("://") {
        address.to_owned()
    } else {
        let plain = Endpoint::from_shared(format!("http://{address}")).map_err(|_| unreadable())?;
        let is_local = plain.uri().host().is_some_and(is_loopback);
        let scheme = if credentials.want_tls(is_local) { "https" } else { "http" };
        format!("{scheme}://{address}")
    };
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
    let endpoint = match endpoint.uri().scheme_str() {
        Some("https") => endpoint.tls_config(credentials.tls()).map_err(Error::Tls)?,
        _ => endpoint,
    };
    Ok(Server { address: address.to_owned(), endpoint })
}

/// Nobody answers at these addresses, for what is at the bottom of an error; what is above it says no more than that there is one.
fn unreached(addresses: String, error: &dyn std::error::Error) -> Error {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Error::Connect { addresses, why: cause.to_string() }
}

/// What to do where there is no connection, by the words of the libraries underneath.
fn advice(why: &str) -> &'static str {
    if why.contains("InvalidContentType") {
        "what answers there does not speak TLS: write http://HOST:PORT, or leave out the authority and the certificate"
    } else if why.contains("UnknownIssuer") {
        "name the authority of its certificate with --ca"
    } else if why.contains("invalid peer certificate") {
        "its certificate has to be valid, and for the name in the address"
    } else if why.contains("reset by peer") {
        "what answers there hung up: https:// is for servers with TLS, http:// for those without"
    } else if why.contains("failed to lookup address") {
        "is the host's name right?"
    } else {
        "is a server running there? start one with `lodewatch serve`"
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_one_by_one_or_with_commas() {
        let servers = Servers::parse(["a:1, http://b:2", "[::1]:3"]).unwrap();
        let uris: Vec<String> =
            (0..4).map(|turn| servers.turn(turn).endpoint.uri().to_string()).collect();
        assert_eq!(uris, ["http://a:1/", "http://b:2/", "http://[::1]:3/", "http://a:1/"]);
        for bad in ["", "host", "a:1,", "a:1,b", "://", "a:99999"] {
            assert!(matches!(Servers::parse([bad]), Err(Error::Address { .. })), "{bad}");
        }
        assert!(Servers::parse([]).is_err());
    }

    #[test]
    fn a_token_leaves_this_machine_only_encrypted_unless_told_otherwise() {
        let uris = |credentials: Credentials| {
            let addresses = "far:1,127.0.0.1:2,[::1]:3,localhost:4,http://far:5";
            let servers = Servers::parse_for([addresses], credentials).unwrap();
            (0..5)
                .map(|turn| servers.turn(turn).endpoint.uri().to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let token = Credentials { bearer: Bearer::new("abc").unwrap(), ..Credentials::default() };
        assert_eq!(
            uris(token),
            "https://far:1/ http://127.0.0.1:2/ http://[::1]:3/ http://localhost:4/ http://far:5/"
        );
        let ca = Credentials { ca: Some(Vec::new()), ..Credentials::default() };
        assert!(uris(ca).contains("https://127.0.0.1:2/"));
    }
}
