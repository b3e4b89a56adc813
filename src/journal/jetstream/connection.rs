//! The connection to the servers: to which, as whom, and how soon a dead one is noticed.

use super::super::Error;
use super::stream::{unfit, unreachable};
use crate::config::{Credentials, JetStream as Settings};
use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use std::path::Path;
use std::time::Duration;

/// A server that has not answered for three of these is given up, and the next is tried.
const PING: Duration = Duration::from_millis(500);

/// How long a server may take to greet.
const GREETING: Duration = Duration::from_secs(1);

/// How long a request may take, when nothing else is said.
pub(super) const REQUEST: Duration = Duration::from_secs(2);

/// The longest wait between two tries to connect again.
const AGAIN_MS_MAX: u64 = 1000;

/// Connects to any of the servers.
///
/// # Errors
///
/// [`Error::Unfit`] where trying again is of no use: a secret that cannot be read, or credentials that are refused.
/// [`Error::Unreachable`] where no server answers.
pub(super) async fn connect(settings: &Settings) -> Result<Client, Error> {
    let options = options(settings).await?;
    options.connect(settings.servers.clone()).await.map_err(|error| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            unfit(settings, vec![format!("the servers refuse our credentials: {error}")])
        }
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Tls
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => {
            let servers = settings.servers.join(", ");
            unreachable(&settings.stream, &format!("{servers}: {error}"))
        }
    })
}

async fn options(settings: &Settings) -> Result<ConnectOptions, Error> {
    let mut options = ConnectOptions::new()
        .name(concat!("lodewatch ", env!("CARGO_PKG_VERSION")))
        .ping_interval(PING)
        .connection_timeout(GREETING)
        .request_timeout(Some(REQUEST))
        // What a server says of its neighbours need not be reachable from here; the settings name them all.
        .ignore_discovered_servers()
        .reconnect_delay_callback(|tries| {
            let tries = u64::try_from(tries).unwrap_or(u64::MAX);
            Duration::from_millis(tries.saturating_mul(100).min(AGAIN_MS_MAX))
        });
    options = match &settings.credentials {
        Credentials::None => options,
        Credentials::Password { user, file } => {
            options.user_and_password(user.clone(), secret(settings, file)?)
        }
        Credentials::Token(file) => options.token(secret(settings, file)?),
        Credentials::NKey(file) => options.nkey(secret(settings, file)?),
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

/// What is in a file, without the end of its line.
fn secret(settings: &Settings, file: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(settings, file, &error))?;
    Ok(text.trim_end().to_owned())
}

fn unreadable(settings: &Settings, file: &Path, error: &std::io::Error) -> Error {
    unfit(settings, vec![format!("{} cannot be read: {error}", file.display())])
}
