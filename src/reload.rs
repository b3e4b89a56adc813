//! Other rules while running: the settings are read again, and another policy comes into force by an entry of the journal.
//!
//! Files are read again at an interval rather than watched: that also sees what a Kubernetes `ConfigMap` does, which swaps a
//! symbolic link two folders up.

use crate::clock::{Clock, Jumped};
use crate::config::{self, Config};
use crate::domain::{Payload, Seq};
use crate::journal::{self, Journal};
use crate::pipeline::{PipelineView, Stall};
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
    Stall(#[from] Stall),
}

/// Where other settings come from.
pub struct Reload {
    /// Reads them all anew.
    pub read: Box<dyn Fn() -> Result<Config, config::Error> + Send + Sync>,
    /// Rung to have them read at once, as SIGHUP does.
    pub told: Arc<Notify>,
}

/// Keeps the policy in force as the settings say.
pub(crate) struct PolicyReloader {
    pub(crate) reload: Reload,
    /// The settings that the process runs with.
    pub(crate) running: Config,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) view: PipelineView,
    pub(crate) clock: Clock,
    /// Why the settings as they are written now did not come into force; empty where they did.
    pub(crate) settings_error: watch::Sender<String>,
}

impl PolicyReloader {
    /// Runs until told to stop.
    ///
    /// # Errors
    ///
    /// When the journal takes no more entries.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        loop {
            self.look().await?;
            let every = Duration::from_millis(self.running.reload.interval_ms);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.reload.told.notified() => tracing::info!("told to read the settings again"),
                () = interval(every) => {}
            }
        }
    }

    /// Reads the settings once. What is faulty is said once, and changes nothing.
    async fn look(&mut self) -> Result<(), Error> {
        let config = match (self.reload.read)() {
            Ok(config) => config,
            Err(problems) => {
                let why = problems.to_string();
                if *self.settings_error.borrow() != why {
                    tracing::error!(
                        problems = why,
                        "the settings were changed and are refused; those before stay"
                    );
                    self.settings_error.send_replace(why);
                }
                return Ok(());
            }
        };
        let (policy, policy_revision) = (self.running.policy.clone(), self.running.policy_revision);
        if (Config { policy_revision, policy, ..config.clone() }) != self.running {
            tracing::warn!("settings besides the policy were changed; they need a restart");
        }
        self.running = config;
        match adopt(&*self.journal, &self.view, &self.clock, &self.running).await {
            // Tried again with the next look; the clock, the journal and the loop have said why.
            Err(
                Error::Clock(_)
                | Error::Stall(_)
                | Error::Journal(journal::Error::Unreachable { .. }),
            ) => {}
            adopted => self.tell(adopted?),
        }
        Ok(())
    }

    /// Says why the settings do not come into force, once.
    fn tell(&self, passed_over: Option<PassedOver>) {
        let why = passed_over.map(|why| why.to_string()).unwrap_or_default();
        if *self.settings_error.borrow() == why {
            return;
        }
        if !why.is_empty() {
            tracing::error!(why, "the policy of the settings does not come into force");
        }
        self.settings_error.send_replace(why);
    }
}

/// Waits until it is time to look again; for ever where that is only when told to, which 0 says.
pub(crate) async fn interval(every: Duration) {
    if every.is_zero() { pending().await } else { tokio::time::sleep(every).await }
}

/// Why a policy stays what it is although the settings say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PassedOver {
    /// Other replicas have newer settings, or these are an old copy.
    #[error(
        "the policy in force has policy_revision {in_force}, these settings have {ours}: the higher number stays in force"
    )]
    Older {
        /// Of the policy in force.
        in_force: u64,
        /// Of the settings.
        ours: u64,
    },
    /// Replicas whose settings differ would take turns.
    #[error(
        "another policy is in force under the same policy_revision {revision}; the journal has many replicas, so give the newer \
         settings a higher number"
    )]
    Ambiguous {
        /// Of both.
        revision: u64,
    },
}

/// Brings the policy of the settings into force, if another one is and it is not newer; says why it does not.
///
/// # Errors
///
/// When the journal takes no entry.
pub(crate) async fn adopt(
    journal: &dyn Journal,
    view: &PipelineView,
    clock: &Clock,
    config: &Config,
) -> Result<Option<PassedOver>, Error> {
    let (policy, ours) = (&config.policy, config.policy_revision);
    let in_force = view.read_state(|state| {
        state.adopted().map(|adopted| (adopted.revision, *adopted.policy == *policy))
    });
    let passed_over = match in_force {
        Some((in_force, true)) if in_force >= ours => return Ok(None),
        Some((in_force, false)) if in_force > ours => Some(PassedOver::Older { in_force, ours }),
        Some((in_force, false)) if in_force == ours && journal.is_shared() => {
            Some(PassedOver::Ambiguous { revision: ours })
        }
        Some(_) | None => None,
    };
    if passed_over.is_some() {
        return Ok(passed_over);
    }
    let adopted = Payload::PolicyAdopted { revision: ours, policy: Arc::new(policy.clone()) };
    let entry = journal.append(clock.stamp()?, adopted).await?;
    view.wait_for(entry).await?;
    let version =
        view.read_state(|state| state.adopted().map_or(Seq::ZERO, |adopted| adopted.version));
    tracing::info!(policy_version = version.0, policy_revision = ours, "policy in force");
    Ok(None)
}
