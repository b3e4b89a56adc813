//! How many of something each holder has open, up to a limit; and shares of a number of places.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open items by holder. A holder without any takes no memory.
pub(super) struct OpenCounts<K: Ord>(Mutex<Counts<K>>);

struct Counts<K: Ord> {
    by_holder: BTreeMap<K, usize>,
    all: usize,
}

/// Open items of a holder, one or more. Dropping it makes room for others.
pub(super) struct Permit<K: Ord> {
    holder: K,
    count: usize,
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
    /// What a holder takes besides its first must leave one place in so many free, so that no
    /// number of holders takes the last places from others.
    const PLACES_PER_FREE: usize = 9;

    /// `None` where the holder has `max` open.
    pub(super) fn acquire(self: &Arc<Self>, holder: K, max: usize) -> Option<Permit<K>> {
        self.acquire_share(holder, 1, max, usize::MAX).ok()
    }

    /// So many of `all` places, of which a holder may have at most `max`, and at most nine times as
    /// many as it leaves free. A holder without any gets the last ones.
    pub(super) fn acquire_share(
        self: &Arc<Self>,
        holder: K,
        count: usize,
        max: usize,
        all: usize,
    ) -> Result<Permit<K>, ShareRejected> {
        self.add(&holder, count, max, all)?;
        Ok(Permit { holder, count, counts: Arc::clone(self) })
    }

    fn add(&self, holder: &K, count: usize, max: usize, all: usize) -> Result<(), ShareRejected> {
        let mut open = self.lock();
        let before = open.by_holder.get(holder).copied().unwrap_or_default();
        let after = before.saturating_add(count);
        if after > max {
            return Err(ShareRejected::Holder);
        }
        let left = all.saturating_sub(open.all).checked_sub(count).ok_or(ShareRejected::All)?;
        if before > 0 && after > left.saturating_mul(Self::PLACES_PER_FREE) {
            return Err(ShareRejected::All);
        }
        open.all = open.all.saturating_add(count);
        open.by_holder.insert(holder.clone(), after);
        Ok(())
    }
}

impl<K: Ord + Clone> Permit<K> {
    /// Adds so many places to those of the permit, as [`OpenCounts::acquire_share`] does.
    pub(super) fn grow(
        &mut self,
        count: usize,
        max: usize,
        all: usize,
    ) -> Result<(), ShareRejected> {
        self.counts.add(&self.holder, count, max, all)?;
        self.count = self.count.saturating_add(count);
        Ok(())
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
        open.all = open.all.saturating_sub(self.count);
        let count = open.by_holder.get_mut(&self.holder).expect("a permit is counted");
        *count = count.saturating_sub(self.count);
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
                    if let Ok(permit) = counts.acquire_share(holder, 1, ALL, ALL) {
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
                permits.push(counts.acquire_share(greedy + late, 1, ALL, ALL).ok().unwrap());
            }
            let full = counts.acquire_share(ALL, 1, ALL, ALL).err();
            assert_eq!(full, Some(ShareRejected::All));
        }
    }

    #[test]
    fn several_places_are_acquired_and_freed_together() {
        let counts = Arc::new(OpenCounts::default());
        let acquire = |holder, count| counts.acquire_share(holder, count, usize::MAX, 100);
        let mut first = acquire("a", 50).ok().unwrap();
        first.grow(30, usize::MAX, 100).unwrap();
        assert_eq!(acquire("a", 11).err(), Some(ShareRejected::All), "91 would leave 9 free");
        let second = acquire("a", 10).ok().unwrap();
        assert_eq!(acquire("b", 11).err(), Some(ShareRejected::All));
        let third = acquire("b", 10).ok().unwrap();
        drop((first, second, third));
        let open = counts.lock();
        assert_eq!((open.all, open.by_holder.len()), (0, 0));
    }
}
