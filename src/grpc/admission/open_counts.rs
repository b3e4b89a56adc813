//! How many of something each holder has open, up to a limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open items by holder. A holder without any takes no memory.
pub(super) struct OpenCounts<K: Ord>(Mutex<BTreeMap<K, usize>>);

/// One open item of a holder. Dropping it makes room for another.
pub(super) struct Permit<K: Ord> {
    holder: K,
    counts: Arc<OpenCounts<K>>,
}

impl<K: Ord> Default for OpenCounts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone> OpenCounts<K> {
    /// `None` where the holder has `max` open.
    pub(super) fn acquire(self: &Arc<Self>, holder: K, max: usize) -> Option<Permit<K>> {
        let mut open = self.lock();
        let count = open.get(&holder).copied().unwrap_or_default();
        if count >= max {
            return None;
        }
        open.insert(holder.clone(), count.saturating_add(1));
        Some(Permit { holder, counts: Arc::clone(self) })
    }
}

impl<K: Ord> OpenCounts<K> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut open = self.counts.lock();
        let count = open.get_mut(&self.holder).expect("a permit is counted");
        *count = count.saturating_sub(1);
        if *count == 0 {
            open.remove(&self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holder_has_its_own_limit_and_one_without_permits_takes_no_memory() {
        let counts = Arc::new(OpenCounts::default());
        let first = counts.acquire("a", 2).unwrap();
        let _second = counts.acquire("a", 2).unwrap();
        assert!(counts.acquire("a", 2).is_none());
        drop(counts.acquire("b", 2).unwrap());
        drop(first);
        drop(counts.acquire("a", 2).unwrap());
        assert_eq!(counts.lock().len(), 1);
    }
}
