//! The only place that reads the time. Everything else is handed a `Clock`, or the time itself.
//!
//! Two clocks are read: the wall clock, which people and other programs set, and a steady one,
//! which only ever runs on. What the wall clock gains over the steady one was set, not lived
//! through: a jump. See [`Clock::stamp`].

use crate::domain::Timestamp;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a sleep on the system's clock trusts it, in milliseconds: a wall clock that was set is
/// noticed within this time.
const SLICE_MS: u64 = 10_000;

/// A jump that a manual clock's stamps allow: a day.
const MANUAL_JUMP_MAX_MS: u64 = 86_400_000;

/// A clock: the system's, or one that is driven by hand. Cheap to clone; all clones show the same
/// time.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    guard: Arc<Guard>,
}

#[derive(Debug, Clone)]
enum Source {
    System { start: Instant },
    Manual(watch::Receiver<Face>),
}

/// What both clocks show.
#[derive(Debug, Clone, Copy)]
struct Face {
    wall: Timestamp,
    /// Milliseconds of the steady clock.
    steady_ms: u64,
}

/// The hand that drives a manual clock. Once it is dropped, that clock stands still.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<Face>);

/// The wall clock jumped forward by more than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock jumped forward to {shown}, where {expected} was expected: more than clock.jump_max; no batch is accepted until \
     it is set right or, if it is right, the server is started again"
)]
pub struct Jumped {
    /// What the wall clock shows.
    pub shown: Timestamp,
    /// What it would show if it had run on evenly.
    pub expected: Timestamp,
}

impl Clock {
    /// The system's clock. A forward jump of more than `jump_max_ms` is rejected by
    /// [`Clock::stamp`].
    pub fn system(jump_max_ms: u64) -> Self {
        let source = Source::System { start: steady_now() };
        let guard = Arc::new(Guard::new(source.face(), jump_max_ms));
        Self { source, guard }
    }

    /// A clock that shows `start` until it is set, and the hand to set it with. A forward jump of
    /// more than a day is rejected by [`Clock::stamp`].
    pub fn manual(start: Timestamp) -> (Self, ManualClock) {
        let (hand, face) = watch::channel(Face { wall: start, steady_ms: 0 });
        let source = Source::Manual(face);
        let guard = Arc::new(Guard::new(source.face(), MANUAL_JUMP_MAX_MS));
        (Self { source, guard }, ManualClock(hand))
    }

    /// The time, in whole milliseconds. The system's may go back or jump when it is set.
    pub fn now(&self) -> Timestamp {
        self.source.face().wall
    }

    /// The time, for an entry of the journal: the wall clock's, unless that jumped.
    ///
    /// A clock that goes back is harmless, since the journal's time does not. One that jumped
    /// forward is: entries of a wrong future would fire every deadline on the way, and the
    /// journal's time could never come back. A jump up to the limit is accepted, so that a clock
    /// that is kept right in steps is not rejected. What was shown when the process started is
    /// accepted as right: a server that was off for months has seen no jump.
    ///
    /// # Errors
    ///
    /// [`Jumped`], for as long as the wall clock shows that time.
    pub fn stamp(&self) -> Result<Timestamp, Jumped> {
        self.guard.check(self.source.face())
    }

