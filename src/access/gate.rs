//! From a call's credentials to its identity, and whether that may call the method.

use super::credential_fault::CredentialFault;
use super::denials::DenialLog;
use super::identities::Identities;
use super::identity::{Identity, Revocation};
use super::jwt::TokenVerifier;
use super::methods::{MethodAccess, find_method};
use crate::clock::Clock;
use crate::config::Access;
use lodewatch_core::domain::Timestamp;
use lodewatch_toml_reader::Problems;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// Bytes of the largest file of identities.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What a call is authenticated by.
#[derive(Clone, Copy)]
pub struct CallCredentials<'a> {
    /// The names in the client certificate of its connection; empty without one.
    pub certificate: &'a [String],
    /// The bearer token: `None` without the header, an error where the header holds something else.
    pub bearer: Option<Result<&'a str, MalformedHeader>>,
}

/// The header `authorization` does not hold one bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedHeader;

/// Why a call is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallDenied {
    /// No valid credentials. The response does not say why: that would help to guess valid ones.
    Unauthenticated { fault: CredentialFault },
    /// The table has no row for this method.
    UnknownMethod { identity: Arc<Identity> },
    /// The identity has none of the roles.
    RoleMissing { identity: Arc<Identity>, access: MethodAccess },
}

/// Why identities cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("cannot load identities from {}: {why}", path.display())]
    Read { path: PathBuf, why: String },
    #[error("cannot load the keys of access.jwt.keys: {0}")]
    Keys(String),
    #[error("cannot load identities from {}:\n  {problems}", path.display())]
    Invalid { path: PathBuf, problems: Problems },
}

/// Decides who a caller is, and whether it may call a method.
pub struct Gate {
    mode: AccessMode,
    denials: DenialLog,
    clock: Clock,
}

enum AccessMode {
    /// No authentication is configured: every caller is this identity.
    Open(Arc<Identity>),
    /// Callers are the identities of the file.
    Authenticated {
        file: PathBuf,
        identities: watch::Sender<LoadedIdentities>,
        jwt: Option<Box<TokenVerifier>>,
    },
}

/// The identities in use, and when they were read.
struct LoadedIdentities {
    identities: Arc<Identities>,
    at: Timestamp,
}

/// When the credentials in use were read, as the wall clock showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialLoads {
    pub identities: Timestamp,
    /// The issuer's keys of JSON web tokens: `None` where none are accepted, `Some(None)` where the
    /// keys could never be read.
    pub keys: Option<Option<Timestamp>>,
}

impl Gate {
    /// `open_name` is the name of every caller where no authentication is configured. Must be
    /// called within the runtime, where a task reads the keys of JSON web tokens.
    ///
    /// # Errors
    ///
    /// When identities cannot be loaded.
    pub fn open(config: &Access, clock: Clock, open_name: &str) -> Result<Self, Error> {
        let Some(file) = config.identities.clone() else {
            let mode = AccessMode::Open(Arc::new(Identity::unauthenticated(open_name)));
            return Ok(Self { mode, denials: DenialLog::default(), clock });
        };
        let identities = Arc::new(read(&file)?);
        let identities = watch::Sender::new(LoadedIdentities { identities, at: clock.now() });
        let jwt = config
            .jwt
            .as_ref()
            .map(|jwt| TokenVerifier::open(jwt, clock.clone()).map(Box::new))
            .transpose();
        let jwt = jwt.map_err(Error::Keys)?;
        let mode = AccessMode::Authenticated { file, identities, jwt };
        Ok(Self { mode, denials: DenialLog::default(), clock })
    }

    /// Reads the file again. Identities that lost a role or a way to authenticate are revoked:
    /// their streams end, and they must authenticate again.
    ///
    /// # Errors
    ///
    /// When identities cannot be loaded; the previous ones stay in force.
    pub fn reload(&self) -> Result<(), Error> {
        if let AccessMode::Authenticated { file, identities, .. } = &self.mode {
            let mut read = read(file)?;
            let revoked = read.replace(&identities.borrow().identities);
            let (read, at) = (Arc::new(read), self.clock.now());
            identities.send_replace(LoadedIdentities { identities: read, at });
            revoked.iter().for_each(Revocation::revoke);
        }
        Ok(())
    }

    /// When the credentials in use were read; `None` where no authentication is configured.
    pub fn loads(&self) -> Option<CredentialLoads> {
        let AccessMode::Authenticated { identities, jwt, .. } = &self.mode else { return None };
        let keys = jwt.as_ref().map(|jwt| jwt.keys_loaded_at());
        Some(CredentialLoads { identities: identities.borrow().at, keys })
    }

    /// The identity of a call that is allowed; `None` for an unauthenticated caller of a method
    /// that anyone may call.
    ///
    /// # Errors
    ///
    /// Why the call is denied.
    pub async fn admit(
        &self,
        path: &str,
        credentials: CallCredentials<'_>,
    ) -> Result<Option<Arc<Identity>>, CallDenied> {
        let row = find_method(path);
        let identity = self.identify(credentials).await;
        if row.is_some_and(|row| row.access == MethodAccess::Anyone) {
            return Ok(identity.ok());
        }
        let identity = identity.map_err(|fault| CallDenied::Unauthenticated { fault })?;
        match row.map(|row| row.access) {
            Some(access) if access.allows(&identity.roles) => Ok(Some(identity)),
            Some(access) => Err(CallDenied::RoleMissing { identity, access }),
            None => Err(CallDenied::UnknownMethod { identity }),
        }
    }

    /// Logs that a call was denied.
    pub fn log(&self, denied: &CallDenied, peer: IpAddr, path: &str) {
        self.denials.log(denied, peer, path);
    }

    /// The call's token goes before the connection's certificate: a valid certificate does not make
    /// up for an invalid token.
    async fn identify(
        &self,
        credentials: CallCredentials<'_>,
    ) -> Result<Arc<Identity>, CredentialFault> {
        let (identities, jwt) = match &self.mode {
            AccessMode::Open(identity) => return Ok(Arc::clone(identity)),
            AccessMode::Authenticated { identities, jwt, .. } => (identities, jwt),
        };
        let known = Arc::clone(&identities.borrow().identities);
        match credentials.bearer {
            Some(Ok(token)) => match (known.by_token(token), jwt) {
                (Some(found), _) => Ok(found),
                // Boxed: callers rarely wait for keys, and every call's future would have room for
                // it.
                (None, Some(jwt)) => Box::pin(jwt.identify(token, &known)).await,
                (None, None) => Err(CredentialFault::UnknownToken),
            },
            Some(Err(MalformedHeader)) => Err(CredentialFault::Header),
            None if credentials.certificate.is_empty() => Err(CredentialFault::Missing),
            None => known
                .by_certificate(credentials.certificate)
                .ok_or(CredentialFault::UnknownCertificate),
        }
    }
}

fn read(path: &Path) -> Result<Identities, Error> {
    let unreadable = |why: String| Error::Read { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "it has {size} bytes; at most {FILE_BYTES_MAX} are allowed"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    Identities::parse(&text).map_err(|problems| Error::Invalid { path: path.to_owned(), problems })
}
