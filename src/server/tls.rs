//! TLS: certificates and keys from files, read again while connections go on.

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

/// What is spoken inside, as TLS names it (ALPN).
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// What connections speak inside, and nothing else.
#[derive(Debug, Clone, Copy)]
pub(super) enum Inside {
    /// gRPC.
    Http2,
    /// Pages, and services by gRPC-Web.
    Either,
}

/// What the files amount to.
struct Configs {
    http2: Arc<ServerConfig>,
    either: Arc<ServerConfig>,
}

/// Why connections cannot be encrypted. Never shows what is in a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing, or not PEM.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// There is no certificate in it.
    #[error("{} has no certificate", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// The authorities cannot be used.
    #[error("{} holds no authorities for client certificates", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("{} and {} cannot be used together", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// How connections are encrypted at the moment.
pub(super) struct Encryption {
    files: Tls,
    configs: watch::Sender<Configs>,
}

impl Encryption {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used.
    pub(super) fn open(files: Tls) -> Result<Self, Error> {
        let configs = watch::Sender::new(read(&files)?);
        Ok(Self { files, configs })
    }

    /// Reads the files again, for connections to come.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used; those before stay.
    pub(super) fn reload(&self) -> Result<(), Error> {
        self.configs.send_replace(read(&self.files)?);
        Ok(())
    }

    /// Makes a connection an encrypted one.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        inside: Inside,
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = {
            let configs = self.configs.borrow();
            Arc::clone(match inside {
                Inside::Http2 => &configs.http2,
                Inside::Either => &configs.either,
            })
        };
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// The URI and DNS names in the certificate that the client has proved to be its own; URIs, as of SPIFFE, first.
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

fn read(files: &Tls) -> Result<Configs, Error> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| Error::Read { path: files.key.clone(), source })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both");
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => builder.with_client_cert_verifier(verifier(path, provider)?),
    };
    let config = builder.with_single_cert(chain, key);
    let config = config.map_err(|source| {
        let (certificate, key) = (files.certificate.clone(), files.key.clone());
        Error::Pair { certificate, key, source }
    })?;
    let speaking = |names: &[&[u8]]| {
        let mut config = config.clone();
        config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    };
    Ok(Configs { http2: speaking(&[HTTP_2]), either: speaking(&[HTTP_2, HTTP_1]) })
}

/// Takes certificates of these authorities, and clients that show none: those must show a token at every call.
fn verifier(
    path: &Path,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(path)?);
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|source| Error::Authorities { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let all = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if all.is_empty() { Err(Error::Empty { path: path.to_owned() }) } else { Ok(all) }
}
