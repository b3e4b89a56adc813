//! The answers to batches, so that a retry gets the first one.

use crate::domain::Seq;
use crate::domain::update::{BatchOutcome, RequestId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What became of a batch. Persisted in snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResult {
    /// The digest of its content.
    pub digest: u128,
    /// The entry that held it.
    pub entry: Seq,
    /// What it came to.
    pub outcome: BatchOutcome,
    /// The alerts it caused: the sequence of the first, and how many.
    pub alerts: (u64, u64),
}

/// The answers to the last batches.
#[derive(Debug, Clone, Default)]
pub struct RecentBatches {
    by_id: BTreeMap<RequestId, Arc<BatchResult>>,
    order: VecDeque<RequestId>,
}

impl RecentBatches {
    /// How many answers are kept; a retry of an older batch is a batch of its own.
    pub const KEPT_MAX: usize = 65_536;

    /// The answer to a batch, if it is kept.
    pub fn get(&self, id: RequestId) -> Option<&Arc<BatchResult>> {
        self.by_id.get(&id)
    }

    /// Keeps an answer; forgets the oldest at the limit.
    pub(super) fn keep(&mut self, id: RequestId, answered: Arc<BatchResult>) {
        if self.order.len() >= Self::KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        let before = self.by_id.insert(id, answered);
        assert!(before.is_none(), "a batch is answered once");
        self.order.push_back(id);
    }

    /// All answers, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (RequestId, &Arc<BatchResult>)> {
        self.order.iter().filter_map(|id| Some((*id, self.by_id.get(id)?)))
    }
}
