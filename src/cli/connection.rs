//! The servers that a command talks to, and its credentials.

use super::error::Error;
use super::input::read_file;
use crate::config;
use clap::Args;
use lodewatch_client::{Bearer, Credentials, Servers};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct ConnectionArgs {
    /// Server to connect to; with several, separated by commas, the next one is used if one fails.
    #[arg(
        long,
        global = true,
        default_value = "127.0.0.1:50061",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    address: Vec<String>,
    /// File with a bearer token; default: the token in the variable
    /// `LODEWATCH_TOKEN`, if set.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate authorities to trust, in PEM; default: those of the system.
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Client certificate, in PEM.
    #[arg(long, global = true, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Private key of the client certificate, in PEM.
    #[arg(long, global = true, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl ConnectionArgs {
    /// The servers, not connected to yet; reads the credential files.
    pub(super) fn servers(&self) -> Result<Servers, Error> {
        let addresses = self.address.iter().map(String::as_str);
        Ok(Servers::parse_with_credentials(addresses, self.credentials()?)?)
    }

    fn credentials(&self) -> Result<Credentials, Error> {
        let token = match &self.token_file {
            Some(path) => Some(String::from_utf8_lossy(&read_file(path)?).into_owned()),
            None => config::token(),
        };
        let bearer = token.map(|token| Bearer::new(&token)).transpose()?.unwrap_or_default();
        let ca = self.ca.as_deref().map(read_file).transpose()?;
        let certificate = match self.cert.as_deref().zip(self.key.as_deref()) {
            Some((certificate, key)) => Some((read_file(certificate)?, read_file(key)?)),
            None => None,
        };
        Ok(Credentials { bearer, ca, certificate })
    }
}
