//! Figures of settings: counts, durations, and decimals that become exact integers.

use jiff::{Span, SpanRelativeTo};
use rust_decimal::Decimal;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// The most decimals of a figure: shares are counted in parts per million.
const DECIMALS_MAX: u32 = 6;

/// Reads a whole number in a range.
pub(super) fn count<N>(text: &str, allowed: &RangeInclusive<N>) -> Result<N, String>
where
    N: std::str::FromStr + PartialOrd + Display,
{
    text.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(|| {
        format!("must be a whole number from {} to {}", allowed.start(), allowed.end())
    })
}

/// Reads a duration such as `10s`, `1h 30m` or `7d` (days are 24 hours) of at most `days_max` days, to milliseconds.
pub(super) fn millis(text: &str, days_max: u64) -> Result<u64, String> {
    const DAY_MS: u64 = 86_400_000;
    let parse = || {
        let span: Span = text.parse().ok()?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        u64::try_from(duration.as_millis()).ok()
    };
    parse().filter(|millis| *millis <= days_max.saturating_mul(DAY_MS)).ok_or_else(|| {
        format!(
            "must be a duration such as \"0s\", \"10s\", \"1h 30m\" or \"7d\", at most {days_max}d"
        )
    })
}

/// Reads a decimal of at most six decimals, to whole parts of which `per_one` make one.
pub(super) fn parts(text: &str, per_one: i64) -> Result<i64, String> {
    let decimal = text
        .parse::<Decimal>()
        .ok()
        .filter(|decimal| decimal.normalize().scale() <= DECIMALS_MAX)
        .ok_or_else(|| format!("must be a number with at most {DECIMALS_MAX} decimals"))?;
    decimal
        .checked_mul(Decimal::from(per_one))
        .filter(Decimal::is_integer)
        .and_then(|parts| i64::try_from(parts).ok())
        .ok_or_else(|| "is too large or has too many decimals".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_exactly_what_was_written() {
        for (text, per_one, expected) in [
            ("0.65", 1_000_000, Some(650_000)),
            ("0.000001", 1_000_000, Some(1)),
            ("0.300000", 1_000_000, Some(300_000)),
            ("1", 1_000_000, Some(1_000_000)),
            ("1800", 100_000_000_000, Some(180_000_000_000_000)),
            ("1.5", 1000, Some(1500)),
            ("1.0005", 1000, None),
            ("0.0000001", 1_000_000, None),
            ("1e300", 1_000_000, None),
            ("NaN", 1_000_000, None),
            ("inf", 1_000_000, None),
            ("", 1_000_000, None),
            ("9223372036854775807", 1_000_000, None),
        ] {
            assert_eq!(parts(text, per_one).ok(), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_people_say_them() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("10s", Some(10_000)),
            ("1h 30m", Some(5_400_000)),
            ("24h", Some(86_400_000)),
            ("7d", Some(604_800_000)),
            ("366 days", Some(31_622_400_000)),
            ("367d", None),
            ("-1s", None),
            ("1 month", None),
            ("10", None),
            ("soon", None),
        ] {
            assert_eq!(millis(text, 366).ok(), expected, "{text}");
        }
    }

    #[test]
    fn counts_keep_to_their_range() {
        assert_eq!(count("7", &(1..=9_u64)), Ok(7));
        for text in ["0", "10", "-1", "7.5", "seven", ""] {
            let fault = count(text, &(1..=9_u64)).unwrap_err();
            assert_eq!(fault, "must be a whole number from 1 to 9", "{text}");
        }
    }
}
