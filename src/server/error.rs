//! Why a server does not start, or ends by itself.

use super::tls;
use crate::clock::ClockJump;
use crate::pipeline::Stall;
use crate::{access, archive, journal, pipeline, reload, traces};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why a server does not start, or ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the journal")]
    Journal(#[from] journal::Error),
    #[error("cannot use the archive in {}", dir.display())]
    Archive {
        /// The data directory.
        dir: PathBuf,
        source: archive::Error,
    },
    #[error(transparent)]
    Access(#[from] access::Error),
    #[error("cannot set up TLS")]
    Tls(#[from] tls::Error),
    #[error("cannot set up traces")]
    Traces(#[from] traces::Error),
    /// A port besides the main one.
    #[error("cannot listen on {address}: {cause}; change {port}, or set it to \"\" to turn it off")]
    Port {
        /// The setting of the port.
        port: &'static str,
        address: SocketAddr,
        cause: io::Error,
    },
    #[error("cannot apply the journal")]
    Pipeline(#[from] pipeline::Error),
    #[error("cannot adopt the policy")]
    Clock(#[from] ClockJump),
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error("the pipeline's thread ended unexpectedly; restart the server")]
    PipelineThread,
}

impl Error {
    pub(super) fn from_stall(stall: Stall, dir: &Path) -> Self {
        match stall {
            Stall::Damaged(source) => Self::from(source),
            Stall::Full(source) => Self::Archive { dir: dir.to_owned(), source },
            Stall::Diverged(divergence) => Self::from(pipeline::Error::from(divergence)),
        }
    }

    pub(super) fn from_reload(error: reload::Error, dir: &Path) -> Self {
        match error {
            reload::Error::Journal(source) => Self::from(source),
            reload::Error::Clock(jump) => Self::from(jump),
            reload::Error::Stall(stall) => Self::from_stall(stall, dir),
        }
    }
}
