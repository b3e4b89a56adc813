//! Codes of the Harmonized System, by which customs name what is traded.

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
    /// `None` for everything else, chapters and headings among it: they are not precise enough.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
        plain.then_some(Self(digits.get(..6)?.try_into().ok()?))
    }

    /// What is traded under it: every mineral of the catalogue with its stage. Empty where there is none; several where
    /// the code is not precise enough to tell them apart (8112.92: gallium, germanium, indium, niobium, vanadium).
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
    fn a_code_has_six_digits_and_points_do_not_count() {
        for text in ["811292", "8112.92", "8112.92.10", "8112929000"] {
            assert_eq!(HsCode::parse(text).unwrap().to_string(), "811292", "{text}");
        }
        for text in ["", "8112", "81129", "8112,92", "81129x", "-811292", "８１１２９２"] {
            assert!(HsCode::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_traded_under_a_code_is_known_by_mineral_and_stage() {
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
