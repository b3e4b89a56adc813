//! Denials in the log: as many as people read, since a flood of them must not fill a disk.

use super::gate::Denied;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The most lines in [`PERIOD`]; further denials are only counted.
const LINES_MAX: u32 = 20;
/// How long the count lasts.
const PERIOD: Duration = Duration::from_secs(10);
/// So much of a path is logged, in characters.
const PATH_CHARS_MAX: usize = 120;

/// Logs denials.
#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    since: Option<Instant>,
    lines: u32,
    unsaid: u64,
}

impl Counted {
    /// How many were not said since the last that was, where this one may be.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= PERIOD) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines >= LINES_MAX {
            self.unsaid = self.unsaid.saturating_add(1);
            return None;
        }
        self.lines = self.lines.saturating_add(1);
        Some(std::mem::take(&mut self.unsaid))
    }
}

impl Denials {
    pub(super) fn log(&self, denied: &Denied, peer: IpAddr, path: &str) {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        let Some(unsaid) = taken else { return };
        let method: String = path.chars().take(PATH_CHARS_MAX).collect();
        match denied {
            Denied::Unauthenticated => {
                tracing::warn!(%peer, ?method, unsaid, "denied: no valid credentials");
            }
            Denied::Role { identity, .. } => {
                tracing::warn!(identity = &*identity.name, %peer, ?method, unsaid, "denied: no role for it");
            }
            Denied::Unknown { identity } => {
                tracing::warn!(identity = &*identity.name, %peer, ?method, unsaid, "denied: no such method");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_said_later() {
        let mut counted = Counted::default();
        let first = Instant::now();
        let said = (0..100).filter_map(|_| counted.take(first)).count();
        assert_eq!(said, usize::try_from(LINES_MAX).unwrap());
        assert_eq!(counted.take(first + PERIOD), Some(80));
        assert_eq!(counted.take(first + PERIOD), Some(0));
    }
}
