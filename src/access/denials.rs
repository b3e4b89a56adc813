//! Denied calls in the log, at a bounded rate: a flood of them must not fill a disk.

use super::gate::CallDenied;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Lines in one [`WINDOW`]; further denials are only counted.
const LINES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// Characters of a path that are logged.
const PATH_CHARS_MAX: usize = 120;

#[derive(Debug, Default)]
pub(super) struct DenialLog(Mutex<LineCount>);

#[derive(Debug, Default)]
struct LineCount {
    since: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl LineCount {
    /// How many denials were suppressed since the last line; `None` where this one is, too.
    fn admit_line(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines >= LINES_MAX {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.lines = self.lines.saturating_add(1);
        Some(std::mem::take(&mut self.suppressed))
    }
}

impl DenialLog {
    pub(super) fn log(&self, denied: &CallDenied, peer: IpAddr, path: &str) {
        let admitted =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).admit_line(Instant::now());
        let Some(suppressed) = admitted else { return };
        let method: String = path.chars().take(PATH_CHARS_MAX).collect();
        match denied {
            CallDenied::Unauthenticated { fault } => {
                let cause = fault.to_string();
                tracing::warn!(
                    %peer,
                    ?method,
                    cause,
                    suppressed,
                    "call denied: no valid credentials"
                );
            }
            CallDenied::RoleMissing { identity, access } => {
                let (identity, needs) = (&*identity.name, access.to_string());
                tracing::warn!(
                    identity,
                    %peer,
                    ?method,
                    needs,
                    suppressed,
                    "call denied: role missing"
                );
            }
            CallDenied::UnknownMethod { identity } => {
                let identity = &*identity.name;
                tracing::warn!(identity, %peer, ?method, suppressed, "call denied: unknown method");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_over_the_limit_are_counted_and_reported_later() {
        let mut count = LineCount::default();
        let first = Instant::now();
        let logged = (0..100).filter_map(|_| count.admit_line(first)).count();
        assert_eq!(logged, usize::try_from(LINES_MAX).unwrap());
        assert_eq!(count.admit_line(first + WINDOW), Some(80));
        assert_eq!(count.admit_line(first + WINDOW), Some(0));
    }
}
