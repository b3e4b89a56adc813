//! Doubles → exact integers, rounded once, half up.

use super::{Checks, Path};
use lodewatch_core::domain::Ppm;
use lodewatch_core::domain::share::{Amount, Unit, Weight, Wgi};
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

/// The largest quantity: 10¹⁵ units.
const QUANTITY_MAX: i64 = 1_000_000_000_000_000;

/// A quantity in thousandths.
pub(super) fn milli(checks: &mut Checks, field: Path<'_>, value: f64) -> Option<u64> {
    let milli = scaled(value, 3).and_then(|milli| milli.to_u64()).filter(|_| value <= 1e15);
    checks.require(milli, field, || format!("{value} is not a quantity: 0 to {QUANTITY_MAX}"))
}

/// A share in ppm.
pub(super) fn share(checks: &mut Checks, field: Path<'_>, value: f64) -> Option<Ppm> {
    let ppm = scaled(value, 6).and_then(|ppm| ppm.to_u32()).and_then(Ppm::new);
    checks
        .require(ppm, field, || format!("{value} is not a share: a fraction of the whole, 0 to 1"))
}

/// A trade weight in thousandths.
pub(super) fn weight(checks: &mut Checks, field: Path<'_>, value: f64) -> Option<Weight> {
    let weight = scaled(value, 3).and_then(|milli| milli.to_u16()).and_then(Weight::from_permille);
    checks.require(weight, field, || format!("{value} is not a trade weight: 1.0 to 3.0"))
}

/// A governance weight in hundredths.
pub(super) fn governance(checks: &mut Checks, field: Path<'_>, value: f64) -> Option<Wgi> {
    let hundredths = scaled(value, 2).and_then(|hundredths| hundredths.to_u16());
    checks.require(hundredths.and_then(Wgi::from_hundredths), field, || {
        format!("{value} is not a governance weight: 0 to 10, in steps of 0.02")
    })
}

/// A raise or reset value in the unit of its metric.
pub(super) fn amount(
    checks: &mut Checks,
    field: Path<'_>,
    value: f64,
    unit: Unit,
) -> Option<Amount> {
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

/// The double times a power of ten, rounded; `None` where it is negative, not a number, or far too
/// large.
fn scaled(value: f64, decimals: u32) -> Option<Decimal> {
    if let Some(near) = nearest(value, decimals) {
        return Some(Decimal::from(near));
    }
    let decimal = Decimal::try_from(value).ok()?;
    let scaled = decimal.checked_mul(Decimal::from(10_u64.checked_pow(decimals)?))?;
    let rounded = scaled.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
    (value >= 0.0).then_some(rounded)
}

/// The fast path, where a binary product surely rounds to the same side; `None` elsewhere.
fn nearest(value: f64, decimals: u32) -> Option<u64> {
    /// Up to here a product is off by far less than [`DOUBT`].
    const SURE_MAX: f64 = 1e9;
    const DOUBT: f64 = 1e-3;
    let scaled = value * 10_f64.powi(i32::try_from(decimals).ok()?);
    let is_sure = (0.0..=SURE_MAX).contains(&scaled) && (scaled.fract() - 0.5).abs() > DOUBT;
    is_sure.then(|| scaled.round().to_u64()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exactly(value: f64, decimals: u32) -> Option<u64> {
        let scaled = Decimal::try_from(value).unwrap() * Decimal::from(10_u64.pow(decimals));
        scaled.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero).to_u64()
    }

    proptest! {
        #[test]
        fn the_fast_path_rounds_as_the_exact_one(
            thousandths in 0_u64..2_000_000_000,
            decimals in prop::sample::select(vec![2_u32, 3, 6]),
            share in 0.0_f64..1.0,
        ) {
            let halves = Decimal::new(thousandths.cast_signed(), 10).to_f64().unwrap();
            for value in [halves, share, share * 1000.0] {
                if let Some(near) = nearest(value, decimals) {
                    prop_assert_eq!(Some(near), exactly(value, decimals), "{}", value);
                }
            }
        }
    }

    #[test]
    fn halves_round_up_and_what_is_not_a_figure_is_rejected() {
        for (value, milli) in [
            (0.0005, Some(1)),
            (0.0004, Some(0)),
            (1.2345, Some(1235)),
            (1e14, Some(100_000_000_000_000_000)),
        ] {
            assert_eq!(scaled(value, 3).and_then(|scaled| scaled.to_u64()), milli, "{value}");
        }
        for value in [-0.5, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(scaled(value, 3), None, "{value}");
        }
    }
}
