//! Shares, weights, and the exact integers that metrics are made of.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A share of a market in parts per million: 0 to 1,000,000.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Ppm(u32);

impl Ppm {
    /// The whole market.
    pub const ONE: Self = Self(1_000_000);
    /// No share.
    pub const ZERO: Self = Self(0);

    /// From parts per million; `None` above 1,000,000.
    pub fn new(ppm: u32) -> Option<Self> {
        (ppm <= Self::ONE.0).then_some(Self(ppm))
    }

    /// Parts per million.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The rest of the whole.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(Self::ONE.0.saturating_sub(self.0))
    }
}

/// Prints per cent with one decimal, rounded half up: `87.7 %`.
impl fmt::Display for Ppm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permille = self.0.saturating_add(500) / 1000;
        write!(f, "{}.{} %", permille / 10, permille % 10)
    }
}

/// A trade weight t in thousandths, 1,000 to 3,000: how much a country's measures increase its
/// contribution to `hhi_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Weight(u16);

impl Weight {
    /// No measure: t = 1.
    pub const ONE: Self = Self(1000);

    /// From thousandths; `None` outside 1.0 to 3.0.
    pub fn from_permille(permille: u16) -> Option<Self> {
        (1000..=3000).contains(&permille).then_some(Self(permille))
    }

    /// Thousandths.
    pub fn permille(self) -> u16 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

/// Prints as `1.5`.
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, thousandths) = (self.0 / 1000, self.0 % 1000);
        match thousandths {
            0 => write!(f, "{whole}.0"),
            _ if thousandths % 100 == 0 => write!(f, "{whole}.{}", thousandths / 100),
            _ if thousandths % 10 == 0 => write!(f, "{whole}.{:02}", thousandths / 10),
            _ => write!(f, "{whole}.{thousandths:03}"),
        }
    }
}

/// The unit of an [`Amount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Shares: one is 10⁻⁶ of the market.
    Share,
    /// HHI points on the scale of 0 to 10,000 (and beyond, with trade weights): one is 10⁻¹¹ of a
    /// point, which is the square of one ppm times one thousandth of a trade weight.
    Points,
    /// Governance-weighted concentration on the European Commission's scale of 0 to 10 (to 30, with
    /// trade weights): one is 10⁻¹⁷, which is the square of one ppm times one thousandth of a trade
    /// weight times one hundredth of a governance weight.
    Governance,
}

impl Unit {
    /// How many units make one market, one HHI point, or one on the Commission's scale.
    pub fn per_one(self) -> i64 {
        match self {
            Self::Share => 1_000_000,
            Self::Points => 100_000_000_000,
            Self::Governance => 100_000_000_000_000_000,
        }
    }
}

/// A governance weight in hundredths, 0 (best) to 1,000 (worst): 2·(2.5 − m), where m is the mean
/// of the World Bank's six Worldwide Governance Indicators of a country (European Commission
/// criticality method).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wgi(u16);

impl Wgi {
    /// The worst weight.
    pub const WORST: Self = Self(1000);

    /// From the mean of the six estimates in hundredths; `None` outside −2.5 to 2.5.
    pub fn from_mean_hundredths(mean: i64) -> Option<Self> {
        (-250..=250).contains(&mean).then_some(())?;
        u16::try_from(500 - 2 * mean).ok().map(Self)
    }

    /// From hundredths; `None` above 1,000, or where no mean in hundredths gives it.
    pub fn from_hundredths(hundredths: u16) -> Option<Self> {
        (hundredths <= 1000 && hundredths.is_multiple_of(2)).then_some(Self(hundredths))
    }

    /// Hundredths.
    pub fn hundredths(self) -> u16 {
        self.0
    }
}

/// The exact value of a metric in its [`Unit`]; all arithmetic and every comparison use these
/// integers.
pub type Amount = i64;

/// A metric's value: exact where both bounds agree, else between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Interval {
    /// The lowest possible value.
    pub lower: Amount,
    /// The highest possible value.
    pub upper: Amount,
}

impl Interval {
    /// A value that is known exactly.
    pub fn exact(value: Amount) -> Self {
        Self { lower: value, upper: value }
    }

    /// Both bounds with the other sign, and so in the other order.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { lower: self.upper.saturating_neg(), upper: self.lower.saturating_neg() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_weights_print_for_people() {
        assert_eq!(Ppm::new(990_099).unwrap().to_string(), "99.0 %");
        assert_eq!(Ppm::new(999_950).unwrap().to_string(), "100.0 %");
        assert!(Ppm::new(1_000_001).is_none());
        for (permille, text) in [(1000, "1.0"), (1500, "1.5"), (1250, "1.25"), (3000, "3.0")] {
            assert_eq!(Weight::from_permille(permille).unwrap().to_string(), text);
        }
        assert!(Weight::from_permille(999).is_none());
    }
}
