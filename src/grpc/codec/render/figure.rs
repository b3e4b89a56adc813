//! Exact integers as the nearest doubles; instants.

use crate::grpc::pb;
use lodewatch_core::domain::Timestamp;
use lodewatch_core::domain::share::{Amount, Interval, Ppm, Unit, Weight};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// An amount in its unit: a fraction for shares, HHI points for indices.
pub fn amount(unit: Unit, amount: Amount) -> f64 {
    let decimals = match unit {
        Unit::Share => 6,
        Unit::Points => 11,
        Unit::Governance => 17,
    };
    double(Decimal::new(amount, decimals))
}

pub fn interval(unit: Unit, interval: Interval) -> pb::Interval {
    pb::Interval { lower: amount(unit, interval.lower), upper: amount(unit, interval.upper) }
}

/// A share as a fraction.
pub fn share(share: Ppm) -> f64 {
    double(Decimal::new(i64::from(share.get()), 6))
}

/// A trade weight, 1.0 to 3.0.
pub fn weight(weight: Weight) -> f64 {
    double(Decimal::new(i64::from(weight.permille()), 3))
}

/// Thousandths as a quantity.
pub fn milli(milli: u64) -> f64 {
    double(Decimal::from_i128_with_scale(i128::from(milli), 3))
}

pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let nanos = at.millis().rem_euclid(1000).saturating_mul(1_000_000);
    prost_types::Timestamp {
        seconds: at.millis().div_euclid(1000),
        nanos: i32::try_from(nanos).expect("less than a second"),
    }
}

fn double(decimal: Decimal) -> f64 {
    decimal.to_f64().expect("every decimal has a nearest double")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_the_decimals_they_stand_for() {
        assert_eq!(share(Ppm::new(990_099).unwrap()).to_string(), "0.990099");
        assert_eq!(amount(Unit::Points, 980_350_000_000_000).to_string(), "9803.5");
        assert_eq!(weight(Weight::from_permille(1_100).unwrap()).to_string(), "1.1");
        assert_eq!(milli(96_600_125).to_string(), "96600.125");
    }
}
