//! The sequences of the active alerts, shared by all who read them.

use crate::pipeline::PipelineView;
use lodewatch_core::domain::Seq;
use std::sync::{Arc, Mutex, PoisonError};

/// The active alerts as they were asked for last. The list of a later entry is the same one if no
/// episode changed since.
#[derive(Default)]
pub struct OpenAlerts(Mutex<(Seq, Arc<[u64]>)>);

impl OpenAlerts {
    /// The sequence of the latest alert of every open episode, in order, after an entry.
    pub(in crate::grpc) fn get(&self, view: &PipelineView) -> (Seq, Arc<[u64]>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = view.read_state(|state| {
            (state.seq() != kept.0).then(|| (state.seq(), state.open_alerts()))
        });
        if let Some((entry, open)) = read {
            kept.0 = entry;
            if !kept.1.iter().eq(&open) {
                kept.1 = open.into_iter().collect();
            }
        }
        (kept.0, Arc::clone(&kept.1))
    }
}
