//! When a caller wants a stream to be over: tonic looks at a call's timeout only until its headers are sent.

use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tonic::metadata::MetadataMap;

/// The end that a caller gave its call, if it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// As sent in `grpc-timeout`, counted from now. What is not one of gRPC's timeouts is none.
    pub(super) fn of(metadata: &MetadataMap) -> Self {
        let sent = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok());
        Self(sent.and_then(timeout).and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// Waits until it has passed; for ever where there is none.
    pub(super) async fn passed(self) {
        match self.0 {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// One to eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    const DIGITS_MAX: usize = 8;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > DIGITS_MAX || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.saturating_mul(3600))),
        "M" => Some(Duration::from_secs(number.saturating_mul(60))),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, expected) in [
            ("1H", Some(Duration::from_hours(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("15m", Some(Duration::from_millis(15))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("123456789S", None),
            ("S", None),
            ("-1S", None),
            ("1", None),
            ("1s", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(timeout(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn a_deadline_passes_and_none_never_does() {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", "1m".parse().unwrap());
        tokio::select! {
            () = Deadline::of(&MetadataMap::new()).passed() => panic!("there is no such deadline"),
            () = Deadline::of(&metadata).passed() => {}
        }
    }
}