    /// Waits until the clock shows `at` or later; at once where it does already.
    ///
    /// Cancel safe. Never ends where a manual clock was dropped before.
    pub async fn sleep_until(&self, at: Timestamp) {
        match &self.source {
            Source::System { .. } => {
                while let Some(rest_ms) = rest_ms(self.now(), at) {
                    tokio::time::sleep(Duration::from_millis(rest_ms.min(SLICE_MS))).await;
                }
            }
            Source::Manual(face) => {
                if face.clone().wait_for(|face| face.wall >= at).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl Source {
    fn face(&self) -> Face {
        match self {
            Self::System { start } => {
                let steady_ms = steady_now().duration_since(*start).as_millis();
                let steady_ms = u64::try_from(steady_ms).expect("a process ends within 2^64 ms");
                Face { wall: wall_now(), steady_ms }
            }
            Self::Manual(face) => *face.borrow(),
        }
    }
}

/// Knows what the wall clock should show.
#[derive(Debug)]
struct Guard {
    /// The latest time that was accepted, and when that was on the steady clock.
    taken: Mutex<Face>,
    jump_max_ms: u64,
}

impl Guard {
    fn new(taken: Face, jump_max_ms: u64) -> Self {
        Self { taken: Mutex::new(taken), jump_max_ms }
    }

    fn check(&self, shown: Face) -> Result<Timestamp, Jumped> {
        let mut taken = self.taken.lock().expect("nothing panics while it holds the time");
        let elapsed_ms = shown.steady_ms.saturating_sub(taken.steady_ms);
        let expected = taken.wall.plus_millis(elapsed_ms);
        if shown.wall > expected.plus_millis(self.jump_max_ms) {
            return Err(Jumped { shown: shown.wall, expected });
        }
        if shown.wall > expected {
            *taken = shown;
        }
        Ok(shown.wall)
    }
}

impl ManualClock {
    /// Lets time pass until `now`, which is not before the time that the clock shows.
    pub fn set(&self, now: Timestamp) {
        self.0.send_modify(|face| {
            assert!(now >= face.wall, "a clock cannot run back: from {} to {now}", face.wall);
            let passed_ms = rest_ms(face.wall, now).unwrap_or(0);
            *face = Face { wall: now, steady_ms: face.steady_ms.saturating_add(passed_ms) };
        });
    }

    /// Sets the clock, to any time, without any passing.
    pub fn jump(&self, to: Timestamp) {
        self.0.send_modify(|face| face.wall = to);
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
fn wall_now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
fn steady_now() -> Instant {
    Instant::now()
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
        let system = Clock::system(0);
        system.sleep_until(system.now()).await;
    }

    #[test]
    #[should_panic(expected = "a clock cannot run back")]
    fn time_never_passes_backwards() {
        let (_clock, hand) = Clock::manual(at("2024-12-03T00:00:00Z"));
        hand.set(at("2024-12-02T23:59:59Z"));
    }

    #[test]
    fn the_system_clock_shows_a_plausible_year() {
        let system = Clock::system(60_000);
        assert!(system.stamp().unwrap() > at("2025-01-01T00:00:00Z"));
    }

    #[test]
    fn a_jump_forward_is_rejected_until_the_clock_is_set_right() {
        let (start, year_later) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let (clock, hand) = Clock::manual(start);
        hand.jump(year_later);
        assert_eq!(clock.stamp(), Err(Jumped { shown: year_later, expected: start }));
        hand.set(year_later.plus_millis(5));
        let expected = start.plus_millis(5);
        assert_eq!(clock.stamp().unwrap_err().expected, expected, "time passes all the same");
        hand.jump(expected);
        assert_eq!(clock.stamp(), Ok(expected));
    }

    #[test]
    fn steps_up_to_the_limit_and_a_year_that_passes_are_accepted() {
        let (clock, hand) = Clock::manual(at("2026-01-01T00:00:00Z"));
        for step in ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"] {
            hand.jump(at(step));
            assert_eq!(clock.stamp(), Ok(at(step)));
        }
        hand.set(at("2027-01-01T00:00:00Z"));
        assert_eq!(clock.stamp(), Ok(at("2027-01-01T00:00:00Z")));
    }

    #[test]
    fn a_clock_that_went_back_may_be_set_right_again() {
        let (right, wrong) = (at("2026-01-01T00:00:00Z"), at("2020-01-01T00:00:00Z"));
        let (clock, hand) = Clock::manual(right);
        hand.jump(wrong);
        assert_eq!(clock.stamp(), Ok(wrong));
        hand.jump(right);
        assert_eq!(clock.stamp(), Ok(right), "no jump: it was there before");
    }
}
