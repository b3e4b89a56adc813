//! Doubles → exact integers, rounded once, half up.

use super::Checks;
use crate::domain::Ppm;
use crate::domain::share::{Amount, Unit, Weight, Wgi};
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

/// The largest quantity: 10¹⁵ units.
const QUANTITY_MAX: i64 = 1_000_000_000_000_000;

/// A quantity in thousandths.
pub(super) fn milli(checks: &mut Checks, field: &str, value: f64) -> Option<u64> {
    let milli = scaled(value, 3).and_then(|milli| milli.to_u64()).filter(|_| value <= 1e15);
    checks.require(milli, field, || format!("{value} is not a quantity: 0 to {QUANTITY_MAX}"))
}

/// A share in ppm.
pub(super) fn share(checks: &mut Checks, field: &str, value: f64) -> Option<Ppm> {
    let ppm = scaled(value, 6).and_then(|ppm| ppm.to_u32()).and_then(Ppm::new);
    checks
        .require(ppm, field, || format!("{value} is not a share: a fraction of the whole, 0 to 1"))
}

/// A trade weight in thousandths.
pub(super) fn weight(checks: &mut Checks, field: &str, value: f64) -> Option<Weight> {
    let weight = scaled(value, 3).and_then(|milli| milli.to_u16()).and_then(Weight::from_permille);
    checks.require(weight, field, || format!("{value} is not a trade weight: 1.0 to 3.0"))
}

/// A governance weight in hundredths.
pub(super) fn governance(checks: &mut Checks, field: &str, value: f64) -> Option<Wgi> {
    let hundredths = scaled(value, 2).and_then(|hundredths| hundredths.to_u16());
    checks.require(hundredths.and_then(Wgi::from_hundredths), field, || {
        format!("{value} is not a governance weight: 0 to 10, in steps of 0.02")
    })
}

/// A raise or reset value in the unit of its metric.
pub(super) fn amount(checks: &mut Checks, field: &str, value: f64, unit: Unit) -> Option<Amount> {
    let (decimals, allowed) = match unit {
        Unit::Share => (6, 1.0),
        Unit::Points => (11, 30_000.0),
        Unit::Governance => (17, 30.0),
    };
    let amount = scaled(value, decimals).and_then(|amount| amount.to_i64());
    checks.require(amount.filter(|_| value <= allowed), field, || {
        format!("{value} is not between 0 and {allowed}")
    })
}

/// The double times a power of ten, rounded; `None` where it is negative, not a number, or far too large.
fn scaled(value: f64, decimals: u32) -> Option<Decimal> {
    let decimal = Decimal::try_from(value).ok()?;
    let scaled = decimal.checked_mul(Decimal::from(10_u64.checked_pow(decimals)?))?;
    let rounded = scaled.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
    (value >= 0.0).then_some(rounded)
}
