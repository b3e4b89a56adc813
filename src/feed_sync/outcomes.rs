//! What became of updates.

use crate::grpc::pb::{Outcome, PublishResponse};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many updates came to what, and how many alerts they caused. Persisted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// In the record now.
    pub applied: usize,
    /// There already.
    pub unchanged: usize,
    /// Older than what is there.
    pub superseded: usize,
    /// Alerts.
    pub alerts: usize,
}

impl Outcomes {
    /// Adds those of a batch.
    pub fn add(&mut self, response: &PublishResponse) {
        for result in &response.results {
            match result.outcome() {
                Outcome::Applied => self.applied += 1,
                Outcome::Superseded => self.superseded += 1,
                Outcome::Unchanged | Outcome::Unspecified => self.unchanged += 1,
            }
        }
        self.alerts += response.alert_sequences.len();
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { applied, unchanged, superseded, alerts } = self;
        write!(
            f,
            "{applied} applied, {unchanged} unchanged, {superseded} superseded; {alerts} alerts"
        )
    }
}
