//! Countries: suppliers, imposers of measures, and buyers.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// Names that real files use and ISO 3166-1 does not have: `name,alpha3`.
const ALIASES: &str = include_str!("country_aliases.csv");

static BY_NAME: LazyLock<BTreeMap<String, Country>> = LazyLock::new(|| {
    let mut names = BTreeMap::new();
    for country in rust_iso3166::ALL {
        let code =
            Country::from_alpha3(country.alpha3).expect("ISO 3166-1 codes are three letters");
        names.insert(normalize(country.name), code);
    }
    for record in csv::Reader::from_reader(ALIASES.as_bytes()).into_records() {
        let record = record.expect("the bundled alias table is well-formed");
        let alpha3 = record.get(1).expect("every alias has a code");
        let code = Country::from_alpha3(alpha3).expect("every alias has a code of ISO 3166-1");
        names.insert(normalize(record.get(0).expect("every alias has a name")), code);
    }
    names
});

/// A country of ISO 3166-1, stored and shown as its alpha-3 code (`CHN`, `COD`, `USA`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "[u8; 3]")]
pub struct Country([u8; 3]);

impl TryFrom<[u8; 3]> for Country {
    type Error = &'static str;

    fn try_from(code: [u8; 3]) -> Result<Self, Self::Error> {
        std::str::from_utf8(&code)
            .ok()
            .and_then(Self::from_alpha3)
            .ok_or("not an alpha-3 code of ISO 3166-1")
    }
}

impl Country {
    /// Reads an alpha-3 code, an alpha-2 code, or an English name or alias, in any case, ignoring
    /// blanks around it.
    ///
    /// `None` for everything else, including the European Union, "World total" and "Other
    /// countries".
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.len() {
            2 => rust_iso3166::from_alpha2(&text.to_ascii_uppercase())
                .and_then(|found| Self::from_alpha3(found.alpha3)),
            3 => Self::from_alpha3(&text.to_ascii_uppercase()),
            _ => None,
        }
        .or_else(|| BY_NAME.get(&normalize(text)).copied())
    }

    /// Reads an alpha-3 code in capitals.
    pub fn from_alpha3(code: &str) -> Option<Self> {
        rust_iso3166::from_alpha3(code)?;
        code.as_bytes().try_into().ok().map(Self)
    }

    /// The alpha-3 code.
    pub fn alpha3(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII letters only")
    }

    /// The short English name that people use: `China`, `DR Congo`, `United States`.
    pub fn name(&self) -> &'static str {
        match self.alpha3() {
            "COD" => "DR Congo",
            "COG" => "Congo-Brazzaville",
            "GBR" => "United Kingdom",
            "IRN" => "Iran",
            "KOR" => "South Korea",
            "LAO" => "Laos",
            "NLD" => "Netherlands",
            "PRK" => "North Korea",
            "RUS" => "Russia",
            "TWN" => "Taiwan",
            "TZA" => "Tanzania",
            "TUR" => "Türkiye",
            "USA" => "United States",
            "VEN" => "Venezuela",
            "VNM" => "Vietnam",
            "BOL" => "Bolivia",
            code => rust_iso3166::from_alpha3(code).map_or("", |found| found.name),
        }
    }

    /// The name with the article that it takes within a sentence: `the United States`.
    pub fn name_in_text(&self) -> String {
        let article = match self.alpha3() {
            "ARE" | "BHS" | "CAF" | "COM" | "DOM" | "GBR" | "GMB" | "MDV" | "MHL" | "NLD"
            | "PHL" | "SLB" | "SYC" | "USA" => "the ",
            _ => "",
        };
        format!("{article}{}", self.name())
    }

    /// The codes with the names or aliases most similar to a text, at most three; for error
    /// messages. None for a text of more than 256 bytes.
    pub fn similar_names(text: &str) -> Vec<String> {
        if text.len() > super::mineral::SIMILAR_BYTES_MAX {
            return Vec::new();
        }
        let wanted = normalize(text);
        super::mineral::most_similar(
            &wanted,
            BY_NAME.iter().map(|(name, code)| (name.as_str(), code.alpha3())),
        )
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.alpha3())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.alpha3())
    }
}

/// Lower case, one plain space between words and for a hyphen, one kind of apostrophe, `and` for
/// `&`.
fn normalize(name: &str) -> String {
    let name = name.to_lowercase().replace('’', "'").replace('&', " and ").replace('-', " ");
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_names_and_aliases_are_countries() {
        for (text, code) in [
            ("CHN", "CHN"),
            ("chn", "CHN"),
            ("us", "USA"),
            ("Burma", "MMR"),
            ("Congo (Kinshasa)", "COD"),
            ("Congo (Brazzaville)", "COG"),
            ("Korea, Republic of", "KOR"),
            ("Korea, North", "PRK"),
            ("Türkiye", "TUR"),
            ("Turkey", "TUR"),
            ("Côte d’Ivoire", "CIV"),
            ("United\u{a0}States", "USA"),
            ("Russia ", "RUS"),
            ("Bosnia & Herzegovina", "BIH"),
            ("Saint-Barthélemy", "BLM"),
            ("Chinese Taipei", "TWN"),
            ("DPR Korea", "PRK"),
        ] {
            assert_eq!(
                Country::parse(text).map(|c| c.to_string()).as_deref(),
                Some(code),
                "{text}"
            );
        }
    }

    #[test]
    fn totals_and_blocs_are_not_countries() {
        for text in [
            "XKX1",
            "EU",
            "World total",
            "Other countries",
            "United States and Canada",
            "",
            "W",
            "Kosovo",
        ] {
            assert!(Country::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn only_codes_of_iso_3166_are_decoded() {
        let decode = |bytes: &[u8]| postcard::from_bytes::<Country>(bytes).ok();
        assert_eq!(decode(b"CHN"), Country::from_alpha3("CHN"));
        for bytes in [b"chn", b"QQQ", b"C\xffN"] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
