//! How many of something each one has open, and no more than it may.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What each one has open. Whoever has nothing is forgotten.
pub(super) struct Counts<K: Ord>(Mutex<BTreeMap<K, usize>>);

/// One of them. Dropping it makes room for another.
pub(super) struct Place<K: Ord> {
    whose: K,
    counts: Arc<Counts<K>>,
}

impl<K: Ord> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone> Counts<K> {
    /// One more, where it is not more than `max`.
    pub(super) fn take(self: &Arc<Self>, whose: K, max: usize) -> Option<Place<K>> {
        let mut open = self.lock();
        let count = open.get(&whose).copied().unwrap_or_default();
        if count >= max {
            return None;
        }
        open.insert(whose.clone(), count.saturating_add(1));
        Some(Place { whose, counts: Arc::clone(self) })
    }
}

impl<K: Ord> Counts<K> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord> Drop for Place<K> {
    fn drop(&mut self) {
        let mut open = self.counts.lock();
        let count = open.get_mut(&self.whose).expect("a place is counted");
        *count = count.saturating_sub(1);
        if *count == 0 {
            open.remove(&self.whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_room_and_whoever_has_nothing_is_forgotten() {
        let counts = Arc::new(Counts::default());
        let first = counts.take("a", 2).unwrap();
        let _second = counts.take("a", 2).unwrap();
        assert!(counts.take("a", 2).is_none());
        drop(counts.take("b", 2).unwrap());
        drop(first);
        drop(counts.take("a", 2).unwrap());
        assert_eq!(counts.lock().len(), 1);
    }
}
