//! The servers to connect to.

use super::credentials::{Bearer, Credentials};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

/// The flow-control window of one stream: small, so that an unread stream cannot use up the window
/// of the connection.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The flow-control window of the connection.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The largest frame. With the default of 16 KiB a server sends history in four times as many.
const FRAME_BYTES: u32 = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// No connection can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not the address of a server.
    #[error(
        "cannot parse the address {address:?}; write HOST:PORT, http://HOST:PORT or \
         https://HOST:PORT"
    )]
    Address {
        /// The text as it was given.
        address: String,
    },
    /// The text is not a bearer token.
    #[error("cannot use the token: it is not one word of printable characters")]
    Token,
    /// The authorities, the certificate or the key cannot be used.
    #[error("cannot set up TLS; check the files of the authorities, the certificate and the key")]
    Tls(#[source] tonic::transport::Error),
    /// No server can be reached.
    #[error("cannot connect to {addresses}: {why}; {}", advice(why))]
    Connect {
        /// The addresses as they were given, separated by commas.
        addresses: String,
        /// Why the last of them cannot be reached.
        why: String,
    },
}

/// The servers of one journal, at least one. Each serves the same alerts. Cheap to clone.
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

/// A connection whose calls carry the credentials.
pub type Connection = InterceptedService<Channel, Bearer>;

impl Servers {
    /// Parses `HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`, or several of them separated
    /// by commas. Calls carry no credentials.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] where a text is not an address, or there is none.
    pub fn parse<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        Self::parse_with_credentials(addresses, Credentials::default())
    }

    /// Parses addresses of servers that are called with credentials. `HOST:PORT` means `https://`
    /// where the credentials have an authority, a certificate, or a token that would leave this
    /// machine.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] where a text is not an address, or there is none; [`Error::Tls`] where
    /// the credentials cannot be used.
    pub fn parse_with_credentials<'a>(
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

    /// Connects to the first server that answers.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] where no server answers within five seconds.
    pub async fn connect(&self) -> Result<Connection, Error> {
        self.channel().await.map(|channel| self.with_credentials(channel))
    }

    /// Connects to the first server that answers, for calls without credentials.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] where no server answers within five seconds.
    pub async fn channel(&self) -> Result<Channel, Error> {
        let mut failed = None;
        for server in &*self.all {
            match server.endpoint.connect().await {
                Ok(channel) => return Ok(channel),
                Err(error) => failed = Some(error),
            }
        }
        let failed = failed.expect("there is at least one server");
        Err(cannot_connect(self.to_string(), &failed))
    }

    /// Connects to the server of a turn; turns go round.
    pub(super) async fn connect_turn(&self, turn: usize) -> Result<Connection, Error> {
        let Server { address, endpoint } = self.turn(turn);
        let connected = endpoint.connect().await.map(|channel| self.with_credentials(channel));
        connected.map_err(|error| cannot_connect(address.clone(), &error))
    }

    fn turn(&self, turn: usize) -> &Server {
        let at = turn.checked_rem(self.all.len()).expect("there is at least one server");
        self.all.get(at).expect("a remainder is less")
    }

    fn with_credentials(&self, channel: Channel) -> Connection {
        InterceptedService::new(channel, self.bearer.clone())
    }
}

/// The addresses as they were given, separated by commas.
impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<&str> = self.all.iter().map(|server| server.address.as_str()).collect();
        f.write_str(&addresses.join(", "))
    }
}

/// Connects to `HOST:PORT` or `http://HOST:PORT`, or to the first that answers of several addresses
/// separated by commas. Calls carry no credentials.
///
/// # Errors
///
/// [`Error::Address`] where a text is not an address, and [`Error::Connect`] where no server
/// answers within five seconds.
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

/// The error for these addresses, with the innermost cause: the outer ones only say that there is
/// one.
fn cannot_connect(addresses: String, error: &dyn std::error::Error) -> Error {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Error::Connect { addresses, why: cause.to_string() }
}

/// What a person can do about a cause, which is known by the words of the libraries underneath.
fn advice(why: &str) -> &'static str {
    if why.contains("InvalidContentType") {
        "the server does not use TLS: write http://HOST:PORT, or name no authority and certificate"
    } else if why.contains("UnknownIssuer") {
        "name the authority of the server's certificate with --ca"
    } else if why.contains("invalid peer certificate") {
        "check that the server's certificate is valid for the name in the address"
    } else if why.contains("reset by peer") {
        "write https:// for a server with TLS, http:// for one without"
    } else if why.contains("failed to lookup address") {
        "check the name of the host"
    } else {
        "check that the server is running; `lodewatch serve` starts one"
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
    fn addresses_are_separate_or_separated_by_commas() {
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
    fn a_token_leaves_this_machine_without_tls_only_to_an_http_address() {
        let uris = |credentials: Credentials| {
            let addresses = "far:1,127.0.0.1:2,[::1]:3,localhost:4,http://far:5";
            let servers = Servers::parse_with_credentials([addresses], credentials).unwrap();
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
