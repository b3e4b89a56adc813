//! Who is accepted on a port and how its connections are encrypted, kept as the files define it.

use super::error::Error;
use super::tls::Encryption;
use crate::access::Gate;
use crate::clock::Clock;
use crate::config::Config;
use crate::reload::{FileReloader, FileWatcher, ReloadSignal, keep_reloaded};
use std::error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Who is accepted on a port, and how its connections are encrypted.
#[derive(Clone)]
pub(super) struct ListenerSecurity {
    pub(super) gate: Arc<Gate>,
    /// `None` if connections are not encrypted.
    pub(super) encryption: Option<Arc<Encryption>>,
}

impl ListenerSecurity {
    /// Reads the files of identities, certificates and keys.
    ///
    /// # Errors
    ///
    /// If a file cannot be used.
    pub(super) fn open(
        config: &Config,
        clock: &Clock,
    ) -> Result<(Self, CredentialReloaders), Error> {
        // Before the files are read, so that no change is missed.
        let identity_files = config.access.identities.iter().cloned().collect();
        let identity_files = FileWatcher::new(identity_files);
        let tls = config.tls.iter();
        let tls_files =
            tls.flat_map(|tls| [Some(&tls.certificate), Some(&tls.key), tls.client_ca.as_ref()]);
        let tls_files = FileWatcher::new(tls_files.flatten().cloned().collect());

        if config.server.insecure {
            let (tls, authentication) = (config.tls.is_some(), config.access.identities.is_some());
            tracing::warn!(
                tls,
                authentication,
                "server.insecure is set, a proxy or mesh must protect the server"
            );
        }
        let is_local = config.server.listen.ip().to_canonical().is_loopback();
        let anonymous = if is_local { "local" } else { "anonymous" };
        let gate = Arc::new(Gate::open(&config.access, clock.clone(), anonymous)?);
        let tls = config.tls.clone().map(|files| Encryption::open(files, clock.clone()));
        let encryption = tls.transpose()?.map(Arc::new);
        let security = Self { gate, encryption };
        let interval = Duration::from_millis(config.reload.interval_ms);
        let reloaders = security.reloaders(identity_files, tls_files, interval);
        Ok((security, reloaders))
    }

    fn reloaders(
        &self,
        identity_files: FileWatcher,
        tls_files: FileWatcher,
        interval: Duration,
    ) -> CredentialReloaders {
        let gate = Arc::clone(&self.gate);
        let identities = FileReloader {
            name: "identities",
            watcher: identity_files,
            interval,
            replace: Box::new(move || gate.reload().map_err(|error| with_sources(&error))),
        };
        let certificates = self.encryption.clone().map(|encryption| FileReloader {
            name: "certificates",
            watcher: tls_files,
            interval,
            replace: Box::new(move || encryption.reload().map_err(|error| with_sources(&error))),
        });
        CredentialReloaders {
            identities: (identities, watch::Sender::new(String::new())),
            certificates: (certificates, watch::Sender::new(String::new())),
        }
    }
}

/// Reloads identities and certificates, each with the error of its files.
pub(super) struct CredentialReloaders {
    identities: (FileReloader, watch::Sender<String>),
    certificates: (Option<FileReloader>, watch::Sender<String>),
}

/// Why the files as they are now were rejected; empty if they are in use.
#[derive(Debug, Clone)]
pub(super) struct CredentialErrors {
    pub(super) identities: watch::Receiver<String>,
    pub(super) certificates: watch::Receiver<String>,
}

impl CredentialReloaders {
    pub(super) fn errors(&self) -> CredentialErrors {
        CredentialErrors {
            identities: self.identities.1.subscribe(),
            certificates: self.certificates.1.subscribe(),
        }
    }

    /// Reloads in the background until `stop` is cancelled.
    pub(super) fn spawn(self, signal: &ReloadSignal, stop: &CancellationToken) {
        let (identities, error_tx) = self.identities;
        tokio::spawn(keep_reloaded(identities, signal.clone(), error_tx, stop.clone()));
        let (certificates, error_tx) = self.certificates;
        if let Some(certificates) = certificates {
            tokio::spawn(keep_reloaded(certificates, signal.clone(), error_tx, stop.clone()));
        }
    }
}

/// An error and what caused it, separated by colons.
fn with_sources(error: &dyn error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
