//! TLS: certificates and keys from files, which can be reloaded while connections stay open.

use crate::config::Tls;
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
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
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
    configs_tx: watch::Sender<TlsConfigs>,
}

impl Encryption {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used.
    pub(super) fn open(files: Tls) -> Result<Self, Error> {
        let configs_tx = watch::Sender::new(read_files(&files)?);
        Ok(Self { files, configs_tx })
    }

    /// Reads the files again, for new connections.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used; the previous certificates stay in use.
    pub(super) fn reload(&self) -> Result<(), Error> {
        self.configs_tx.send_replace(read_files(&self.files)?);
        Ok(())
    }

    /// Performs the TLS handshake.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        protocols: Protocols,
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = {
            let configs = self.configs_tx.borrow();
            Arc::clone(match protocols {
                Protocols::Http2 => &configs.http2,
                Protocols::Http2OrHttp1 => &configs.http2_or_http1,
            })
        };
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// The URI and DNS names in the client's verified certificate; URIs, such as SPIFFE IDs, first.
pub(super) fn client_names(stream: &TlsStream<TcpStream>) -> Arc<[String]> {
    let (_, connection) = stream.get_ref();
    let Some(certificate) = connection.peer_certificates().and_then(|chain| chain.first()) else {
        return Arc::default();
    };
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return Arc::default();
    };
    let (uris, names) = (certificate.valid_uri_names(), certificate.valid_dns_names());
    uris.chain(names).map(str::to_owned).collect()
}

fn read_files(files: &Tls) -> Result<TlsConfigs, Error> {
    let provider = Arc::new(ring::default_provider());
    let chain = read_certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| Error::Read { path: files.key.clone(), source })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both");
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => builder.with_client_cert_verifier(client_verifier(path, provider)?),
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
    Ok(TlsConfigs { http2: offering(&[HTTP_2]), http2_or_http1: offering(&[HTTP_2, HTTP_1]) })
}

/// Accepts client certificates of these authorities, and clients without a certificate: those must
/// send a token with every call.
fn client_verifier(
    path: &Path,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read_certificates(path)?);
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
