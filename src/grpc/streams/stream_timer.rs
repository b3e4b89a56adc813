//! When a stream must send something although no alert arrives: its heartbeat, and its end.

use crate::grpc::transport::Deadline;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimerEvent {
    Nothing,
    Heartbeat,
    /// The call's own deadline: end it.
    Deadline,
    /// The stream reached its maximum age: ask the reader to reconnect.
    MaxAge,
}

/// The times of one stream. They are the runtime's, not the journal's, and decide about no alert.
pub(super) struct StreamTimer {
    every: Duration,
    heartbeat: Instant,
    end: Option<(Instant, TimerEvent)>,
    next: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl StreamTimer {
    /// For a stream that begins at `now`. It reaches its maximum age at 0.9 to 1.0 of `age_max`, so
    /// that streams opened together do not end together.
    pub(super) fn new(
        now: Instant,
        every: Duration,
        deadline: Deadline,
        age_max: Option<Duration>,
    ) -> Self {
        let at = |wait: Duration, due| now.checked_add(wait).map(|at| (at, due));
        let deadline = deadline.at().map(|at| (at, TimerEvent::Deadline));
        let age = age_max.and_then(|max| at(jittered(max), TimerEvent::MaxAge));
        let end = deadline.into_iter().chain(age).min_by_key(|(at, _)| *at);
        let heartbeat = now.checked_add(every).expect("an interval is at most a minute");
        let next = end.map_or(heartbeat, |(end, _)| end.min(heartbeat));
        Self { every, heartbeat, end, next, alarm: Box::pin(sleep_until(next)) }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Waits until something is due. Cancel safe.
    pub(super) async fn wait(&mut self) {
        self.alarm.as_mut().await;
    }

    /// What is due, once; the end before the heartbeat.
    pub(super) fn take_event(&mut self, now: Instant) -> TimerEvent {
        if let Some((at, due)) = self.end
            && at <= now
        {
            return due;
        }
        if now < self.heartbeat {
            return TimerEvent::Nothing;
        }
        // From now on, not from when it was due: a stream that was not read for a while sends one
        // heartbeat, not all that are missing.
        self.heartbeat = now.checked_add(self.every).expect("an interval is at most a minute");
        self.next = self.end.map_or(self.heartbeat, |(end, _)| end.min(self.heartbeat));
        self.alarm.as_mut().reset(self.next);
        TimerEvent::Heartbeat
    }
}

/// When a stream that begins now reaches its maximum age, give or take a tenth.
pub(super) fn max_age(age_max: Option<Duration>) -> Deadline {
    Deadline::new(age_max.and_then(|max| Instant::now().checked_add(jittered(max))))
}

/// 0.9 to 1.0 of an age, at random.
fn jittered(age: Duration) -> Duration {
    let (_, random) = Uuid::new_v4().as_u64_pair();
    let thousandths = u32::try_from(random % 100).expect("below 100");
    age.saturating_sub(age.saturating_mul(thousandths) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn heartbeats_come_one_by_one_until_the_end() {
        let begin = Instant::now();
        let deadline = Deadline::new(Some(begin + SECOND * 5 / 2));
        let mut timer = StreamTimer::new(begin, SECOND, deadline, Some(SECOND * 100));
        let mut seen = Vec::new();
        for tenths in 1..=25 {
            let now = begin + SECOND * tenths / 10;
            if timer.is_due(now) {
                seen.push((tenths, timer.take_event(now)));
            }
        }
        assert_eq!(
            seen,
            [(10, TimerEvent::Heartbeat), (20, TimerEvent::Heartbeat), (25, TimerEvent::Deadline)]
        );
    }

    #[tokio::test]
    async fn a_stream_that_was_not_read_for_long_gets_one_heartbeat() {
        let begin = Instant::now();
        let mut timer = StreamTimer::new(begin, SECOND, Deadline::new(None), None);
        assert_eq!(timer.take_event(begin + SECOND * 10), TimerEvent::Heartbeat);
        assert_eq!(timer.take_event(begin + SECOND * 10), TimerEvent::Nothing);
    }

    #[test]
    fn streams_opened_together_do_not_reach_their_age_together() {
        let ages: Vec<Duration> = (0..50).map(|_| jittered(SECOND * 1000)).collect();
        assert!(ages.iter().all(|age| (SECOND * 900..=SECOND * 1000).contains(age)));
        assert!(ages.iter().any(|age| age != &ages[0]));
    }
}
