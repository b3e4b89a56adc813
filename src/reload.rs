//! Other rules while running: the settings are read again, and another policy comes into force by an entry of the journal.
//!
//! Files are read again at an interval rather than watched: that also sees what a Kubernetes `ConfigMap` does, which swaps a
//! symbolic link two folders up.

use crate::clock::{Clock, Jumped};
use crate::config::{Config, Problems};
use crate::domain::{Payload, Policy};
use crate::journal::{self, Journal};
use crate::pipeline::{Trouble, View};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Why a policy did not come into force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The journal takes no entry.
    #[error("the policy cannot be adopted")]
    Journal(#[from] journal::Error),
    /// The clock cannot be trusted.
    #[error(transparent)]
    Clock(#[from] Jumped),
    /// The entry was not applied.
    #[error("the policy was not applied")]
    Trouble(#[from] Trouble),
}

/// Where other settings come from.
pub struct Reload {
    /// Reads them all anew.
    pub read: Box<dyn Fn() -> Result<Config, Problems> + Send + Sync>,
    /// Rung to have them read at once, as SIGHUP does.
    pub told: Arc<Notify>,
}

/// Keeps the policy in force as the settings say.
pub(crate) struct Keeper {
    pub(crate) reload: Reload,
    /// The settings that the process runs with.
    pub(crate) running: Config,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) view: View,
    pub(crate) clock: Clock,
    /// Why the settings as they are written now did not come into force; empty where they did.
    pub(crate) refused: watch::Sender<String>,
}

impl Keeper {
    /// Runs until told to stop.
    ///
    /// # Errors
    ///
    /// When the journal takes no more entries.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        loop {
            let every = Duration::from_millis(self.running.reload.every_ms);
            let wait = async {
                if every.is_zero() { pending().await } else { tokio::time::sleep(every).await }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.reload.told.notified() => tracing::info!("told to read the settings again"),
                () = wait => {}
            }
            self.look().await?;
        }
    }

    /// Reads the settings once. What is faulty is said once, and changes nothing.
    async fn look(&mut self) -> Result<(), Error> {
        let config = match (self.reload.read)() {
            Ok(config) => config,
            Err(problems) => {
                let why = problems.to_string();
                if *self.refused.borrow() != why {
                    tracing::error!(
                        problems = why,
                        "the settings were changed and are refused; those before stay"
                    );
                    self.refused.send_replace(why);
                }
                return Ok(());
            }
        };
        self.refused.send_if_modified(|why| !std::mem::take(why).is_empty());
        let same = Config { policy: self.running.policy.clone(), ..config.clone() } == self.running;
        if !same {
            tracing::warn!("settings besides the policy were changed; they need a restart");
            self.running = Config { policy: self.running.policy.clone(), ..config.clone() };
        }
        if config.policy != self.running.policy {
            match adopt(&*self.journal, &self.view, &self.clock, &config.policy).await {
                // Tried again with the next look; the clock and the journal have said why.
                Err(Error::Clock(_) | Error::Journal(journal::Error::Unreachable { .. })) => {}
                adopted => {
                    adopted?;
                    self.running.policy = config.policy;
                }
            }
        }
        Ok(())
    }
}

/// Brings a policy into force, if another one is.
///
/// # Errors
///
/// When the journal takes no entry.
pub(crate) async fn adopt(
    journal: &dyn Journal,
    view: &View,
    clock: &Clock,
    policy: &Policy,
) -> Result<(), Error> {
    let is_in_force = |state: &crate::engine::State| {
        state.adopted().is_some_and(|adopted| *adopted.policy == *policy)
    };
    if view.look(is_in_force) {
        return Ok(());
    }
    let adopted = Payload::PolicyAdopted(Arc::new(policy.clone()));
    let entry = journal.append(clock.stamp()?, adopted).await?;
    view.wait_for(entry).await?;
    tracing::info!(policy_version = entry.0, "policy adopted");
    Ok(())
}
