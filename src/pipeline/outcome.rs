//! What came of an entry.

use crate::domain::policy::Level;
use crate::domain::update::{Answer, Outcome, Trace};
use crate::domain::{Alert, Entry, Payload};
use crate::engine::{Answered, State};
use crate::metrics::Pipeline;
use std::sync::Arc;

/// The answer to an entry's batch.
pub(super) fn answer(state: &State, entry: &Entry) -> Option<Arc<Answered>> {
    match &entry.payload {
        Payload::Batch(batch) => state.requests().get(batch.request_id).cloned(),
        Payload::PolicyAdopted(_) | Payload::PolicyRevised { .. } | Payload::Tick { .. } => None,
    }
}

/// Where the trace of an entry's batch goes on.
pub(super) fn trace(entry: &Entry) -> Option<Trace> {
    match &entry.payload {
        Payload::Batch(batch) => batch.trace,
        Payload::PolicyAdopted(_) | Payload::PolicyRevised { .. } | Payload::Tick { .. } => None,
    }
}

/// Counts the alerts of an entry, and what its updates came to.
pub(super) fn count(
    metrics: &Pipeline,
    entry: &Entry,
    alerts: &[Alert],
    answered: Option<&Answered>,
) {
    for alert in alerts {
        metrics.alert(alert.kind.name(), alert.level.map_or("none", Level::name));
    }
    // What was answered by an earlier entry was counted with that.
    let answered = answered.filter(|answered| answered.entry == entry.seq);
    if let (Payload::Batch(batch), Some(answered)) = (&entry.payload, answered) {
        match &answered.answer {
            Answer::Refused(_) => metrics.updates("rejected", batch.updates.len()),
            Answer::Accepted(outcomes) => {
                for (outcome, name) in [
                    (Outcome::Applied, "applied"),
                    (Outcome::Unchanged, "unchanged"),
                    (Outcome::Superseded, "superseded"),
                ] {
                    let count = outcomes.iter().filter(|one| **one == outcome).count();
                    if count > 0 {
                        metrics.updates(name, count);
                    }
                }
            }
        }
    }
}
