//! Which failures pass, and how long to wait before the next attempt.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The first delay; each is twice as long as the one before.
const DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest delay, before jitter.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// Delays between attempts: from 0.1 s, doubled after each attempt up to 5 s. Jitter adds up to the
/// same again, so that clients that lost their connections together do not reconnect together.
#[derive(Debug)]
pub struct Backoff(ExponentialBackoff);

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// A backoff that begins with the shortest delay.
    pub fn new() -> Self {
        let delays = ExponentialBuilder::new().with_min_delay(DELAY_MIN).with_max_delay(DELAY_MAX);
        Self(delays.with_jitter().without_max_times().build())
    }

    /// The next delay, plus `at_least`: the delay that the server asked for.
    pub fn next_delay(&mut self, at_least: Duration) -> Duration {
        self.0.next().expect("the delays never end").saturating_add(at_least)
    }
}

/// How long to wait at least before the same call is worth another attempt, on the same server or
/// another; `None` where the call will not succeed without a change. A lost connection shows as any
/// of several codes.
pub fn retry_delay(status: &Status) -> Option<Duration> {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let is_lost = matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal
    );
    asked.or_else(|| is_lost.then_some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn delays_grow_to_a_limit_and_are_never_shorter_than_the_server_asks() {
        let mut backoff = Backoff::new();
        let mut least = DELAY_MIN;
        for _ in 0..20 {
            let delay = backoff.next_delay(Duration::ZERO);
            assert!(delay >= least && delay <= least * 2, "{delay:?}");
            least = (least * 2).min(DELAY_MAX);
        }
        assert!(Backoff::new().next_delay(Duration::from_secs(7)) > Duration::from_secs(7));
    }

    #[test]
    fn a_lost_connection_and_a_limit_are_retried_and_a_rejected_call_is_not() {
        let asked = Duration::from_millis(50);
        let limit =
            |details| Status::with_error_details(Code::ResourceExhausted, "too much", details);
        for (status, expected) in [
            (Status::unavailable("gone"), Some(Duration::ZERO)),
            (Status::cancelled("draining"), Some(Duration::ZERO)),
            (Status::unknown("cut"), Some(Duration::ZERO)),
            (Status::internal("h2"), Some(Duration::ZERO)),
            (limit(ErrorDetails::with_retry_info(Some(asked))), Some(asked)),
            (limit(ErrorDetails::new()), None),
            (Status::invalid_argument("bad"), None),
            (Status::out_of_range("lost"), None),
            (Status::failed_precondition("stale"), None),
            (Status::deadline_exceeded("over"), None),
        ] {
            assert_eq!(retry_delay(&status), expected, "{status:?}");
        }
    }
}
