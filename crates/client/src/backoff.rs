//! Which failures pass, and how long to wait for it.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The first wait; each is twice as long as the one before, and up to twice that by chance, so that clients which were lost
/// together do not come back together.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// No wait is longer, before chance.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Waits that grow while nothing succeeds, from a tenth of a second to five seconds, and up to twice that by chance.
#[derive(Debug)]
pub struct Backoff(ExponentialBackoff);

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// From the first wait on.
    pub fn new() -> Self {
        let waits = ExponentialBuilder::new().with_min_delay(WAIT_MIN).with_max_delay(WAIT_MAX);
        Self(waits.with_jitter().without_max_times().build())
    }

    /// The next wait, at least `least`.
    pub fn wait(&mut self, least: Duration) -> Duration {
        self.0.next().expect("the waits never end").saturating_add(least)
    }
}

/// Whether the same call may succeed later or elsewhere, and how long the server asks to wait at least. A connection that is
/// lost shows as any of several codes.
pub fn passing(status: &Status) -> Option<Duration> {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let lost = matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal
    );
    asked.or_else(|| lost.then_some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn waits_grow_to_a_bound_and_never_fall_below_what_the_server_asks() {
        let mut backoff = Backoff::new();
        let mut least = WAIT_MIN;
        for _ in 0..20 {
            let wait = backoff.wait(Duration::ZERO);
            assert!(wait >= least && wait <= least * 2, "{wait:?}");
            least = (least * 2).min(WAIT_MAX);
        }
        assert!(Backoff::new().wait(Duration::from_secs(7)) > Duration::from_secs(7));
    }

    #[test]
    fn a_lost_connection_and_a_limit_pass_and_a_refusal_does_not() {
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
            assert_eq!(passing(&status), expected, "{status:?}");
        }
    }
}
