//! Who is known and how connections are encrypted, kept as the files say.
//!
//! Files are read again at an interval rather than watched, for the reason that [`crate::reload`] has: a Kubernetes Secret is
//! swapped by a symbolic link two folders up.

use super::tls::Encryption;
use crate::access::Gate;
use crate::config::Config;
use std::error::Error;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::Xxh3Default;

/// Who is let in, and how.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) gate: Arc<Gate>,
    /// `None` where connections are not encrypted.
    pub(super) encryption: Option<Arc<Encryption>>,
}

impl Keys {
    /// Reads everything again when told to, and at an interval in milliseconds unless that is 0. What cannot be used is said
    /// once, and changes nothing. Runs until told to stop.
    pub(super) async fn keep(self, config: Config, told: Arc<Notify>, stop: CancellationToken) {
        let every = Duration::from_millis(config.reload.every_ms);
        let access: Vec<PathBuf> = config.access.identities.into_iter().collect();
        let tls = config.tls.into_iter();
        let tls = tls.flat_map(|tls| [Some(tls.certificate), Some(tls.key), tls.client_ca]);
        let tls: Vec<PathBuf> = tls.flatten().collect();
        let mut seen = [digest(&access), digest(&tls)];
        loop {
            let wait = async {
                if every.is_zero() { pending().await } else { tokio::time::sleep(every).await }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = told.notified() => {}
                () = wait => {}
            }
            let now = [digest(&access), digest(&tls)];
            if seen[0] != now[0] {
                say("identities", self.gate.reload());
            }
            if let Some(encryption) = self.encryption.as_ref().filter(|_| seen[1] != now[1]) {
                say("certificates", encryption.reload());
            }
            seen = now;
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
