//! How often each one may do something: so many in a second on average, and some seconds' worth at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// More than these are forgotten as soon as they no longer hold anyone back.
const KEPT: usize = 1024;

/// The longest that anyone must wait who took more than there was room for.
const DEBT_MAX: Duration = Duration::from_mins(1);

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
        let mut all = self.forgetful(now);
        let earned_at = all.entry(whose).or_insert(now);
        let taken = earned_at.saturating_duration_since(now).saturating_add(self.cost(count));
        if taken > self.at_once {
            return Err(taken.saturating_sub(self.at_once));
        }
        *earned_at = now + taken;
        Ok(())
    }

    /// Takes so many, whether there is room for them or not; gives whether there was. Whoever takes more than there is room for has the
    /// longer to wait, up to [`DEBT_MAX`].
    pub(super) fn owe(&self, whose: K, count: usize, now: Instant) -> bool {
        let mut all = self.forgetful(now);
        let earned_at = all.entry(whose).or_insert(now);
        let taken = earned_at.saturating_duration_since(now).saturating_add(self.cost(count));
        *earned_at = now + taken.min(self.at_once.saturating_add(DEBT_MAX));
        taken <= self.at_once
    }

    /// Whether there is room for one more.
    pub(super) fn has_room(&self, whose: &K, now: Instant) -> bool {
        let all = self.earned_at.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(whose).is_none_or(|earned_at| {
            earned_at.saturating_duration_since(now).saturating_add(self.cost(1)) <= self.at_once
        })
    }

    /// How long it takes to earn so many.
    fn cost(&self, count: usize) -> Duration {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Duration::from_secs(1).saturating_mul(count) / self.per_second
    }

    /// All of them, without those that are forgotten.
    fn forgetful(&self, now: Instant) -> MutexGuard<'_, BTreeMap<K, Instant>> {
        let mut all = self.earned_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > KEPT {
            all.retain(|_, earned_at| *earned_at > now);
        }
        all
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
    fn who_owes_has_no_room_until_it_is_earned_or_a_minute_has_passed() {
        let (rates, start) = (Rates::new(1000, SECOND), Instant::now());
        assert!(rates.owe("a", 1000, start));
        assert!(!rates.owe("a", 500, start));
        assert!(!rates.has_room(&"a", start + SECOND / 2));
        assert!(rates.has_room(&"a", start + SECOND * 501 / 1000));
        assert!(!rates.owe("a", usize::MAX, start));
        assert!(!rates.has_room(&"a", start + DEBT_MAX));
        assert!(rates.has_room(&"a", start + DEBT_MAX + SECOND));
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
