//! The fields of a production table.

use super::super::number;

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProductionValue {
    /// A quantity in thousandths of the unit; 0 for nil.
    Milli(u64),
    /// The country produces, but how much is not published.
    Withheld,
    /// Not a figure, for this reason.
    None(String),
}

impl ProductionValue {
    /// Parses a field that is not empty; `note` says what a mark for a footnote means.
    pub(super) fn parse(text: &str, note: &str) -> Self {
        match text {
            "—" | "–" => Self::Milli(0),
            "W" => Self::Withheld,
            "NA" => Self::not_available(),
            "XX" => Self::not_applicable(),
            _ if !text.bytes().any(|byte| byte.is_ascii_digit()) => {
                Self::of_note(note).unwrap_or_else(|| Self::not_a_figure(text))
            }
            _ => number::parse_milli(text).map_or_else(|| Self::not_a_figure(text), Self::Milli),
        }
    }

    /// Parses a note that stands for a figure, if it does.
    pub(super) fn of_note(note: &str) -> Option<Self> {
        let note = note.to_lowercase();
        if note.contains("less than ½") || note.contains("less than 1/2") {
            Some(Self::Milli(0))
        } else if note.contains("included with") {
            Some(Self::Withheld)
        } else {
            None
        }
    }

    pub(super) fn not_available() -> Self {
        Self::None("NA, not available".to_owned())
    }

    pub(super) fn not_applicable() -> Self {
        Self::None("XX, not applicable".to_owned())
    }

    fn not_a_figure(text: &str) -> Self {
        Self::None(format!("\"{text}\" is not a figure"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_has_its_own_meaning() {
        let check = |text: &str, note: &str, expected: ProductionValue| {
            assert_eq!(ProductionValue::parse(text, note), expected, "{text} {note}");
        };
        check("2,600,000", "", ProductionValue::Milli(2_600_000_000));
        check("20.6", "", ProductionValue::Milli(20_600));
        check("0.00049", "", ProductionValue::Milli(0));
        check("—", "", ProductionValue::Milli(0));
        check("W", "", ProductionValue::Withheld);
        check("s", "Estimated. -- Less than ½unit.", ProductionValue::Milli(0));
        check("s", "data are included with ilmenite.", ProductionValue::Withheld);
        check("NA", "", ProductionValue::not_available());
        check("XX", "", ProductionValue::not_applicable());
        for text in [
            "s",
            "Large",
            "<0.1",
            ">2,000,000",
            "190 - 290",
            "1,23",
            ",123",
            "1.2.3",
            "-5",
            "99999999999999999999",
        ] {
            check(text, "", ProductionValue::not_a_figure(text));
        }
    }
}
