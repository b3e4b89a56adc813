//! How often each holder may act: a token bucket each, with a rate per second and a burst.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Beyond this many holders, those whose bucket is full again are removed.
const HOLDERS_KEPT: usize = 1024;

/// The longest wait of a holder that took more than its bucket held.
const DEBT_MAX: Duration = Duration::from_mins(1);

/// A bucket per holder, stored as the time at which it will be full again.
pub(super) struct Rates<K> {
    per_second: u32,
    burst: Duration,
    full_at: Mutex<BTreeMap<K, Instant>>,
}

impl<K: Ord> Rates<K> {
    /// `burst` is how long it takes to fill an empty bucket.
    pub(super) fn new(per_second: u32, burst: Duration) -> Self {
        Self { per_second, burst, full_at: Mutex::default() }
    }

    /// Takes `count` from the holder's bucket.
    ///
    /// # Errors
    ///
    /// How long until the bucket holds that many; the bucket is unchanged then.
    pub(super) fn try_take(&self, holder: K, count: usize, now: Instant) -> Result<(), Duration> {
        let mut all = self.pruned(now);
        let full_at = all.entry(holder).or_insert(now);
        let taken = full_at.saturating_duration_since(now).saturating_add(self.refill_time(count));
        if taken > self.burst {
            return Err(taken.saturating_sub(self.burst));
        }
        *full_at = now + taken;
        Ok(())
    }

    /// Takes `count`, even if the bucket holds fewer; whether it held enough. A holder that takes
    /// too much waits the longer, up to [`DEBT_MAX`].
    pub(super) fn take_on_credit(&self, holder: K, count: usize, now: Instant) -> bool {
        let mut all = self.pruned(now);
        let full_at = all.entry(holder).or_insert(now);
        let taken = full_at.saturating_duration_since(now).saturating_add(self.refill_time(count));
        *full_at = now + taken.min(self.burst.saturating_add(DEBT_MAX));
        taken <= self.burst
    }

    /// How long until the bucket holds one; `None` where it does.
    pub(super) fn wait(&self, holder: &K, now: Instant) -> Option<Duration> {
        let all = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.get(holder)?.saturating_duration_since(now);
        let wait = taken.saturating_add(self.refill_time(1)).saturating_sub(self.burst);
        Some(wait).filter(|wait| !wait.is_zero())
    }

    /// How long it takes to refill `count`.
    fn refill_time(&self, count: usize) -> Duration {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Duration::from_secs(1).saturating_mul(count) / self.per_second
    }

    /// All buckets, after removing full ones where there are many.
    fn pruned(&self, now: Instant) -> MutexGuard<'_, BTreeMap<K, Instant>> {
        let mut all = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > HOLDERS_KEPT {
            all.retain(|_, full_at| *full_at > now);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_exceeds_the_rate_is_rejected_until_the_bucket_refills() {
        let (rates, start) = (Rates::new(1000, SECOND), Instant::now());
        let after = |ms: u64| start + Duration::from_millis(ms);
        rates.try_take("a", 600, start).unwrap();
        rates.try_take("a", 400, start).unwrap();
        assert_eq!(rates.wait(&"a", start), Some(Duration::from_millis(1)));
        assert_eq!(rates.try_take("a", 100, start), Err(Duration::from_millis(100)));
        rates.try_take("b", 1000, start).unwrap();
        assert_eq!(rates.wait(&"a", after(1)), None);
        rates.try_take("a", 100, after(100)).unwrap();
        rates.try_take("a", 1, after(100)).unwrap_err();
        rates.try_take("a", 1000, after(1100)).unwrap();
    }

    #[test]
    fn a_holder_in_debt_has_no_room_until_it_is_refilled_or_a_minute_has_passed() {
        let (rates, start) = (Rates::new(1000, SECOND), Instant::now());
        assert!(rates.take_on_credit("a", 1000, start));
        assert!(!rates.take_on_credit("a", 500, start));
        assert!(rates.wait(&"a", start + SECOND / 2).is_some());
        assert!(rates.wait(&"a", start + SECOND * 501 / 1000).is_none());
        assert!(!rates.take_on_credit("a", usize::MAX, start));
        assert!(rates.wait(&"a", start + DEBT_MAX).is_some());
        assert!(rates.wait(&"a", start + DEBT_MAX + SECOND).is_none());
    }

    #[test]
    fn full_buckets_are_removed() {
        let (rates, start) = (Rates::new(1000, SECOND), Instant::now());
        for number in 0..5000_u64 {
            rates.try_take(number, 1, start + Duration::from_millis(number)).unwrap();
        }
        assert!(rates.full_at.lock().unwrap().len() <= HOLDERS_KEPT + 1);
    }
}
