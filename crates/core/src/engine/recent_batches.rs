//! The results of recent batches, so that a retry gets the first answer again.
//!
//! Each identity has its own: request ids of two identities never meet, and no identity can push
//! out the results of another one by publishing much.
//!
//! | limit | what is forgotten at the limit |
//! |---|---|
//! | batches and bytes of one identity | its oldest results |
//! | bytes of all identities | the oldest results of the identity that has the most bytes |
//! | identities | all results of one: the least recent of the entry with the most identities |
//!
//! An identity `ENTRY/SUBJECT` is one of a token. An entry of the identities file can have any
//! number of subjects, and so displaces its own before those of other entries.

use crate::domain::Seq;
use crate::domain::outcome::BatchOutcome;
use crate::domain::update::RequestId;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The result of a batch. Persisted in snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResult {
    /// The digest of the batch's content.
    pub digest: u128,
    /// The entry that held the batch.
    pub entry: Seq,
    /// The outcome of the batch.
    pub outcome: BatchOutcome,
    /// The alerts the batch caused: the sequence of the first, and how many.
    pub alerts: (u64, u64),
}

impl BatchResult {
    /// The memory of a result with its ids, beside that of the outcome, in bytes.
    const MEMORY_BYTES: usize = 192;

    /// The memory it uses where it is kept, in bytes.
    fn memory_bytes(&self) -> usize {
        self.outcome.memory_bytes().saturating_add(Self::MEMORY_BYTES)
    }
}

/// The results of recent batches, by identity.
#[derive(Debug, Clone, Default)]
pub struct RecentBatches {
    /// By the sender's name; batches without a sender have the name "".
    by_sender: BTreeMap<Arc<str>, SenderBatches>,
    bytes: usize,
}

/// The results of one identity; at least one.
#[derive(Debug, Clone, Default)]
struct SenderBatches {
    by_id: BTreeMap<RequestId, Arc<BatchResult>>,
    /// Oldest first.
    order: VecDeque<RequestId>,
    bytes: usize,
    /// The entry of the newest.
    newest: Seq,
}

impl RecentBatches {
    /// The limit of the batches of one identity whose results are kept. A retry of an older batch
    /// counts as a new batch.
    pub const IDENTITY_BATCHES_MAX: usize = 65_536;

    /// The limit of the memory for the results of one identity, in bytes: 16 MiB. The last 2,000
    /// always fit.
    pub const IDENTITY_BYTES_MAX: usize = 16 << 20;

    /// The limit of the identities whose results are kept.
    pub const IDENTITIES_MAX: usize = 2048;

    /// The limit of the memory for all results, in bytes: 64 MiB.
    pub const BYTES_MAX: usize = 64 << 20;

    /// The result of an identity's batch; `None` if it was never sent or is no longer kept. The
    /// sender is `None` for batches without one.
    pub fn get(&self, sender: Option<&str>, id: RequestId) -> Option<&Arc<BatchResult>> {
        self.by_sender.get(sender.unwrap_or_default())?.by_id.get(&id)
    }

    /// The memory for all results, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of identities whose results are kept.
    pub fn identities(&self) -> usize {
        self.by_sender.len()
    }

    /// Keeps a result, and forgets others at the limits.
    pub(super) fn insert(&mut self, sender: Option<&str>, id: RequestId, result: Arc<BatchResult>) {
        let name = sender.unwrap_or_default();
        if !self.by_sender.contains_key(name) {
            if self.by_sender.len() >= Self::IDENTITIES_MAX {
                self.forget_identity();
            }
            self.by_sender.insert(Arc::from(name), SenderBatches::default());
        }
        let Some(own) = self.by_sender.get_mut(name) else { return };
        let before = own.bytes;
        own.insert(id, result);
        while own.order.len() > Self::IDENTITY_BATCHES_MAX || own.bytes > Self::IDENTITY_BYTES_MAX {
            own.forget_oldest();
        }
        self.bytes = self.bytes.saturating_sub(before).saturating_add(own.bytes);
        while self.bytes > Self::BYTES_MAX {
            let largest = self.by_sender.values_mut().max_by_key(|one| one.bytes);
            let freed = largest.map_or(0, SenderBatches::forget_oldest);
            self.bytes = self.bytes.saturating_sub(freed);
        }
    }

    /// Forgets the identity that published least recently, of the entry with the most identities.
    fn forget_identity(&mut self) {
        let mut entries: BTreeMap<&str, (usize, Seq, &Arc<str>)> = BTreeMap::new();
        for (name, one) in &self.by_sender {
            let entry = name.split_once('/').map_or(&**name, |(entry, _)| entry);
            let (count, newest, least) = entries.entry(entry).or_insert((0, one.newest, name));
            *count = count.saturating_add(1);
            if one.newest < *newest {
                (*newest, *least) = (one.newest, name);
            }
        }
        let chosen =
            entries.into_values().max_by_key(|(count, newest, _)| (*count, Reverse(*newest)));
        if let Some(name) = chosen.map(|(.., name)| Arc::clone(name))
            && let Some(forgotten) = self.by_sender.remove(&name)
        {
            self.bytes = self.bytes.saturating_sub(forgotten.bytes);
        }
    }

    /// The results of every identity, oldest first, by its name.
    pub(super) fn iter(
        &self,
    ) -> impl Iterator<Item = (&Arc<str>, impl Iterator<Item = (RequestId, &Arc<BatchResult>)>)>
    {
        self.by_sender.iter().map(|(name, one)| {
            (name, one.order.iter().filter_map(|id| Some((*id, one.by_id.get(id)?))))
        })
    }
}

