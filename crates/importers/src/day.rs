//! Days as lists of measures write them.

use lodewatch_core::domain::Day;

/// How a day is written, for error messages.
pub(super) const ALLOWED: &str = "a day 2025-11-09, a month 2025-11 or a year 2025";

/// Reads `2025-11-09`, or the first day of `2025-11` or `2025`.
pub(super) fn parse(text: &str) -> Option<Day> {
    let mut parts = text.split('-');
    let year = number(parts.next()?, 4)?;
    let month = parts.next().map_or(Some(1), |part| number(part, 2))?;
    let day = parts.next().map_or(Some(1), |part| number(part, 2))?;
    if parts.next().is_some() {
        return None;
    }
    Day::from_ymd(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?)
}

fn number(text: &str, digits: usize) -> Option<i16> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}
