//! From what a caller shows to who it is, and whether it may.

use super::denials::Denials;
use super::identities::Identities;
use super::identity::{Admission, Identity};
use super::jwt::Jwt;
use super::methods::{Who, method};
use crate::clock::Clock;
use crate::config::Access;
use lodewatch_toml_reader::Problems;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// The largest file of identities that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What a caller shows.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The names in the certificate that its connection was proved with.
    pub certificate: &'a [String],
    /// The bearer token of the call: `None` without one, an error where the header is no bearer token.
    pub bearer: Option<Result<&'a str, Malformed>>,
}

/// A header `authorization` that is no bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Why a call is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// It shows nothing that is known. Why is not said: that would help to find what is.
    Unauthenticated,
    /// The table has no row for this method.
    Unknown {
        /// Who calls.
        identity: Arc<Identity>,
    },
    /// It has none of the roles.
    Role {
        /// Who calls.
        identity: Arc<Identity>,
        /// Who may.
        who: Who,
    },
}

/// Why the file of identities cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read identities from {}: {why}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The keys of JSON web tokens cannot be used.
    #[error("access.jwt.keys cannot be used: {0}")]
    Keys(String),
    /// It is faulty.
    #[error("cannot load identities from {}:\n  {problems}", path.display())]
    Faulty {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problems: Problems,
    },
}

/// Decides who a caller is, and whether it may call a method.
pub struct Gate {
    ways: Ways,
    denials: Denials,
}

enum Ways {
    /// No authentication is configured: everybody is this.
    Open(Arc<Identity>),
    /// Whoever the file knows.
    Known { file: PathBuf, identities: watch::Sender<Arc<Identities>>, jwt: Option<Box<Jwt>> },
}

impl Gate {
    /// As configured; `unproved` is everybody's name where no authentication is.
    ///
    /// # Errors
    ///
    /// When the file of identities cannot be used.
    pub fn open(config: &Access, clock: Clock, unproved: &str) -> Result<Self, Error> {
        let Some(file) = config.identities.clone() else {
            let ways = Ways::Open(Arc::new(Identity::unproved(unproved)));
            return Ok(Self { ways, denials: Denials::default() });
        };
        let identities = watch::Sender::new(Arc::new(read(&file)?));
        let jwt = config.jwt.as_ref().map(|jwt| Jwt::open(jwt, clock).map(Box::new)).transpose();
        let jwt = jwt.map_err(Error::Keys)?;
        Ok(Self { ways: Ways::Known { file, identities, jwt }, denials: Denials::default() })
    }

    /// Reads the file again. Who is no longer let in as before must prove anew who it is.
    ///
    /// # Errors
    ///
    /// When it cannot be used; those before stay.
    pub fn reload(&self) -> Result<(), Error> {
        if let Ways::Known { file, identities, .. } = &self.ways {
            let mut read = read(file)?;
            let ended = read.replace(&identities.borrow());
            identities.send_replace(Arc::new(read));
            ended.iter().for_each(Admission::end);
        }
        Ok(())
    }

    /// Who calls a method, where it may; `None` is somebody unknown, where anyone may.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub async fn admit(
        &self,
        path: &str,
        credentials: Credentials<'_>,
    ) -> Result<Option<Arc<Identity>>, Denied> {
        let row = method(path);
        let identity = self.identify(credentials).await;
        if row.is_some_and(|row| row.who == Who::Anyone) {
            return Ok(identity);
        }
        let identity = identity.ok_or(Denied::Unauthenticated)?;
        match row.map(|row| row.who) {
            Some(who) if who.allows(&identity.roles) => Ok(Some(identity)),
            Some(who) => Err(Denied::Role { identity, who }),
            None => Err(Denied::Unknown { identity }),
        }
    }

    /// Logs that a call was denied.
    pub fn log(&self, denied: &Denied, peer: IpAddr, path: &str) {
        self.denials.log(denied, peer, path);
    }

    /// What a call shows goes before what its connection shows: a wrong token is never made good by a certificate.
    async fn identify(&self, credentials: Credentials<'_>) -> Option<Arc<Identity>> {
        match &self.ways {
            Ways::Open(everybody) => Some(Arc::clone(everybody)),
            Ways::Known { identities, jwt, .. } => {
                let known = Arc::clone(&identities.borrow());
                match credentials.bearer {
                    Some(Ok(token)) => match (known.by_token(token), jwt) {
                        // Boxed: an issuer is rarely asked for keys, and every call would have room for it.
                        (None, Some(jwt)) => Box::pin(jwt.identify(token, &known)).await,
                        (found, _) => found,
                    },
                    Some(Err(Malformed)) => None,
                    None => known.by_certificate(credentials.certificate),
                }
            }
        }
    }
}

fn read(path: &Path) -> Result<Identities, Error> {
    let unreadable = |why: String| Error::Read { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(format!("{size} bytes; at most {FILE_BYTES_MAX} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    Identities::parse(&text).map_err(|problems| Error::Faulty { path: path.to_owned(), problems })
}
