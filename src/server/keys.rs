//! Who is known and how connections are encrypted, kept as the files say.
//!
//! FileWatcher are read again at an interval rather than watched, for the reason that [`crate::reload`] has: a Kubernetes Secret is
//! swapped by a symbolic link two folders up.

use super::tls::Encryption;
use crate::access::Gate;
use crate::config::Config;
use crate::reload;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::Xxh3Default;

/// Who is let in, and how.
#[derive(Clone)]
pub(super) struct ListenerSecurity {
    pub(super) gate: Arc<Gate>,
    /// `None` where connections are not encrypted.
    pub(super) encryption: Option<Arc<Encryption>>,
}

/// The files, and what was in them when they were read last.
pub(super) struct FileWatcher {
    access: Vec<PathBuf>,
    tls: Vec<PathBuf>,
    seen: [u128; 2],
}

impl FileWatcher {
    /// As they are now. To be taken before they are read, so that no change is missed.
    pub(super) fn of(config: &Config) -> Self {
        let tls = config.tls.iter();
        let tls =
            tls.flat_map(|tls| [Some(&tls.certificate), Some(&tls.key), tls.client_ca.as_ref()]);
        let access = config.access.identities.iter().cloned().collect();
        let mut files = Self { access, tls: tls.flatten().cloned().collect(), seen: [0; 2] };
        files.look();
        files
    }

    /// Whether the file of identities has changed since the last look, and whether those of TLS have.
    fn look(&mut self) -> [bool; 2] {
        let now = [digest(&self.access), digest(&self.tls)];
        let changed = [now[0] != self.seen[0], now[1] != self.seen[1]];
        self.seen = now;
        changed
    }
}

impl ListenerSecurity {
    /// Reads what has changed again when told to, and at an interval unless that is 0. What cannot be used is said once, and
    /// changes nothing. Runs until told to stop.
    pub(super) async fn keep(
        self,
        mut files: FileWatcher,
        every: Duration,
        told: Arc<Notify>,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = told.notified() => {}
                () = reload::interval(every) => {}
            }
            let [access, tls] = files.look();
            if access {
                say("identities", self.gate.reload());
            }
            if let Some(encryption) = self.encryption.as_ref().filter(|_| tls) {
                say("certificates", encryption.reload());
            }
        }
    }
}

fn say(what: &str, read: Result<(), impl Error + 'static>) {
    match read {
        Ok(()) => tracing::info!(what, "read again"),
        Err(error) => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::error!(what, %error, why, "changed, and cannot be used; those before stay");
        }
    }
}

/// What is in the files, so that a change is seen; no part of it can be told from it.
fn digest(files: &[PathBuf]) -> u128 {
    let mut digest = Xxh3Default::new();
    for file in files {
        match std::fs::read(file) {
            Ok(bytes) => digest.update(&bytes),
            Err(error) => digest.update(error.to_string().as_bytes()),
        }
    }
    digest.digest128()
}
