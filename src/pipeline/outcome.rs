//! What came of an entry.

use crate::domain::policy::Level;
use crate::domain::update::{BatchOutcome, TraceContext, UpdateOutcome};
use crate::domain::{Alert, Entry, Payload};
use crate::engine::{BatchResult, State};
use crate::metrics::Pipeline;
use std::sync::Arc;

/// The answer to an entry's batch.
pub(super) fn answer(state: &State, entry: &Entry) -> Option<Arc<BatchResult>> {
    match &entry.payload {
        Payload::Batch(batch) => state.recent_batches().get(batch.request_id).cloned(),
        Payload::PolicyAdopted(_) | Payload::PolicyRevised { .. } | Payload::Tick { .. } => None,
    }
}

/// Where the trace of an entry's batch goes on.
pub(super) fn trace(entry: &Entry) -> Option<TraceContext> {
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
    answered: Option<&BatchResult>,
) {
    for alert in alerts {
        metrics.alert(alert.kind.name(), alert.level.map_or("none", Level::name));
    }
    // What was answered by an earlier entry was counted with that.
    let answered = answered.filter(|answered| answered.entry == entry.seq);
    if let (Payload::Batch(batch), Some(answered)) = (&entry.payload, answered) {
        match &answered.outcome {
            BatchOutcome::Rejected(_) => metrics.updates("rejected", batch.updates.len()),
            BatchOutcome::Accepted(outcomes) => {
                for (outcome, name) in [
                    (UpdateOutcome::Applied, "applied"),
                    (UpdateOutcome::Unchanged, "unchanged"),
                    (UpdateOutcome::Superseded, "superseded"),
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
