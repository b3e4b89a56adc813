//! The connection to the servers: addresses, credentials, timeouts.

use super::super::error::Error;
use super::stream::{unreachable, unsuitable};
use crate::config::{Credentials, JetStream as Settings};
use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use std::path::Path;
use std::time::Duration;

/// After three pings without an answer the client connects to the next server.
const PING_INTERVAL: Duration = Duration::from_millis(500);

/// How long a server may take to answer a new connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a request may take by default.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest wait between two attempts to reconnect.
const RECONNECT_DELAY_MS_MAX: u64 = 1000;

/// Connects to any of the servers.
///
/// # Errors
///
/// [`Error::Unsuitable`] where a retry cannot help: a secret that cannot be read, or credentials
/// that the servers reject. [`Error::Unreachable`] where no server answers.
pub(super) async fn connect(settings: &Settings) -> Result<Client, Error> {
    let options = options(settings).await?;
    options.connect(settings.servers.clone()).await.map_err(|error| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            unsuitable(settings, vec![format!("the servers reject the credentials: {error}")])
        }
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Tls
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => {
            let servers = settings.servers.join(", ");
            unreachable(&settings.stream, &format!("cannot connect to {servers}: {error}"))
        }
    })
}

async fn options(settings: &Settings) -> Result<ConnectOptions, Error> {
    let mut options = ConnectOptions::new()
        .name(concat!("lodewatch ", env!("CARGO_PKG_VERSION")))
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECTION_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        // The addresses that a server announces need not be reachable from here; the settings name
        // all servers.
        .ignore_discovered_servers()
        .reconnect_delay_callback(|attempts| {
            let attempts = u64::try_from(attempts).unwrap_or(u64::MAX);
            Duration::from_millis(attempts.saturating_mul(100).min(RECONNECT_DELAY_MS_MAX))
        });
    options = match &settings.credentials {
        Credentials::None => options,
        Credentials::Password { user, file } => {
            options.user_and_password(user.clone(), read_secret(settings, file)?)
        }
        Credentials::Token(file) => options.token(read_secret(settings, file)?),
        Credentials::NKey(file) => options.nkey(read_secret(settings, file)?),
        Credentials::File(file) => options
            .credentials_file(file)
            .await
            .map_err(|error| unreadable(settings, file, &error))?,
    };
    if settings.servers.iter().any(|server| server.starts_with("tls://")) {
        options = options.require_tls(true);
    }
    if let Some(file) = &settings.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    if let Some((certificate, key)) = &settings.certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

/// The content of a file without its trailing white space.
fn read_secret(settings: &Settings, file: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(settings, file, &error))?;
    Ok(text.trim_end().to_owned())
}

fn unreadable(settings: &Settings, file: &Path, error: &std::io::Error) -> Error {
    unsuitable(settings, vec![format!("cannot read {}: {error}", file.display())])
}
