//! Codes of the Harmonized System, by which customs classify goods.

use super::catalogue::CATALOGUE;
use super::market::MarketKey;
use std::fmt;

/// A six-digit subheading of the Harmonized System: `811292`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HsCode([u8; 6]);

impl HsCode {
    /// How a code is written, for error messages.
    pub const ALLOWED: &str =
        "a code of the Harmonized System with at least six digits, such as 811292 or 8112.92";

    /// Reads `811292` or `8112.92`; of the longer code of a national tariff, its first six digits.
    ///
    /// `None` for everything else, including chapters and headings, which are not precise enough.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
        plain.then_some(Self(digits.get(..6)?.try_into().ok()?))
    }

    /// The markets of the goods under this code. Empty where the catalogue has none; several where
    /// the code covers several minerals (8112.92: gallium, germanium, indium, niobium, vanadium).
    pub fn markets(self) -> &'static [MarketKey] {
        CATALOGUE.by_hs.get(&self).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Display for HsCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).expect("made of digits only"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_six_digits_and_points_are_ignored() {
        for text in ["811292", "8112.92", "8112.92.10", "8112929000"] {
            assert_eq!(HsCode::parse(text).unwrap().to_string(), "811292", "{text}");
        }
        for text in ["", "8112", "81129", "8112,92", "81129x", "-811292", "８１１２９２"] {
            assert!(HsCode::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_code_gives_its_markets() {
        let check = |code: &str, expected: &[&str]| {
            let markets = HsCode::parse(code).unwrap().markets();
            let shown: Vec<String> =
                markets.iter().map(|one| format!("{} {}", one.mineral, one.stage)).collect();
            assert_eq!(shown, expected, "{code}");
        };
        check("260400", &["nickel mining"]);
        check("280530", &["rare_earths refining"]);
        check(
            "811292",
            &[
                "gallium refining",
                "germanium refining",
                "indium refining",
                "niobium refining",
                "vanadium refining",
            ],
        );
        check("250410", &["graphite_natural mining"]);
        check("810600", &["bismuth refining"]);
        check("854231", &[]);
    }
}
