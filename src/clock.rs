//! The only module that reads the time. All others get a [`Clock`], or the time itself.
//!
//! It reads two clocks: the wall clock, which people and other programs set, and a monotonic one.
//! If the wall clock advances more than the monotonic one, it was set: a jump. See
//! [`Clock::stamp`].

use lodewatch_core::domain::{Day, Timestamp};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A sleep on the system clock reads it again after this many milliseconds, so it notices within
/// this time that the clock was set.
const SLEEP_MS_MAX: u64 = 10_000;

/// The largest jump that a manual clock accepts: a day.
const MANUAL_JUMP_MAX_MS: u64 = 86_400_000;

/// The system clock, or a manual one. Cheap to clone; all clones have the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    source: ClockSource,
    guard: Arc<JumpGuard>,
}

#[derive(Debug, Clone)]
enum ClockSource {
    System { start: Instant },
    Manual(watch::Receiver<ClockReading>),
}

/// The time of both clocks.
#[derive(Debug, Clone, Copy)]
struct ClockReading {
    wall: Timestamp,
    monotonic_ms: u64,
}

/// Sets a manual clock. Once it is dropped, that clock stops.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<ClockReading>);

/// The wall clock jumped forward by more than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the system clock jumped forward to {shown} where {expected} was expected, by more than clock.jump_max; updates are \
     rejected until the clock is corrected or, if it is correct now, the server is restarted"
)]
pub struct ClockJump {
    /// The wall clock's time.
    pub shown: Timestamp,
    /// The wall clock's time without the jump.
    pub expected: Timestamp,
}

impl Clock {
    /// The system clock. [`Clock::stamp`] rejects a forward jump of more than `jump_max_ms`.
    pub fn system(jump_max_ms: u64) -> Self {
        let source = ClockSource::System { start: monotonic_now() };
        let guard = Arc::new(JumpGuard::new(source.read(), jump_max_ms));
        Self { source, guard }
    }

    /// A clock that shows `start` until it is set, and the handle that sets it. [`Clock::stamp`]
    /// rejects a forward jump of more than a day.
    pub fn manual(start: Timestamp) -> (Self, ManualClock) {
        let (reading_tx, reading_rx) =
            watch::channel(ClockReading { wall: start, monotonic_ms: 0 });
        let source = ClockSource::Manual(reading_rx);
        let guard = Arc::new(JumpGuard::new(source.read(), MANUAL_JUMP_MAX_MS));
        (Self { source, guard }, ManualClock(reading_tx))
    }

    /// The wall clock's time, in milliseconds. It may jump or go back when the system clock is set.
    pub fn now(&self) -> Timestamp {
        self.source.read().wall
    }

    /// The newest day that a report may have been released on: tomorrow, because the publisher's
    /// clock or time zone may be ahead. A manual clock is in the past on purpose, so any day.
    pub fn newest_day(&self) -> Day {
        match &self.source {
            ClockSource::System { .. } => self.now().day().next(),
            ClockSource::Manual(_) => Day::PUBLISHED_MAX,
        }
    }

    /// The time for a journal entry: the wall clock's, unless that jumped.
    ///
    /// A clock that goes back is harmless, because the journal's time does not go back. A forward
    /// jump is not: entries of a wrong future would trigger every deadline up to it, and the
    /// journal's time could never return. A jump up to the limit is accepted, so that a clock that
    /// is corrected in steps is not rejected. The time at the start of the process is accepted as
    /// correct: a server that was off for months has seen no jump.
    ///
    /// # Errors
    ///
    /// [`ClockJump`], as long as the wall clock shows that time.
    pub fn stamp(&self) -> Result<Timestamp, ClockJump> {
        self.guard.check(self.source.read())
    }

