//! How often each one may do something: so many in a second on average, and some seconds' worth at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// More than these are forgotten as soon as they no longer hold anyone back.
const KEPT: usize = 1024;

/// What each one has taken: when all of it will have been earned.
pub(super) struct Rates<K> {
    per_second: u32,
    at_once: Duration,
    earned_at: Mutex<BTreeMap<K, Instant>>,
}

impl<K: Ord> Rates<K> {
    /// So many in a second, and so many seconds' worth at once.
    pub(super) fn new(per_second: u32, at_once: Duration) -> Self {
        Self { per_second, at_once, earned_at: Mutex::default() }
    }

    /// Takes so many.
    ///
    /// # Errors
    ///
    /// How long until there is room for them, where they are too many; nothing is taken then.
    pub(super) fn take(&self, whose: K, count: usize, now: Instant) -> Result<(), Duration> {
        const SECOND: Duration = Duration::from_secs(1);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let cost = SECOND.saturating_mul(count) / self.per_second;
        let mut all = self.earned_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > KEPT {
            all.retain(|_, earned_at| *earned_at > now);
        }
        let earned_at = all.entry(whose).or_insert(now);
        let taken = earned_at.saturating_duration_since(now).saturating_add(cost);
        if taken > self.at_once {
            return Err(taken.saturating_sub(self.at_once));
        }
        *earned_at = now + taken;
        Ok(())
    }

    /// Whether there is room for one more.
    pub(super) fn has_room(&self, whose: &K, now: Instant) -> bool {
        let all = self.earned_at.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = Duration::from_secs(1) / self.per_second;
        all.get(whose).is_none_or(|earned_at| {
            earned_at.saturating_duration_since(now).saturating_add(cost) <= self.at_once
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_beyond_the_rate_is_refused_until_time_has_earned_it() {
        let (rates, start) = (Rates::new(1000, SECOND), Instant::now());
        let after = |ms: u64| start + Duration::from_millis(ms);
        rates.take("a", 600, start).unwrap();
        rates.take("a", 400, start).unwrap();
        assert!(!rates.has_room(&"a", start));
        assert_eq!(rates.take("a", 100, start), Err(Duration::from_millis(100)));
        rates.take("b", 1000, start).unwrap();
        assert!(rates.has_room(&"a", after(1)));
        rates.take("a", 100, after(100)).unwrap();
        rates.take("a", 1, after(100)).unwrap_err();
        rates.take("a", 1000, after(1100)).unwrap();
    }

    #[test]
    fn those_who_have_gone_are_forgotten() {
        let (rates, start) = (Rates::new(1000, SECOND), Instant::now());
        for number in 0..5000_u64 {
            rates.take(number, 1, start + Duration::from_millis(number)).unwrap();
        }
        assert!(rates.earned_at.lock().unwrap().len() <= KEPT + 1);
    }
}
