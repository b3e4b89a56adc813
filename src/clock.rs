//! The only place that reads the time. Everything else is handed a `Clock`, or the time itself.

use crate::domain::Timestamp;
use std::time::Duration;
use tokio::sync::watch;

/// How long a sleep on the system's clock trusts it, in milliseconds: a wall clock that was set is noticed within this time.
const SLICE_MS: u64 = 10_000;

/// A clock: the system's, or one that is driven by hand. Cheap to clone; all clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(watch::Receiver<Timestamp>),
}

/// The hand that drives a manual clock. Once it is dropped, that clock stands still.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<Timestamp>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` until it is set, and the hand to set it with.
    pub fn manual(start: Timestamp) -> (Self, ManualClock) {
        let (hand, face) = watch::channel(start);
        (Self(Source::Manual(face)), ManualClock(hand))
    }

    /// The time, in whole milliseconds. The system's may go back when it is set.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(face) => *face.borrow(),
        }
    }

    /// Waits until the clock shows `at` or later; at once where it does already.
    ///
    /// Cancel safe. Never ends where a manual clock was dropped before.
    pub async fn sleep_until(&self, at: Timestamp) {
        match &self.0 {
            Source::System => {
                while let Some(rest_ms) = rest_ms(system_now(), at) {
                    tokio::time::sleep(Duration::from_millis(rest_ms.min(SLICE_MS))).await;
                }
            }
            Source::Manual(face) => {
                if face.clone().wait_for(|now| *now >= at).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl ManualClock {
    /// Moves the clock to `now`, which is not before the time that it shows.
    pub fn set(&self, now: Timestamp) {
        self.0.send_modify(|shown| {
            assert!(now >= *shown, "a clock cannot go back: from {shown} to {now}");
            *shown = now;
        });
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
fn system_now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// Milliseconds from `now` to `at`; `None` where that time has come.
fn rest_ms(now: Timestamp, at: Timestamp) -> Option<u64> {
    let rest = at.millis().saturating_sub(now.millis());
    u64::try_from(rest).ok().filter(|rest| *rest > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_who_waits_for_a_time_that_has_come() {
        let (clock, hand) = Clock::manual(at("2024-12-02T00:00:00Z"));
        let due = at("2024-12-03T00:00:00Z");
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep_until(due).await;
                clock.now()
            }
        });
        hand.set(at("2024-12-02T23:59:59Z"));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        hand.set(due);
        assert_eq!(waiting.await.unwrap(), due);
    }

    #[tokio::test]
    async fn a_time_that_has_passed_is_not_waited_for() {
        let (clock, _hand) = Clock::manual(at("2024-12-03T00:00:00Z"));
        clock.sleep_until(at("2020-01-01T00:00:00Z")).await;
        let system = Clock::system();
        system.sleep_until(system.now()).await;
    }

    #[test]
    #[should_panic(expected = "a clock cannot go back")]
    fn a_manual_clock_never_goes_back() {
        let (_clock, hand) = Clock::manual(at("2024-12-03T00:00:00Z"));
        hand.set(at("2024-12-02T23:59:59Z"));
    }

    #[test]
    fn the_system_clock_shows_a_plausible_year() {
        assert!(Clock::system().now() > at("2025-01-01T00:00:00Z"));
    }
}
