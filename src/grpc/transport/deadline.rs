//! `grpc-timeout`: when a call must be over; a stream too, for as long as it lasts.

use crate::grpc::codec::parse::Violations;
use http::HeaderMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tonic::Extensions;

const HEADER: &str = "grpc-timeout";
/// Digits of the number, as the protocol has it.
const DIGITS_MAX: usize = 8;

/// The end that a caller gave its call, if it did. Every request carries it in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::grpc) struct Deadline(Option<Instant>);

impl Deadline {
    /// The header's timeout, counted from now.
    ///
    /// # Errors
    ///
    /// Where the header is not a timeout of gRPC.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, Violations> {
        let Some(sent) = headers.get(HEADER) else { return Ok(Self(None)) };
        let timeout = sent.to_str().ok().and_then(parse_timeout).ok_or_else(|| {
            let allowed = format!("up to {DIGITS_MAX} digits and one of H, M, S, m, u, n");
            Violations::one(HEADER, format!("{sent:?}; {allowed} are allowed"))
        })?;
        Ok(Self(Instant::now().checked_add(timeout)))
    }

    /// A deadline at an instant; `None` for none.
    pub(in crate::grpc) fn new(at: Option<Instant>) -> Self {
        Self(at)
    }

    /// The deadline of a request.
    pub(in crate::grpc) fn of(extensions: &Extensions) -> Self {
        *extensions.get().expect("every call is given its deadline")
    }

    pub(in crate::grpc) fn at(self) -> Option<Instant> {
        self.0
    }

    /// Waits until the deadline has passed; for ever without one.
    pub(in crate::grpc) async fn passed(self) {
        match self.0 {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > DIGITS_MAX || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        "M" => Some(Duration::from_secs(number.checked_mul(60)?)),
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

    #[tokio::test]
    async fn a_deadline_passes_and_none_never_does() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", "1m".parse().unwrap());
        tokio::select! {
            () = Deadline::parse(&HeaderMap::new()).unwrap().passed() => panic!("a call without a timeout has no deadline"),
            () = Deadline::parse(&headers).unwrap().passed() => {}
        }
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        for (text, expected) in [
            ("1S", Some(Duration::from_secs(1))),
            ("90M", Some(Duration::from_mins(90))),
            ("2H", Some(Duration::from_hours(2))),
            ("00000250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("", None),
            ("S", None),
            ("1", None),
            ("+1S", None),
            ("123456789S", None),
            ("1s", None),
            ("1\u{e9}", None),
        ] {
            assert_eq!(parse_timeout(text), expected, "{text:?}");
        }
    }
}
