//! How many of something each holder has open, up to a limit; and shares of a number of places.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open items by holder. A holder without any takes no memory.
pub(super) struct OpenCounts<K: Ord>(Mutex<Counts<K>>);

struct Counts<K: Ord> {
    by_holder: BTreeMap<K, usize>,
    all: usize,
}

/// One open item of a holder. Dropping it makes room for another.
pub(super) struct Permit<K: Ord> {
    holder: K,
    counts: Arc<OpenCounts<K>>,
}

/// Why a holder gets no further place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShareRejected {
    /// The holder has as many as one holder may have.
    Holder,
    /// No place is left for it: the last ones are for holders with fewer.
    All,
}

impl<K: Ord> Default for OpenCounts<K> {
    fn default() -> Self {
        Self(Mutex::new(Counts { by_holder: BTreeMap::new(), all: 0 }))
    }
}

impl<K: Ord + Clone> OpenCounts<K> {
    /// A holder's second place and every further one must leave one place in so many free, so that
    /// no number of holders takes the last places from others.
    const PLACES_PER_FREE: usize = 9;

    /// `None` where the holder has `max` open.
    pub(super) fn acquire(self: &Arc<Self>, holder: K, max: usize) -> Option<Permit<K>> {
        self.acquire_share(holder, max, usize::MAX).ok()
    }

    /// One of `all` places, of which a holder may have at most `max`, and at most nine times as
    /// many as it leaves free. A holder without any gets the last one.
    pub(super) fn acquire_share(
        self: &Arc<Self>,
        holder: K,
        max: usize,
        all: usize,
    ) -> Result<Permit<K>, ShareRejected> {
        let mut open = self.lock();
        let count = open.by_holder.get(&holder).copied().unwrap_or_default();
        if count >= max {
            return Err(ShareRejected::Holder);
        }
        let left = all.saturating_sub(open.all).checked_sub(1).ok_or(ShareRejected::All)?;
        if count > 0 && count >= left.saturating_mul(Self::PLACES_PER_FREE) {
            return Err(ShareRejected::All);
        }
        open.all = open.all.saturating_add(1);
        open.by_holder.insert(holder.clone(), count.saturating_add(1));
        Ok(Permit { holder, counts: Arc::clone(self) })
    }
}

impl<K: Ord> OpenCounts<K> {
    fn lock(&self) -> MutexGuard<'_, Counts<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut open = self.counts.lock();
        open.all = open.all.saturating_sub(1);
        let count = open.by_holder.get_mut(&self.holder).expect("a permit is counted");
        *count = count.saturating_sub(1);
        if *count == 0 {
            open.by_holder.remove(&self.holder);
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
        assert_eq!(counts.lock().by_holder.len(), 1);
        assert_eq!(counts.lock().all, 1);
    }

    #[test]
    fn no_number_of_greedy_holders_takes_the_last_place() {
        const ALL: usize = 1000;
        for greedy in [1, 2, 5, 20] {
            let counts = Arc::new(OpenCounts::default());
            let mut held = vec![0; greedy];
            let mut permits = Vec::new();
            // In turns, as much as each gets.
            loop {
                let before = permits.len();
                for (holder, held) in held.iter_mut().enumerate() {
                    if let Ok(permit) = counts.acquire_share(holder, ALL, ALL) {
                        permits.push(permit);
                        *held += 1;
                    }
                }
                if permits.len() == before {
                    break;
                }
            }
            assert!(held.iter().max().unwrap() - held.iter().min().unwrap() <= 1, "{held:?}");
            let expected = ALL / (9 * greedy + 1);
            let left = ALL - permits.len();
            assert!(left >= expected.max(1) && left <= expected + 2, "{greedy}: {left}");
            for late in 0..left {
                permits.push(counts.acquire_share(greedy + late, ALL, ALL).ok().unwrap());
            }
            let full = counts.acquire_share(ALL, ALL, ALL).err();
            assert_eq!(full, Some(ShareRejected::All));
        }
    }
}
