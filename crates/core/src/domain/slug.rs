//! Slugs: names that people choose for rules, blocs, sources, feeds and threats.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A name of 1 to 64 characters out of `A-Z a-z 0-9 . _ -`, beginning with a letter or a digit.
///
/// Cheap to clone; ordered by its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slug(Arc<str>);

/// How a slug is written, for error messages.
pub const ALLOWED: &str = "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit";

impl Slug {
    /// The longest slug, in bytes.
    pub const LEN_MAX: usize = 64;

    /// Reads a slug; `None` where the text is not one, see [`ALLOWED`].
    pub fn parse(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        let fits = text.len() <= Self::LEN_MAX
            && first.is_ascii_alphanumeric()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        fits.then(|| Self(Arc::from(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_slugs() {
        for good in ["CHN-GAGE-2023", "top1-share", "7REE", "a"] {
            assert_eq!(Slug::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-x", "a b", "../etc", "ä", "$(reboot)", &"x".repeat(65)] {
            assert!(Slug::parse(bad).is_none(), "{bad}");
        }
    }
}
