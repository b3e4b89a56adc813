//! TLS: certificates and keys from files, which can be reloaded while connections stay open.

use super::certificate_expiry::expires_at;
use crate::access::normalize_dns;
use crate::clock::Clock;
use crate::config::Tls;
use crate::metrics::HandshakeFailure;
use lodewatch_core::domain::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, CertificateError, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// The names of the protocols in TLS (ALPN).
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// The protocols that a port offers inside TLS.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocols {
    /// gRPC.
    Http2,
    /// The console, and gRPC-Web.
    Http2OrHttp1,
}

/// What the files define, for each of [`Protocols`].
struct TlsConfigs {
    http2: Arc<ServerConfig>,
    http2_or_http1: Arc<ServerConfig>,
    status: CertificateStatus,
}

/// The certificates in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct CertificateStatus {
    pub(super) loaded_at: Timestamp,
    /// When the first certificate of `tls.certificate` expires.
    pub(super) server_expiry: Option<Timestamp>,
    /// When the first certificate of `tls.client_ca` expires.
    pub(super) client_ca_expiry: Option<Timestamp>,
}

/// A TLS handshake failed.
#[derive(Debug, thiserror::Error)]
#[error("the TLS handshake failed: {}", failure.name())]
pub(super) struct HandshakeError {
    pub(super) failure: HandshakeFailure,
    /// `None` for a timeout.
    pub(super) source: Option<io::Error>,
}

impl HandshakeError {
    pub(super) const TIMEOUT: Self = Self { failure: HandshakeFailure::Timeout, source: None };
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        let failure = cause.map_or(HandshakeFailure::Disconnected, classify);
        Self { failure, source: Some(error) }
    }
}

fn classify(error: &rustls::Error) -> HandshakeFailure {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    if let rustls::Error::InvalidCertificate(fault) = error {
        return if matches!(fault, Expired | ExpiredContext { .. }) {
            HandshakeFailure::CertificateExpired
        } else if matches!(fault, NotValidYet | NotValidYetContext { .. }) {
            HandshakeFailure::CertificateNotValidYet
        } else if matches!(fault, UnknownIssuer | BadSignature) {
            HandshakeFailure::UnknownAuthority
        } else {
            HandshakeFailure::CertificateInvalid
        };
    }
    if matches!(error, rustls::Error::AlertReceived(_)) {
        HandshakeFailure::RejectedByClient
    } else if matches!(
        error,
        rustls::Error::NoApplicationProtocol | rustls::Error::PeerIncompatible(_)
    ) {
        HandshakeFailure::Incompatible
    } else {
        HandshakeFailure::Protocol
    }
}

/// Why connections cannot be encrypted. Never has content of a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing, or not PEM.
    #[error("cannot read {} as PEM", path.display())]
    Read { path: PathBuf, source: pem::Error },
    #[error("cannot read a certificate from {}: the file has none", path.display())]
    Empty { path: PathBuf },
    #[error("cannot use {} as authorities of client certificates", path.display())]
    Authorities { path: PathBuf, source: VerifierBuilderError },
    /// Certificate and key do not match, or are of a kind that is not supported.
    #[error("cannot use certificate {} with key {}", certificate.display(), key.display())]
    Pair { certificate: PathBuf, key: PathBuf, source: rustls::Error },
}

/// How new connections are encrypted.
pub(super) struct Encryption {
    files: Tls,
    clock: Clock,
    configs_tx: watch::Sender<TlsConfigs>,
}

impl Encryption {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used.
    pub(super) fn open(files: Tls, clock: Clock) -> Result<Self, Error> {
        let configs_tx = watch::Sender::new(read_files(&files, clock.now())?);
        Ok(Self { files, clock, configs_tx })
    }

    /// Reads the files again, for new connections.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used; the previous certificates stay in use.
    pub(super) fn reload(&self) -> Result<(), Error> {
        self.configs_tx.send_replace(read_files(&self.files, self.clock.now())?);
        Ok(())
    }

    pub(super) fn status(&self) -> CertificateStatus {
        self.configs_tx.borrow().status
    }

    /// Performs the TLS handshake.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        protocols: Protocols,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let config = {
            let configs = self.configs_tx.borrow();
            Arc::clone(match protocols {
                Protocols::Http2 => &configs.http2,
                Protocols::Http2OrHttp1 => &configs.http2_or_http1,
            })
        };
        Ok(TlsAcceptor::from(config).accept(stream).await?)
    }
}

/// The URI and DNS names in the client's verified certificate, as the gate compares them; URIs,
/// such as SPIFFE IDs, first.
pub(super) fn client_names(stream: &TlsStream<TcpStream>) -> Arc<[String]> {
    let (_, connection) = stream.get_ref();
    let Some(certificate) = connection.peer_certificates().and_then(|chain| chain.first()) else {
        return Arc::default();
    };
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return Arc::default();
    };
    let uris = certificate.valid_uri_names().map(str::to_owned);
    uris.chain(certificate.valid_dns_names().map(normalize_dns)).collect()
}

fn read_files(files: &Tls, now: Timestamp) -> Result<TlsConfigs, Error> {
    let provider = Arc::new(ring::default_provider());
    let chain = read_certificates(&files.certificate)?;
    let authorities = files.client_ca.as_deref().map(read_certificates).transpose()?;
    let status = CertificateStatus {
        loaded_at: now,
        server_expiry: first_expiry(&chain),
        client_ca_expiry: first_expiry(authorities.as_deref().unwrap_or_default()),
    };
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| Error::Read { path: files.key.clone(), source })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both");
    let builder = match files.client_ca.as_deref().zip(authorities) {
        None => builder.with_no_client_auth(),
        Some((path, authorities)) => {
            builder.with_client_cert_verifier(client_verifier(path, authorities, provider)?)
        }
    };
    let config = builder.with_single_cert(chain, key);
    let config = config.map_err(|source| {
        let (certificate, key) = (files.certificate.clone(), files.key.clone());
        Error::Pair { certificate, key, source }
    })?;
    let offering = |names: &[&[u8]]| {
        let mut config = config.clone();
        config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    };
    let (http2, http2_or_http1) = (offering(&[HTTP_2]), offering(&[HTTP_2, HTTP_1]));
    Ok(TlsConfigs { http2, http2_or_http1, status })
}

/// When the first of these certificates expires.
fn first_expiry(certificates: &[CertificateDer<'_>]) -> Option<Timestamp> {
    certificates.iter().filter_map(|certificate| expires_at(certificate)).min()
}

/// Accepts client certificates of these authorities, and clients without a certificate: those must
/// send a token with every call.
fn client_verifier(
    path: &Path,
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities);
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|source| Error::Authorities { path: path.to_owned(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let all = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if all.is_empty() { Err(Error::Empty { path: path.to_owned() }) } else { Ok(all) }
}
