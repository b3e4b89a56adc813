//! Numbers as files write them, read without binary fractions.

use lodewatch_core::domain::Ppm;
use rust_decimal::{Decimal, RoundingStrategy};
use std::str::FromStr;

/// A plain decimal number, with or without commas between thousands, in thousandths rounded half up.
pub(super) fn milli(text: &str) -> Option<u64> {
    scaled(text, Decimal::ONE_THOUSAND)
}

/// A share, in whole ppm rounded half up: a part of `whole`, which is 1 or 100; of 100, a per cent sign may follow.
pub(super) fn share(text: &str, whole: Whole) -> Option<Ppm> {
    let (text, factor) = match whole {
        Whole::One => (text, 1_000_000),
        Whole::Hundred => (text.strip_suffix('%').map_or(text, str::trim_end), 10_000),
    };
    u32::try_from(scaled(text, Decimal::from(factor))?).ok().and_then(Ppm::new)
}

/// What the whole is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// Shares are fractions.
    One,
    /// Shares are per cent.
    Hundred,
}

fn scaled(text: &str, factor: Decimal) -> Option<u64> {
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
    fn shares_are_parts_of_one_or_of_a_hundred() {
        let check = |text: &str, whole, ppm: Option<u32>| {
            assert_eq!(share(text, whole).map(Ppm::get), ppm, "{text}");
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
