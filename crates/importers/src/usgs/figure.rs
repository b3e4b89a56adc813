//! What a field of a production table says.

use super::super::number;

/// What a field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// A quantity in thousandths of the unit; 0 for nil.
    Milli(u64),
    /// The country supplies, but how much is not published.
    Withheld,
    /// No figure, and why; for people.
    None(String),
}

impl Reading {
    /// Reads what is not empty; `note` tells apart what the mark for a footnote means.
    pub(super) fn parse(text: &str, note: &str) -> Self {
        match text {
            "—" | "–" => Self::Milli(0),
            "W" => Self::Withheld,
            "NA" => Self::not_available(),
            "XX" => Self::not_applicable(),
            _ if !text.bytes().any(|byte| byte.is_ascii_digit()) => {
                Self::of_note(note).unwrap_or_else(|| Self::illegible(text))
            }
            _ => number::milli(text).map_or_else(|| Self::illegible(text), Self::Milli),
        }
    }

    /// What a note says in the place of a figure, if it does.
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

    fn illegible(text: &str) -> Self {
        Self::None(format!("\"{text}\" is no figure"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_has_its_own_meaning() {
        let check = |text: &str, note: &str, expected: Reading| {
            assert_eq!(Reading::parse(text, note), expected, "{text} {note}");
        };
        check("2,600,000", "", Reading::Milli(2_600_000_000));
        check("20.6", "", Reading::Milli(20_600));
        check("0.00049", "", Reading::Milli(0));
        check("—", "", Reading::Milli(0));
        check("W", "", Reading::Withheld);
        check("s", "Estimated. -- Less than ½unit.", Reading::Milli(0));
        check("s", "data are included with ilmenite.", Reading::Withheld);
        check("NA", "", Reading::not_available());
        check("XX", "", Reading::not_applicable());
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
            check(text, "", Reading::illegible(text));
        }
    }
}
