//! Simulations: what would happen, computed on a copy of the state. The state itself is not
//! changed.

use super::State;
use crate::domain::outcome::{BatchOutcome, RejectedBatch};
use crate::domain::update::{Batch, Payload};
use crate::domain::{Alert, Day, Entry, Policy, Timestamp};
use std::sync::Arc;

/// What to simulate, in this order: a policy, then a batch, then time.
#[derive(Debug, Default)]
pub struct SimulationInput {
    /// The policy to adopt.
    pub policy: Option<Arc<Policy>>,
    /// The batch to apply.
    pub batch: Option<Batch>,
    /// The day until whose end time passes.
    pub until: Option<Day>,
}

/// A copy of a state, and the alerts emitted since.
#[derive(Debug)]
pub struct Simulation {
    /// The simulated state.
    pub state: State,
    /// The alerts emitted, in order.
    pub alerts: Vec<Alert>,
}

impl Simulation {
    /// Starts from a state. The copy does not know the results of previous batches.
    pub fn from(state: &State) -> Self {
        Self { state: state.branch(), alerts: Vec::new() }
    }

    /// Applies an input.
    ///
    /// # Errors
    ///
    /// Why the batch was rejected.
    pub fn apply(&mut self, input: SimulationInput) -> Result<(), RejectedBatch> {
        let SimulationInput { policy, batch, until } = input;
        let now = self.state.now();
        if let Some(policy) = policy {
            let revision = self.state.adopted().map_or(0, |adopted| adopted.revision);
            self.apply_entry(now, Payload::PolicyAdopted { revision, policy });
        }
        if let Some(batch) = batch {
            let (sender, id) = (batch.sender.clone(), batch.request_id);
            self.apply_entry(now, Payload::Batch(batch));
            let sender = sender.as_ref().map(|sender| &*sender.name);
            let result = self.state.recent_batches().get(sender, id);
            if let Some(BatchOutcome::Rejected(rejected)) = result.map(|result| &result.outcome) {
                return Err(rejected.clone());
            }
        }
        if let Some(day) = until {
            self.advance_to(day.end());
        }
        Ok(())
    }

    /// Lets time pass until an instant, unless that has passed.
    pub fn advance_to(&mut self, at: Timestamp) {
        self.apply_entry(at.max(self.state.now()), Payload::Tick { due: at });
    }

    fn apply_entry(&mut self, at: Timestamp, payload: Payload) {
        let entry = Entry { seq: self.state.seq().next(), at, payload };
        self.alerts.extend(self.state.apply(&entry).alerts);
    }
}

/// A journal's history under another policy.
#[derive(Debug)]
pub struct Backtest {
    state: State,
    rejected: u64,
}

impl Backtest {
    /// Before the first entry, with the policy in force from the beginning.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self { state: State::under(policy), rejected: 0 }
    }

    /// Applies the next entry of the history, and returns the alerts it would have caused. Policies
    /// of the history are ignored.
    pub fn replay(&mut self, mut entry: Entry) -> Vec<Alert> {
        if matches!(entry.payload, Payload::PolicyAdopted { .. }) {
            entry.payload = Payload::Tick { due: entry.at };
        }
        let alerts = self.state.apply(&entry).alerts;
        if let Payload::Batch(batch) = &entry.payload {
            let result = self.state.result_of(batch);
            let is_rejected = result.is_some_and(|one| {
                one.entry == entry.seq && matches!(one.outcome, BatchOutcome::Rejected(_))
            });
            self.rejected = self.rejected.saturating_add(u64::from(is_rejected));
        }
        alerts
    }

    /// The time of the last entry.
    pub fn now(&self) -> Timestamp {
        self.state.now()
    }

    /// The number of batches rejected so far, under this policy or in the history.
    pub fn rejected_batches(&self) -> u64 {
        self.rejected
    }
}
