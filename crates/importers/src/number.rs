//! Numbers and days as files write them. Numbers are parsed without binary fractions.

use lodewatch_core::domain::{Day, Ppm};
use rust_decimal::{Decimal, RoundingStrategy};
use std::str::FromStr;

/// How a day is written, for error messages.
pub(super) const DAY_ALLOWED: &str =
    "a day 2025-11-09, a month 2025-11 or a year 2025, from 1900 to 2200";

/// Parses `2025-11-09`, or the first day of `2025-11` or `2025`.
pub(super) fn parse_day(text: &str) -> Option<Day> {
    let mut parts = text.split('-');
    let year = parse_digits(parts.next()?, 4)?;
    let month = parts.next().map_or(Some(1), |part| parse_digits(part, 2))?;
    let day = parts.next().map_or(Some(1), |part| parse_digits(part, 2))?;
    if parts.next().is_some() {
        return None;
    }
    let day = Day::from_ymd(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?)?;
    day.is_publishable().then_some(day)
}

fn parse_digits(text: &str, digits: usize) -> Option<i16> {
    let is_plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

/// Parses a plain decimal number, with or without commas between thousands, to thousandths rounded
/// half up.
pub(super) fn parse_milli(text: &str) -> Option<u64> {
    parse_scaled(text, Decimal::ONE_THOUSAND)
}

/// Parses a share of `whole`, to parts per million rounded half up. A share of 100 may have a per
/// cent sign.
pub(super) fn parse_share(text: &str, whole: Whole) -> Option<Ppm> {
    let (text, factor) = match whole {
        Whole::One => (text, 1_000_000),
        Whole::Hundred => (text.strip_suffix('%').map_or(text, str::trim_end), 10_000),
    };
    u32::try_from(parse_scaled(text, Decimal::from(factor))?).ok().and_then(Ppm::new)
}

/// What the whole market is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// 1: shares are fractions.
    One,
    /// 100: shares are per cent.
    Hundred,
}

fn parse_scaled(text: &str, factor: Decimal) -> Option<u64> {
    let whole = text.split('.').next().unwrap_or(text);
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let grouped =
        first.len() <= 3 && !first.is_empty() && groups.clone().all(|group| group.len() == 3);
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','));
    if !plain || (groups.next().is_some() && !grouped) {
        return None;
    }
    let number = Decimal::from_str(&text.replace(',', "")).ok()?.checked_mul(factor)?;
    u64::try_from(number.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_lie_in_the_range_that_the_server_accepts() {
        for text in ["1900", "1900-01", "2025-11-09", "2200-12-31"] {
            assert!(parse_day(text).is_some(), "{text}");
        }
        for text in ["1899-12-31", "2201", "9999-12-31", "0001-01-01", "0000-01-01", "2025-02-30"] {
            assert_eq!(parse_day(text), None, "{text}");
        }
    }

    #[test]
    fn shares_are_parts_of_one_or_of_a_hundred() {
        let check = |text: &str, whole, ppm: Option<u32>| {
            assert_eq!(parse_share(text, whole).map(Ppm::get), ppm, "{text}");
        };
        check("0.784", Whole::One, Some(784_000));
        check("0.1234565", Whole::One, Some(123_457));
        check("1.001", Whole::One, None);
        check("47%", Whole::One, None);
        check("47 %", Whole::Hundred, Some(470_000));
        check("95.7", Whole::Hundred, Some(957_000));
        check("100", Whole::Hundred, Some(1_000_000));
        for text in ["101", "-3", "<0.1%", "47 percent", "", "%"] {
            check(text, Whole::Hundred, None);
        }
    }
}
