//! The position of every reader, so that lag can be measured from outside.
//!
//! A reader is not polled while its peer does not read, so it cannot report its own lag. Each
//! reader therefore stores its position where the metrics can read it: moving it costs one atomic
//! store and waits for nothing.

use lodewatch_core::domain::Seq;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The positions of all readers.
#[derive(Debug, Default)]
pub(super) struct LagTrackers(Mutex<TrackedReaders>);

#[derive(Debug, Default)]
struct TrackedReaders {
    next_id: u64,
    position_by_id: BTreeMap<u64, Arc<AtomicU64>>,
}

/// The position of one reader. The reader removes it when it is dropped.
#[derive(Debug)]
pub(super) struct LagTracker {
    id: u64,
    entry: Arc<AtomicU64>,
}

impl LagTrackers {
    /// Tracks one more reader, whose position is `entry`.
    pub(super) fn add(&self, entry: Seq) -> LagTracker {
        let mut readers = self.lock();
        let id = readers.next_id;
        readers.next_id = id.wrapping_add(1);
        let entry = Arc::new(AtomicU64::new(entry.0));
        readers.position_by_id.insert(id, Arc::clone(&entry));
        LagTracker { id, entry }
    }

    pub(super) fn remove(&self, tracker: &LagTracker) {
        self.lock().position_by_id.remove(&tracker.id);
    }

    /// The last entry that each reader has passed.
    pub(super) fn positions(&self) -> Vec<Seq> {
        let readers = self.lock();
        readers.position_by_id.values().map(|entry| Seq(entry.load(Ordering::Relaxed))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, TrackedReaders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LagTracker {
    pub(super) fn move_to(&self, entry: Seq) {
        self.entry.store(entry.0, Ordering::Relaxed);
    }
}