impl SenderBatches {
    fn insert(&mut self, id: RequestId, result: Arc<BatchResult>) {
        self.bytes = self.bytes.saturating_add(result.memory_bytes());
        self.newest = result.entry;
        let before = self.by_id.insert(id, result);
        assert!(before.is_none(), "a batch has one result");
        self.order.push_back(id);
    }

    /// Returns the freed bytes.
    fn forget_oldest(&mut self) -> usize {
        let oldest = self.order.pop_front().and_then(|id| self.by_id.remove(&id));
        let freed = oldest.map_or(0, |result| result.memory_bytes());
        self.bytes = self.bytes.saturating_sub(freed);
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::RejectedBatch;
    use crate::domain::update::{Rejection, Removal, Sender, UpdateOutcome};
    use crate::domain::{Batch, Entry, Payload, Slug, Timestamp, Update};
    use crate::engine::State;

    /// An outcome of 1,000 rejections.
    fn rejected() -> BatchOutcome {
        let unknown = |update| {
            let threat = Slug::parse(&format!("THREAT-{update}")).unwrap();
            Rejection::UnknownThreat { update, threat }
        };
        BatchOutcome::Rejected(RejectedBatch::new((0..1000).map(unknown).collect()))
    }

    fn applied() -> BatchOutcome {
        BatchOutcome::Accepted([UpdateOutcome::Applied].into_iter().collect())
    }

    fn publish(results: &mut RecentBatches, sender: &str, entry: u64, outcome: &BatchOutcome) {
        let (entry, outcome) = (Seq(entry), outcome.clone());
        let result = BatchResult { digest: 7, entry, outcome, alerts: (1, 0) };
        results.insert(Some(sender), RequestId(entry.0.into()), Arc::new(result));
    }

    fn assert_bytes(results: &RecentBatches) {
        let sum: usize = results.by_sender.values().map(|one| one.bytes).sum();
        assert_eq!(results.bytes, sum);
        assert!(sum <= RecentBatches::BYTES_MAX);
    }

    fn has(results: &RecentBatches, sender: &str, entry: u64) -> bool {
        results.get(Some(sender), RequestId(entry.into())).is_some()
    }

    #[test]
    fn an_identity_pushes_out_its_own_results_only() {
        let mut results = RecentBatches::default();
        publish(&mut results, "victim", 1, &applied());
        let flood = u64::try_from(RecentBatches::IDENTITY_BATCHES_MAX).unwrap() + 5;
        let (applied, rejected) = (applied(), rejected());
        for entry in 2..2 + flood {
            publish(&mut results, "flood", entry, &applied);
        }
        assert!(has(&results, "victim", 1));
        assert!(!has(&results, "flood", 1), "ids of two identities do not meet");
        assert!(!has(&results, "flood", 6) && has(&results, "flood", 7));
        for entry in 2 + flood..2 + flood + 10_000 {
            publish(&mut results, "flood", entry, &rejected);
        }
        assert_bytes(&results);
        let flooded = &results.by_sender["flood"];
        assert!(flooded.bytes <= RecentBatches::IDENTITY_BYTES_MAX);
        assert!(flooded.order.len() > 4000);
        assert!(has(&results, "victim", 1));
    }

    #[test]
    fn a_retry_is_not_applied_again_after_a_flood_of_another_publisher() {
        let removal = Removal { threat: Slug::parse("T").unwrap(), revision: None };
        let batch = |sender: &str, id: u128| Batch {
            request_id: RequestId(id),
            digest: 7,
            feed: Slug::parse("feed").unwrap(),
            exercise: false,
            updates: vec![Update::Removal(removal.clone())],
            sender: Some(Sender { name: sender.into(), write_scope: None }),
            trace: None,
        };
        let mut state = State::default();
        let mut apply = |batch: &Batch| {
            let (seq, payload) = (state.seq().next(), Payload::Batch(batch.clone()));
            state.apply(&Entry { seq, at: Timestamp::MIN, payload });
            state.result_of(batch).unwrap().entry
        };
        let of_victim = batch("victim", 1);
        assert_eq!(apply(&of_victim), Seq(1));
        for id in 0..RecentBatches::IDENTITY_BATCHES_MAX + 5 {
            apply(&batch("flood", u128::try_from(id).unwrap()));
        }
        assert_eq!(apply(&of_victim), Seq(1), "the first result");
    }

    #[test]
    fn when_all_results_reach_their_limit_the_largest_identity_loses_its_oldest() {
        let mut results = RecentBatches::default();
        let (flood, rejected) = (["a", "b", "c", "d", "e", "f"], rejected());
        publish(&mut results, "victim", 1, &rejected);
        for entry in 2..30_000 {
            let sender = flood[usize::try_from(entry).unwrap() % flood.len()];
            publish(&mut results, sender, entry, &rejected);
        }
        assert_bytes(&results);
        assert!(results.bytes > RecentBatches::BYTES_MAX - 10_000, "the limit was reached");
        assert!(has(&results, "victim", 1));
        let counts = flood.map(|name| results.by_sender[name].order.len());
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most - least <= 1, "equal shares: {counts:?}");
    }

    #[test]
    fn subjects_of_one_entry_displace_each_other_first() {
        let mut results = RecentBatches::default();
        publish(&mut results, "desk", 1, &applied());
        publish(&mut results, "other/alice", 2, &applied());
        let subjects = u64::try_from(RecentBatches::IDENTITIES_MAX).unwrap() + 10;
        for subject in 3..3 + subjects {
            publish(&mut results, &format!("users/{subject}"), subject, &applied());
        }
        assert_eq!(results.identities(), RecentBatches::IDENTITIES_MAX);
        assert!(has(&results, "desk", 1) && has(&results, "other/alice", 2));
        assert!(!has(&results, "users/3", 3), "the least recent");
        let last = 2 + subjects;
        assert!(has(&results, &format!("users/{last}"), last));
    }
}
