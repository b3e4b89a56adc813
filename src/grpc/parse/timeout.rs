//! `grpc-timeout`: how long a call may take.

use super::Violations;
use http::HeaderMap;
use std::time::Duration;

const HEADER: &str = "grpc-timeout";
/// Of the number, as the protocol has it.
const DIGITS_MAX: usize = 8;

/// The call's own deadline, from now; `None` where it has none.
pub(in crate::grpc) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Violations> {
    let Some(sent) = headers.get(HEADER) else { return Ok(None) };
    match sent.to_str().ok().and_then(parse) {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(Violations::one(
            HEADER,
            format!("{sent:?}; up to {DIGITS_MAX} digits and one of H, M, S, m, u, n are allowed"),
        )),
    }
}

fn parse(text: &str) -> Option<Duration> {
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
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