    /// Waits until the clock shows `at` or later; returns at once if it already does.
    ///
    /// Cancel safe. Never returns if a manual clock is dropped before.
    pub async fn sleep_until(&self, at: Timestamp) {
        match &self.source {
            ClockSource::System { .. } => {
                while let Some(rest_ms) = remaining_ms(self.now(), at) {
                    tokio::time::sleep(Duration::from_millis(rest_ms.min(SLEEP_MS_MAX))).await;
                }
            }
            ClockSource::Manual(reading_rx) => {
                let mut reading_rx = reading_rx.clone();
                if reading_rx.wait_for(|reading| reading.wall >= at).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl ClockSource {
    fn read(&self) -> ClockReading {
        match self {
            Self::System { start } => {
                let monotonic_ms = monotonic_now().duration_since(*start).as_millis();
                let monotonic_ms =
                    u64::try_from(monotonic_ms).expect("a process ends within 2^64 ms");
                ClockReading { wall: wall_now(), monotonic_ms }
            }
            Self::Manual(reading_rx) => *reading_rx.borrow(),
        }
    }
}

/// Compares the wall clock with the monotonic one.
#[derive(Debug)]
struct JumpGuard {
    /// The latest time that was accepted.
    accepted: Mutex<ClockReading>,
    jump_max_ms: u64,
}

impl JumpGuard {
    fn new(accepted: ClockReading, jump_max_ms: u64) -> Self {
        Self { accepted: Mutex::new(accepted), jump_max_ms }
    }

    fn check(&self, shown: ClockReading) -> Result<Timestamp, ClockJump> {
        let mut accepted = self.accepted.lock().expect("no panic while the lock is held");
        let elapsed_ms = shown.monotonic_ms.saturating_sub(accepted.monotonic_ms);
        let expected = accepted.wall.plus_millis(elapsed_ms);
        if shown.wall > expected.plus_millis(self.jump_max_ms) {
            return Err(ClockJump { shown: shown.wall, expected });
        }
        if shown.wall > expected {
            *accepted = shown;
        }
        Ok(shown.wall)
    }
}

impl ManualClock {
    /// Advances both clocks to `now`, which must not be before the current time.
    pub fn set(&self, now: Timestamp) {
        self.0.send_modify(|reading| {
            let before = reading.wall;
            assert!(now >= before, "a manual clock cannot go back: from {before} to {now}");
            let passed_ms = remaining_ms(before, now).unwrap_or(0);
            let monotonic_ms = reading.monotonic_ms.saturating_add(passed_ms);
            *reading = ClockReading { wall: now, monotonic_ms };
        });
    }

    /// Sets the wall clock only, to any time.
    pub fn jump(&self, to: Timestamp) {
        self.0.send_modify(|reading| reading.wall = to);
    }
}

#[allow(clippy::disallowed_methods, reason = "the one module that reads the time")]
fn wall_now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

#[allow(clippy::disallowed_methods, reason = "the one module that reads the time")]
fn monotonic_now() -> Instant {
    Instant::now()
}

/// Milliseconds from `now` to `at`; `None` if `at` has passed.
fn remaining_ms(now: Timestamp, at: Timestamp) -> Option<u64> {
    let remaining = at.millis().saturating_sub(now.millis());
    u64::try_from(remaining).ok().filter(|remaining| *remaining > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_their_time_has_come() {
        let (clock, manual) = Clock::manual(at("2024-12-02T00:00:00Z"));
        let due = at("2024-12-03T00:00:00Z");
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep_until(due).await;
                clock.now()
            }
        });
        manual.set(at("2024-12-02T23:59:59Z"));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        manual.set(due);
        assert_eq!(waiting.await.unwrap(), due);
    }

    #[tokio::test]
    async fn sleeping_until_a_past_time_returns_at_once() {
        let (clock, _manual) = Clock::manual(at("2024-12-03T00:00:00Z"));
        clock.sleep_until(at("2020-01-01T00:00:00Z")).await;
        let system = Clock::system(0);
        system.sleep_until(system.now()).await;
    }

    #[test]
    #[should_panic(expected = "a manual clock cannot go back")]
    fn a_manual_clock_cannot_go_back() {
        let (_clock, manual) = Clock::manual(at("2024-12-03T00:00:00Z"));
        manual.set(at("2024-12-02T23:59:59Z"));
    }

    #[test]
    fn the_system_clock_shows_a_plausible_year() {
        let system = Clock::system(60_000);
        assert!(system.stamp().unwrap() > at("2025-01-01T00:00:00Z"));
    }

    #[test]
    fn a_forward_jump_is_rejected_until_the_clock_is_corrected() {
        let (start, year_later) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let (clock, manual) = Clock::manual(start);
        manual.jump(year_later);
        assert_eq!(clock.stamp(), Err(ClockJump { shown: year_later, expected: start }));
        manual.set(year_later.plus_millis(5));
        let expected = start.plus_millis(5);
        assert_eq!(clock.stamp().unwrap_err().expected, expected, "time passes meanwhile");
        manual.jump(expected);
        assert_eq!(clock.stamp(), Ok(expected));
    }

    #[test]
    fn jumps_up_to_the_limit_and_a_year_that_passes_are_accepted() {
        let (clock, manual) = Clock::manual(at("2026-01-01T00:00:00Z"));
        for step in ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"] {
            manual.jump(at(step));
            assert_eq!(clock.stamp(), Ok(at(step)));
        }
        manual.set(at("2027-01-01T00:00:00Z"));
        assert_eq!(clock.stamp(), Ok(at("2027-01-01T00:00:00Z")));
    }

    #[test]
    fn a_clock_that_went_back_can_be_corrected() {
        let (correct, wrong) = (at("2026-01-01T00:00:00Z"), at("2020-01-01T00:00:00Z"));
        let (clock, manual) = Clock::manual(correct);
        manual.jump(wrong);
        assert_eq!(clock.stamp(), Ok(wrong));
        manual.jump(correct);
        assert_eq!(clock.stamp(), Ok(correct), "no jump: this time was accepted before");
    }
}
