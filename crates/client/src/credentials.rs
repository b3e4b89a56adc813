//! How a client authenticates, and which authorities it trusts. Never printed.

use super::servers::Error;
use std::fmt;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Request, Status};

/// How a client authenticates, and which authorities it trusts. By default it does not authenticate
/// and trusts the system's authorities.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The token that is sent with every call.
    pub bearer: Bearer,
    /// The authorities that sign the server's certificate, in PEM; `None` for those of the system.
    pub ca: Option<Vec<u8>>,
    /// The client's own certificate and its key, in PEM.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
}

/// Hides the secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Whether an address without a scheme stands for TLS.
    pub(super) fn want_tls(&self, is_local: bool) -> bool {
        let sends_token = self.bearer.0.is_some() && !is_local;
        sends_token || self.ca.is_some() || self.certificate.is_some()
    }

    pub(super) fn tls(&self) -> ClientTlsConfig {
        let tls = ClientTlsConfig::new();
        let tls = match &self.ca {
            Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
            None => tls.with_native_roots(),
        };
        match &self.certificate {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
            None => tls,
        }
    }
}

/// The bearer token that is sent with every call; none by default.
#[derive(Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// A token; white space around it is ignored.
    ///
    /// # Errors
    ///
    /// [`Error::Token`] where it is not one word of printable ASCII characters.
    pub fn new(token: &str) -> Result<Self, Error> {
        let token = token.trim();
        let is_word = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = format!("Bearer {token}").parse::<MetadataValue<Ascii>>();
        let mut value = value.ok().filter(|_| is_word).ok_or(Error::Token)?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

/// Hides the secrets.
impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}
