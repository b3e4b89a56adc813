//! What would be if: courses that a copy of the state may take. The state itself is not touched.

use super::State;
use crate::domain::update::{Batch, BatchOutcome, Payload, Rejection};
use crate::domain::{Alert, Day, Entry, Policy, Timestamp};
use std::sync::Arc;

/// What is supposed: a policy, then a batch, then time.
#[derive(Debug, Default)]
pub struct SimulationInput {
    /// The policy that would be in force.
    pub policy: Option<Arc<Policy>>,
    /// What a feed would say.
    pub batch: Option<Batch>,
    /// The day through which time would pass.
    pub until: Option<Day>,
}

/// A state on a course of its own.
#[derive(Debug)]
pub struct Simulation {
    /// The state.
    pub state: State,
    /// What was told on the way, in order.
    pub alerts: Vec<Alert>,
}

impl Simulation {
    /// From a state, as if the answers to batches so far were forgotten.
    pub fn from(state: &State) -> Self {
        Self { state: state.branch(), alerts: Vec::new() }
    }

    /// Takes a hypothesis.
    ///
    /// # Errors
    ///
    /// Why the batch would be refused.
    pub fn apply(&mut self, hypothesis: SimulationInput) -> Result<(), Vec<Rejection>> {
        let SimulationInput { policy, batch, until } = hypothesis;
        let now = self.state.now();
        if let Some(policy) = policy {
            let revision = self.state.adopted().map_or(0, |adopted| adopted.revision);
            self.take(now, Payload::PolicyAdopted { revision, policy });
        }
        if let Some(batch) = batch {
            let id = batch.request_id;
            self.take(now, Payload::Batch(batch));
            let answered = self.state.recent_batches().get(id).map(|answered| &answered.outcome);
            if let Some(BatchOutcome::Rejected(rejections)) = answered {
                return Err(rejections.clone());
            }
        }
        if let Some(day) = until {
            self.advance_to(day.end());
        }
        Ok(())
    }

    /// Lets time pass, if the instant is still to come.
    pub fn advance_to(&mut self, at: Timestamp) {
        self.take(at.max(self.state.now()), Payload::Tick { due: at });
    }

    fn take(&mut self, at: Timestamp, payload: Payload) {
        let entry = Entry { seq: self.state.seq().next(), at, payload };
        self.alerts.extend(self.state.apply(&entry).alerts);
    }
}

/// A journal's history under another policy.
#[derive(Debug)]
pub struct Backtest {
    state: State,
    refused: u64,
}

impl Backtest {
    /// Before the first entry, with the policy in force from the beginning.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self { state: State::under(policy), refused: 0 }
    }

    /// Applies the next entry of the history, and gives the alerts that would have been sent. Policies of the history are
    /// passed over.
    pub fn take(&mut self, mut entry: Entry) -> Vec<Alert> {
        if matches!(entry.payload, Payload::PolicyAdopted { .. }) {
            entry.payload = Payload::Tick { due: entry.at };
        }
        let alerts = self.state.apply(&entry).alerts;
        if let Payload::Batch(batch) = &entry.payload {
            let answered = self.state.recent_batches().get(batch.request_id);
            let refused = answered.is_some_and(|one| {
                one.entry == entry.seq && matches!(one.outcome, BatchOutcome::Rejected(_))
            });
            self.refused = self.refused.saturating_add(u64::from(refused));
        }
        alerts
    }

    /// The time it has come to.
    pub fn now(&self) -> Timestamp {
        self.state.now()
    }

    /// Batches refused so far, by this policy or by the history.
    pub fn rejected(&self) -> u64 {
        self.refused
    }
}
