//! The policy in the settings: adopted by an entry of the journal, at the start and when it
//! changes.

use super::reloader::{Reloadable, Reloaded};
use crate::clock::{Clock, ClockJump};
use crate::config::{self, Config};
use crate::journal::{self, Journal};
use crate::pipeline::{PipelineView, Stall};
use lodewatch_core::domain::{Payload, Seq};
use std::sync::Arc;
use std::time::Duration;

/// Why a policy was not adopted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot append the policy to the journal")]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Clock(#[from] ClockJump),
    #[error("cannot apply the policy")]
    Stall(#[from] Stall),
}

/// Reads the settings again: file, environment and flags.
pub type SettingsSource = Box<dyn Fn() -> Result<Config, config::Error> + Send + Sync>;

/// Keeps the policy in force as the settings define it.
pub(crate) struct PolicyReloader {
    pub(crate) read_settings: SettingsSource,
    /// The settings that were read last.
    pub(crate) current: Config,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) view: PipelineView,
    pub(crate) clock: Clock,
}

impl Reloadable for PolicyReloader {
    type Fatal = Error;

    fn name(&self) -> &'static str {
        "settings"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(self.current.reload.interval_ms)
    }

    async fn reload(&mut self) -> Result<Reloaded, Error> {
        let config = match (self.read_settings)() {
            Ok(config) => config,
            Err(error) => return Ok(Reloaded::Rejected(error.to_string())),
        };
        let (policy, policy_revision) = (self.current.policy.clone(), self.current.policy_revision);
        if (Config { policy_revision, policy, ..config.clone() }) != self.current {
            tracing::warn!("settings other than the policy have changed, restart to apply them");
        }
        self.current = config;
        match adopt_policy(&*self.journal, &self.view, &self.clock, &self.current).await {
            // Retried at the next reload; the clock, the journal and the pipeline log the error.
            Err(
                Error::Clock(_)
                | Error::Stall(_)
                | Error::Journal(journal::Error::Unreachable { .. }),
            ) => Ok(Reloaded::Unchanged),
            Ok(None) => Ok(Reloaded::InUse),
            Ok(Some(not_adopted)) => Ok(Reloaded::Rejected(not_adopted.to_string())),
            Err(error) => Err(error),
        }
    }
}

/// Why the policy in the settings is not in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdopted {
    /// Other replicas have newer settings, or these are an old copy.
    #[error(
        "cannot adopt the policy: policy_revision {ours} of these settings is lower than {in_force} of the policy in force; \
         give the newer settings the higher number"
    )]
    Older { in_force: u64, ours: u64 },
    /// Replicas with different settings would adopt their policies in turns.
    #[error(
        "cannot adopt the policy: a different policy with the same policy_revision {revision} is in force and the journal is shared \
         by replicas; give the newer settings a higher number"
    )]
    Ambiguous { revision: u64 },
}

/// Adopts the policy in the settings, if a different policy is in force and it is not newer;
/// returns why it does not.
///
/// # Errors
///
/// If the journal rejects the entry.
pub(crate) async fn adopt_policy(
    journal: &dyn Journal,
    view: &PipelineView,
    clock: &Clock,
    config: &Config,
) -> Result<Option<NotAdopted>, Error> {
    let (policy, ours) = (&config.policy, config.policy_revision);
    let adopted = view.read_state(|state| {
        state.adopted().map(|adopted| (adopted.revision, *adopted.policy == *policy))
    });
    let not_adopted = match adopted {
        Some((in_force, true)) if in_force >= ours => return Ok(None),
        Some((in_force, false)) if in_force > ours => Some(NotAdopted::Older { in_force, ours }),
        Some((in_force, false)) if in_force == ours && journal.is_shared() => {
            Some(NotAdopted::Ambiguous { revision: ours })
        }
        Some(_) | None => None,
    };
    if not_adopted.is_some() {
        return Ok(not_adopted);
    }
    let adopted = Payload::PolicyAdopted { revision: ours, policy: Arc::new(policy.clone()) };
    let entry = journal.append(clock.stamp()?, adopted).await?;
    view.wait_for(entry).await?;
    let version =
        view.read_state(|state| state.adopted().map_or(Seq::ZERO, |adopted| adopted.version));
    tracing::info!(policy_version = version.0, policy_revision = ours, "adopted the policy");
    Ok(None)
}
